"""The process runtime: starts the engine that a Compose service describes, without Docker.

The command, the environment and the healthcheck are the file's own. The engine runs under
`kit.edge.engine.supervisor`, writes to one log, and is gone, children and all, when the context
ends, however it ends: the guard outlives even a kit that is killed.
"""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kit.edge import interrupts
from kit.edge.engine import supervisor
from kit.errors import MachineError, RunError
from kit.plan.topology import Service

GRACE_S = 15.0
"""vLLM takes a few seconds to end by itself; a SIGTERM during its start may be swallowed."""

LAST_WORDS_S = 6.0
"""How long a dying engine may go on after its first failed answer: where its engine core has died,
vLLM's API server answers 500 and ends within 5 s (`VLLM_WATCHDOG_TIME_S`)."""

LOG_LINES_SHOWN = 12
_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "TMPDIR", "CC", "CXX", "OPENBLAS_CORETYPE")
_TAIL_BYTES = 20_000


@contextmanager
def serving(
    service: Service, engine: Path, log: Path, grace_s: float = GRACE_S
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the service, wait until its healthcheck passes, yield its process, and stop it.

    `engine` is the environment whose `bin` holds the server; `log` takes all its output; after
    `grace_s` an engine that does not end is killed. Raises `RunError` (`engine-died` or
    `engine-not-ready`) with the log's last lines.
    """
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment["PATH"] = f"{engine / 'bin'}:{os.environ.get('PATH', os.defpath)}"
    environment.update(service.environment)
    with log.open("ab") as output:
        process = _spawn(service.command, environment, output.fileno(), grace_s)
    try:
        _wait_until_ready(process, service, environment, log)
        yield process
    finally:
        _stop(process)


def require_alive(
    process: subprocess.Popen[bytes], log: Path, patience_s: float = LAST_WORDS_S
) -> None:
    """Raise `RunError` if the engine has died or is about to; for wording a request's failure."""
    _wait(process, patience_s)
    if process.poll() is not None:
        raise died("while it was being measured", log)


def died(when: str, log: Path) -> RunError:
    """Word the death of an engine, with the last lines of its log."""
    return RunError(
        f"the engine ended {when}; its last lines:\n{_tail(log)}",
        "not enough memory, a damaged environment, or a flag that this engine does not take",
        "make bench, after free -h; then make distclean and make bench",
        code="engine-died",
    )


def free_port(wanted: int | None) -> int:
    """Return a loopback port that nobody listens on; raise `MachineError` if `wanted` is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise MachineError(
                f"port {wanted} cannot be used: {error.strerror}",
                "another server listens there; without --port the kit finds a free one"
                if taken
                else "ports below 1024 are the administrator's; without --port the kit finds one",
                f"ss -ltnp 'sport = :{wanted}'",
            ) from error
        return int(probe.getsockname()[1])


def variables(*, models: Path, cache: Path, port: int, cores: Sequence[int]) -> dict[str, str]:
    """Return what a CPU topology's Compose file leaves open, for a process on this machine.

    A container has folders of its own; a process's log is its output.
    """
    return {
        "KIT_HOST": "127.0.0.1",
        "KIT_PORT": str(port),
        "KIT_MODELS": str(models),
        "KIT_CACHE": str(cache),
        "KIT_CORES": "|".join(map(str, cores)),
        "KIT_LOGGING": "",
    }


def cores(count: int) -> tuple[int, ...]:
    """Return the first `count` processor numbers that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise MachineError(
            f"this topology needs {count} cores and {len(allowed)} may be used",
            "the machine is too small, or a container or taskset limits it",
            "make bench TOPOLOGY=cpu-tp1",
        )
    return tuple(allowed[:count])


def _spawn(
    command: tuple[str, ...], environment: dict[str, str], output: int, grace_s: float
) -> subprocess.Popen[bytes]:
    if shutil.which(command[0], path=environment["PATH"]) is None:
        raise MachineError(
            f"cannot start {command[0]}: there is no such program",
            "the engine's environment is not installed, or was damaged",
            "python3 -m kit.bootstrap engine",
        )
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,  # Ctrl-C on a terminal goes to the kit alone
    )
    order = {"command": command, "environment": environment, "grace_s": grace_s}
    _orders(process).write(json.dumps(order).encode() + b"\n")
    return process


def _wait_until_ready(
    process: subprocess.Popen[bytes], service: Service, environment: dict[str, str], log: Path
) -> None:
    health = service.health
    deadline = time.monotonic() + health.deadline_s
    while time.monotonic() < deadline:
        healthy = _healthy(health.test, environment, health.timeout_s)
        if process.poll() is not None:  # and then it was not this engine that answered
            raise died(f"at its start, with exit code {process.returncode}", log)
        if healthy:
            return
        _wait(process, min(health.interval_s, deadline - time.monotonic()))
    raise RunError(
        f"the engine was not ready after {health.deadline_s:.0f} s; its last lines:\n{_tail(log)}",
        "the machine is very slow or very busy",
        "uptime; then make bench again: what was compiled so far is kept",
        code="engine-not-ready",
    )


def _healthy(test: tuple[str, ...], environment: dict[str, str], timeout_s: float) -> bool:
    try:
        outcome = subprocess.run(
            test, env=environment, capture_output=True, timeout=timeout_s, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return outcome.returncode == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Have the guard end the engine, and wait until nothing of it is left."""
    with interrupts.uninterrupted():
        _orders(process).close()
        process.wait()


def _orders(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait this long, or less if the process ends before."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(seconds, 0.0))


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    shown = (f"  {visible(line)}" for line in lines[-LOG_LINES_SHOWN:])
    return "\n".join(shown) or "  (it printed nothing)"


def visible(line: str) -> str:
    """Show control characters as they are spelt: the engine's must not steer the terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
