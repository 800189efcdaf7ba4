"""The Docker runtime: runs a cell in the containers that its Compose file describes.

Containers are created, looked at, and only then started, so that what the host knows of them lies
beside the client when it seals. Creating, starting and
removing are left to the `docker compose` command; `kit.edge.docker.daemon` looks.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kit.bundle.bag import Attachments
from kit.bundle.document import EngineIdentity, Runtime, Status
from kit.bundle.host_facts import HostFacts
from kit.edge import interrupts
from kit.edge.docker import daemon
from kit.edge.engine import process
from kit.edge.files import disk
from kit.edge.session import BUNDLE, ROOM_FOR_A_BUNDLE_BYTES, RunContext, Session
from kit.errors import KitError, MachineError, RunError
from kit.format import canonical
from kit.plan.plan import Plan

DOWN_TIMEOUT_S = 30
"""Longer than the client may take to seal a partial bundle (`stop_grace_period` in base.yaml)."""

_LOG_LINES_SHOWN = 12
_PARTIAL = "-partial"
_PASSED_ON = (
    "PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR",
    "KIT_CLIENT_IMAGE", "KIT_CPU_IMAGE", "KIT_ENGINE_MEMORY", "KIT_GPU_0", "KIT_GPU_1",
    "KIT_IMAGE_MOE", "KIT_IMAGE_DENSE", "KIT_IMAGE_MOE_FP8",
)  # fmt: skip
"""How Docker is reached, and what the Compose files leave to whoever starts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeEngine:
    """An engine for Compose to start: its topology's file, and the file's variables."""

    file: Path
    variables: Mapping[str, str]

    def run(self, plan: Plan, context: RunContext) -> Path:
        """Run the cell in containers; return the folder of the bundle that the client sealed.

        Raises `MachineError` where Docker, an image or a device is not there, and `RunError` where
        the run failed: what the client, or the host in its place, could seal is kept.
        """
        daemon.require_compose()
        disk.require_writable(context.results, ROOM_FOR_A_BUNDLE_BYTES)
        with TemporaryDirectory(prefix=".run-", dir=context.results) as scratch:
            project = _Project(self, plan, context, Path(scratch))
            project.create()
            session = Session(plan, Runtime.DOCKER, EngineIdentity(), context)
            session.collect = project.attachments
            with session.sealed():
                try:
                    code = project.run()
                finally:
                    for bag in project.bags():
                        _take_over(session, bag, context.results)
                if code != 0:
                    raise project.failure(code)
        return session.path


class _Project:
    """One `docker compose` project, from its creation to its removal."""

    def __init__(
        self, engine: ComposeEngine, plan: Plan, context: RunContext, scratch: Path
    ) -> None:
        self._context = context
        self._model, self._client = plan.cell.model, f"client-{plan.cell.model}"
        self._name = f"kit-{plan.cell.topology}"
        self._results, self._facts_file = scratch / "results", scratch / "host.json"
        self._results.mkdir()
        self._facts_file.write_bytes(b"null\n")
        self._facts: HostFacts | None = None
        self._log = b""
        self._command = [
            "docker", "compose", "--project-name", self._name, "--file", str(engine.file),
            "--profile", self._model, "--progress", "quiet", "--ansi", "never",
        ]  # fmt: skip
        self._environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **engine.variables,
            "KIT_UID": str(os.getuid()),
            "KIT_GID": str(os.getgid()),
            "KIT_RESULTS": str(self._results),
            "KIT_HOST_FACTS": str(self._facts_file),
        }

    def create(self) -> None:
        """Create the containers; `MachineError`, and nothing left of them, where that fails."""
        self._require_unused()
        done = self._compose("up", "--no-start", "--no-build", "--pull", "missing")
        if done.returncode != 0:
            self._remove()
            raise daemon.cannot_create(done.stdout, self._model)

    def run(self) -> int:
        """Look, start, wait for the client's end, and remove; return its exit code."""
        try:
            self._facts = daemon.host_facts(self._name, self._model, self._context.state)
            self._facts_file.write_bytes(canonical.encode(self._facts))
            return self._start()
        finally:
            with interrupts.uninterrupted():
                self._remove()

    def bags(self) -> Iterator[Path]:
        """Yield the folder that the client sealed; none where it never came to that."""
        yield from (path for path in self._results.iterdir() if not path.name.startswith("."))

    def attachments(self, _origin_s: float) -> Attachments:
        """Return what the host saw of a run whose client sealed nothing."""
        facts = None if self._facts is None else canonical.encode(self._facts)
        return Attachments(server_log=self._log, host_facts=facts)

    def failure(self, code: int) -> RunError:
        """Word a run that failed, with the engine's last lines where the client never began."""
        lines = self._log.decode("utf-8", "replace").splitlines()[-_LOG_LINES_SHOWN:]
        shown = "\n".join(f"  {process.visible(line)}" for line in lines)
        return RunError(
            f"the run in containers ended with exit code {code}; the engine's last lines:\n{shown}",
            "the engine did not start or a request failed; the bundle tells which",
            f"kit verify {BUNDLE}",
            code="engine-died" if not list(self._results.iterdir()) else "request-failed",
        )

    def _require_unused(self) -> None:
        if names := daemon.containers_of(self._name):
            raise MachineError(
                f"containers of {self._name} are there already: {', '.join(names)}",
                "another run is going on, or one was killed",
                f"docker rm --force {' '.join(names)}",
            )

    def _start(self) -> int:
        """Start everything, hand on what the client says, and return its exit code."""
        started = self._compose("up", "--detach", "--no-recreate")
        if started.returncode != 0:  # the engine ended, or never got healthy
            return started.returncode
        for line in daemon.spoken(self._name, self._client):
            self._context.watch.said(process.visible(line))
        return daemon.exit_code(self._name, self._client)

    def _remove(self) -> None:
        with suppress(KitError):
            self._log = daemon.logs(self._name, self._model)
        self._compose("down", "--timeout", str(DOWN_TIMEOUT_S), "--remove-orphans")

    def _compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,  # Ctrl-C on a terminal goes to the kit alone
        )


def _take_over(session: Session, bag: Path, results: Path) -> None:
    status = Status.PARTIAL if bag.name.endswith(_PARTIAL) else Status.COMPLETE
    session.take_over(disk.move_folder(bag, results), status)
