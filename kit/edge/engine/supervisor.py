"""Runs one command and leaves nothing of it behind, whatever becomes of the one who asked.

A script of the standard library alone, started by `kit.edge.engine.process` in a session of its
own. It reads one JSON line from standard input, starts the command, and waits until the command
ends or standard input does: the kit holds the other end, which closes when the kit closes it, or is
killed. Then it ends the command's process group, and every descendant that left the group: as a
subreaper it inherits those (prctl(2)). It exits as the command did.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_CANNOT_START = 126  # as a shell says it
_KILL_S = 10.0
_POLL_S = 0.02


def main() -> int:
    """Run the command named on standard input; return its exit code, as a shell would."""
    line = _first_line()
    if not line.endswith(b"\n"):  # the kit has gone before it said what to run
        return 0
    order = json.loads(line)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child_ended = _wakeup_pipe()
    try:
        engine = subprocess.Popen(
            order["command"],
            env=order["environment"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Safe: there is one thread. Should the guard itself be killed, the engine goes too.
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {order['command'][0]}: {error.strerror}\n")
        return _CANNOT_START
    if _wait(engine.pid, child_ended):
        _signal_group(engine.pid, signal.SIGTERM)
        _wait_for_group(engine.pid, order["grace_s"])
    # The engine itself is reaped last, so that its group's number cannot become another's.
    _kill_the_rest(engine.pid)
    code = engine.wait(_KILL_S)
    return 128 - code if code < 0 else code


def _first_line() -> bytes:
    """Return what was said up to a line feed: after that comes the end of the stream."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 65536)
        if not more:
            break
        line += more
    return line


def _wakeup_pipe() -> int:
    """Return a descriptor that can be read when a child has ended, or one of us was asked to."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def _wait(engine: int, child_ended: int) -> bool:
    """Return True when asked to stop, False when the engine ended by itself."""
    while not _ended(engine):
        readable, _, _ = select.select([0, child_ended], [], [])
        numbers = os.read(child_ended, 4096) if child_ended in readable else b""
        if 0 in readable or any(number != signal.SIGCHLD for number in numbers):
            return True
        _reap_others(engine)
    return False


def _wait_for_group(engine: int, grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and (not _ended(engine) or _children() != {engine}):
        time.sleep(_POLL_S)
        _reap_others(engine)


def _kill_the_rest(engine: int) -> None:
    """Kill the group and what was inherited, until the engine, dead, is the only child.

    A process that the kernel itself holds cannot be killed by anyone: it is not waited for long.
    """
    deadline = time.monotonic() + _KILL_S
    while time.monotonic() < deadline:
        _signal_group(engine, signal.SIGKILL)
        was_over = _ended(engine)  # asked first: what it leaves is inherited when it ends
        others = _children() - {engine}
        for other in others:
            os.kill(other, signal.SIGKILL)
        _reap_others(engine)
        if was_over and not others:
            return
        time.sleep(_POLL_S)


def _ended(process: int) -> bool:
    """Tell whether a child has ended, without reaping it."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _reap_others(engine: int) -> None:
    for process in _children() - {engine}:
        os.waitpid(process, os.WNOHANG)


def _children() -> set[int]:
    """Return the processes whose parent this is, those it inherited included (proc(5))."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has gone meanwhile
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
