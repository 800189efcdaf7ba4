"""The process runtime: starts the engine that a Compose service describes, without Docker.

Command, environment and healthcheck are the Compose file's. The engine runs under
`kit.edge.engine.supervisor` and writes to one log. When the context ends, the supervisor ends the
engine with all its children, even if the kit itself was killed.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kit.bundle.bag import Attachments
from kit.bundle.document import EngineIdentity, Runtime
from kit.edge import interrupts
from kit.edge.engine import supervisor
from kit.edge.files import disk
from kit.edge.host import probes
from kit.errors import MachineError, RunError
from kit.plan.topology import Service

GRACE_S = 15.0
"""vLLM takes a few seconds to end after SIGTERM, and may ignore one during its start."""

EXIT_WAIT_S = 6.0
"""How long to wait for an engine's exit after a failed request: when its engine core has died,
vLLM's API server answers 500 and ends within 5 s (`VLLM_WATCHDOG_TIME_S`)."""

LOG_LINES_SHOWN = 12
_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "TMPDIR", "CC", "CXX", "OPENBLAS_CORETYPE")
_TAIL_BYTES = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessEngine:
    """An engine to start as a process; implements `kit.edge.session.Engine`.

    `environment` is the Python environment whose `bin` holds the server, `log` an empty file for
    its output. After `grace_s` an engine that does not end is killed.
    """

    service: Service
    served_model: str
    environment: Path
    port: int
    identity: EngineIdentity
    log: Path
    grace_s: float = GRACE_S
    runtime: Runtime = Runtime.PROCESS

    @property
    def private_words(self) -> dict[str, str]:
        """The path of the engine's environment."""
        return probes.private_places({"engine": self.environment})

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Start the engine, yield its base URL, and stop it."""
        with serving(self.service, self.environment, self.log, self.grace_s) as process:
            try:
                yield f"http://127.0.0.1:{self.port}"
            except RunError:  # a request failed, perhaps since the engine is ending
                require_alive(process, self.log, min(self.grace_s, EXIT_WAIT_S))
                raise

    def attachments(self, _origin_s: float) -> Attachments:
        """Return the engine's log."""
        return Attachments(server_log=disk.read_log(self.log))


@contextmanager
def serving(
    service: Service, engine: Path, log: Path, grace_s: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the service, wait until its healthcheck passes, yield its process, and stop it.

    Raises `RunError` (`engine-died` or `engine-not-ready`) with the log's last lines.
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


def require_alive(process: subprocess.Popen[bytes], log: Path, wait_s: float) -> None:
    """Raise `RunError` if the engine has ended, or ends within `wait_s`."""
    _wait(process, wait_s)
    if process.poll() is not None:
        raise died("while it was being measured", log)


def died(when: str, log: Path) -> RunError:
    """Return the error for an engine that ended, with the last lines of its log."""
    return RunError(
        f"the engine ended {when}; its last lines:\n{_tail(log)}",
        "too little memory, a damaged environment, or an option that this engine does not know",
        "free -h, then the same command again; if that does not help, make distclean first",
        code="engine-died",
    )


def free_port(port: int | None) -> int:
    """Return an unused loopback port; raise `MachineError` if `port` cannot be used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            cause = (
                "another server listens there"
                if error.errno == errno.EADDRINUSE
                else "ports below 1024 need root"
            )
            raise MachineError(
                f"port {port} cannot be used: {error.strerror}",
                f"{cause}; without --port the kit picks a free one",
                f"ss -ltnp 'sport = :{port}'",
            ) from error
        return int(probe.getsockname()[1])


def variables(*, models: Path, cache: Path, port: int, cores: Sequence[int]) -> dict[str, str]:
    """Return the variables of a CPU topology's Compose file, for a process on this machine."""
    return {
        "KIT_HOST": "127.0.0.1",
        "KIT_PORT": str(port),
        "KIT_MODELS": str(models),
        "KIT_CACHE": str(cache),
        "KIT_CORES": "|".join(map(str, cores)),
        "KIT_LOGGING": "",
    }


def cores(count: int) -> tuple[int, ...]:
    """Return the first `count` core numbers that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise MachineError(
            f"this topology needs {count} cores, found {len(allowed)}",
            "the machine has no more, or a container or taskset limits this process",
            "make bench TOPOLOGY=cpu-tp1",
        )
    return tuple(allowed[:count])


def _spawn(
    command: tuple[str, ...], environment: dict[str, str], output: int, grace_s: float
) -> subprocess.Popen[bytes]:
    if shutil.which(command[0], path=environment["PATH"]) is None:
        raise MachineError(
            f"cannot start {command[0]}: no such program on its PATH",
            "the engine's environment is not installed, or is damaged",
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
    request = {"command": command, "environment": environment, "grace_s": grace_s}
    _stdin(process).write(json.dumps(request).encode() + b"\n")
    return process


def _wait_until_ready(
    process: subprocess.Popen[bytes], service: Service, environment: dict[str, str], log: Path
) -> None:
    health = service.health
    deadline = time.monotonic() + health.deadline_s
    while time.monotonic() < deadline:
        healthy = _healthy(health.test, environment, health.timeout_s)
        if process.poll() is not None:  # checked after the probe, which another server may answer
            raise died(f"at its start, with exit code {process.returncode}", log)
        if healthy:
            return
        _wait(process, min(health.interval_s, deadline - time.monotonic()))
    raise RunError(
        f"the engine was not ready after {health.deadline_s:.0f} s; its last lines:\n{_tail(log)}",
        "the machine is slow or busy",
        "uptime, then the same command again: kernels compiled so far are cached",
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
    """Have the supervisor end the engine, and wait until all its processes are gone."""
    with interrupts.uninterrupted():
        _stdin(process).close()
        process.wait()


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the process ends, for at most `seconds`."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(seconds, 0.0))


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    shown = (f"  {visible(line)}" for line in lines[-LOG_LINES_SHOWN:])
    return "\n".join(shown) or "  (it printed nothing)"


def visible(line: str) -> str:
    """Escape control characters, which could otherwise steer the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
