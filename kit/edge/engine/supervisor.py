"""Runs one command and ends all its processes, even if the kit is killed.

A script of the standard library alone, started by `kit.edge.engine.process` in a session of its
own. It reads one JSON line from standard input, starts the command, and waits until the command or
standard input ends: the kit holds the other end of that pipe, which also closes when the kit is
killed. Then it ends the command's process group, and every descendant that has left the group: as a
subreaper it becomes their parent (prctl(2)). It exits with the command's exit code.
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
_CANNOT_START = 126  # as in a shell
_KILL_S = 10.0
_POLL_S = 0.02


def main() -> int:
    """Run the command from standard input; return its exit code as a shell does."""
    line = _first_line()
    if not line.endswith(b"\n"):  # the kit ended before it sent the command
        return 0
    request = json.loads(line)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child_ended = _wakeup_pipe()
    try:
        engine = subprocess.Popen(
            request["command"],
            env=request["environment"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # Safe with one thread. If the supervisor is killed, the kernel kills the engine.
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"cannot start {request['command'][0]}: {error.strerror}\n")
        return _CANNOT_START
    if _wait(engine.pid, child_ended):
        _signal_group(engine.pid, signal.SIGTERM)
        _wait_for_group(engine.pid, request["grace_s"])
    # The engine is reaped last: until then its group id cannot be reused.
    _kill_the_rest(engine.pid)
    code = engine.wait(_KILL_S)
    return 128 - code if code < 0 else code


def _first_line() -> bytes:
    """Return standard input up to the first line feed, or to its end."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 65536)
        if not more:
            break
        line += more
    return line


def _wakeup_pipe() -> int:
    """Return a descriptor that becomes readable on SIGCHLD, SIGINT, SIGTERM and SIGHUP."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def _wait(engine: int, child_ended: int) -> bool:
    """Return True when asked to stop, False when the engine has ended by itself."""
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
    """Kill the group and inherited processes until the ended engine is the only child.

    Gives up after `_KILL_S`: a process in uninterruptible sleep cannot be killed.
    """
    deadline = time.monotonic() + _KILL_S
    while time.monotonic() < deadline:
        _signal_group(engine, signal.SIGKILL)
        had_ended = _ended(engine)  # checked first: its children are inherited when it ends
        others = _children() - {engine}
        for other in others:
            os.kill(other, signal.SIGKILL)
        _reap_others(engine)
        if had_ended and not others:
            return
        time.sleep(_POLL_S)


def _ended(process: int) -> bool:
    """Return whether a child has ended, without reaping it."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _reap_others(engine: int) -> None:
    for process in _children() - {engine}:
        os.waitpid(process, os.WNOHANG)


def _children() -> set[int]:
    """Return this process's children, inherited ones included (proc(5))."""
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == os.getpid():
            children.add(int(stat.parent.name))
    return children


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
