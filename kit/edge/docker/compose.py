"""The Docker runtime: runs a cell in the containers that its topology's Compose file describes.

The containers are created, then inspected, then started, so that the client has the host's facts
when it seals the bundle. `docker compose` creates, starts and removes; `kit.edge.docker.daemon`
inspects.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
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
from kit.edge.run_failure import BUNDLE
from kit.edge.session import BUNDLE_ROOM_BYTES, RunContext, RunObserver, Session
from kit.edge.weights import Weights
from kit.errors import KitError, MachineError, RunError
from kit.format import canonical
from kit.plan.plan import Cell, Plan

DOWN_TIMEOUT_S = 30
"""Longer than the client may take to seal a partial bundle (`stop_grace_period` in base.yaml)."""

_WORDS_SHOWN = 400
_PARTIAL = "-partial"
_PASSED_ON = (
    "PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR",
    "KIT_ENGINE_MEMORY", "KIT_MEMLOCK",
)  # fmt: skip
"""How Docker is reached, and variables of the Compose files that a user may set."""


def run_in_containers(
    plan: Plan,
    files: Sequence[Path],
    variables: Mapping[str, str],
    weights: Weights | None,
    context: RunContext,
) -> Path:
    """Run the cell of these Compose files; return the folder of the bundle that was sealed.

    `weights` are mounted into the engine by one of the files, if they are not in its image.

    Raises `MachineError` where Docker, an image or a device is missing, and `RunError` where the
    run failed; then the client's bundle, or else one that the host seals, is kept.
    """
    daemon.require_compose()
    disk.require_writable(context.results, BUNDLE_ROOM_BYTES)
    with TemporaryDirectory(prefix=".run-", dir=context.results) as scratch:
        calls = _Compose.of(plan.cell, files, variables, Path(scratch))
        project = _Project(calls, weights, context.state)
        project.create()
        session = Session(plan, project, context)
        with session.sealed():
            try:
                code = project.run(context.observer)
            finally:
                for bag in project.compose.bags():
                    status = Status.PARTIAL if bag.name.endswith(_PARTIAL) else Status.COMPLETE
                    session.adopt(disk.move_folder(bag, context.results), status)
            if code != 0:
                raise project.failure(code)
    return session.path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compose:
    """How `docker compose` is called for one cell; `results` and `facts_file` are mounted."""

    project: str
    model: str
    client: str
    results: Path
    facts_file: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def of(
        cls, cell: Cell, files: Sequence[Path], variables: Mapping[str, str], scratch: Path
    ) -> "_Compose":
        """Return the calls for a cell, and create what is mounted."""
        project = f"kit-{cell.topology}"
        results, facts_file = scratch / "results", scratch / "host.json"
        results.mkdir()
        facts_file.write_bytes(b"null\n")
        return cls(
            project=project,
            model=cell.model,
            client=f"client-{cell.model}",
            results=results,
            facts_file=facts_file,
            command=(
                "docker", "compose", "--project-name", project,
                *(word for file in files for word in ("--file", str(file))),
                "--profile", cell.model, "--progress", "quiet", "--ansi", "never",
            ),
            environment={
                **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                **variables,
                "KIT_UID": str(os.getuid()),
                "KIT_GID": str(os.getgid()),
                "KIT_RESULTS": str(results),
                "KIT_HOST_FACTS": str(facts_file),
            },
        )  # fmt: skip

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,  # Ctrl-C on a terminal goes to the kit alone
        )

    def bags(self) -> list[Path]:
        """Return the bundle that the client sealed; nothing where it did not get that far."""
        return [path for path in self.results.iterdir() if not path.name.startswith(".")]


class _Project:
    """One Compose project, from its creation to its removal; an `EvidenceSource`.

    Its own evidence is sealed only where the client sealed nothing.
    """

    def __init__(self, compose: _Compose, weights: Weights | None, state: Path) -> None:
        self.compose = compose
        self._weights = weights
        self.runtime = Runtime.DOCKER
        self.identity = EngineIdentity()
        self.private_words: Mapping[str, str] = {}
        self._state = state
        self._facts: HostFacts | None = None
        self._log = b""
        self._client_started = False
        self._compose_words = ""

    def create(self) -> None:
        """Create and inspect the containers; raise `MachineError`, with none left, on failure."""
        if names := daemon.containers_of(self.compose.project):
            raise MachineError(
                f"containers of {self.compose.project} exist already: {', '.join(names)}",
                "another run is in progress, or an earlier one was killed",
                f"docker rm --force {' '.join(names)}",
            )
        compose = self.compose
        try:
            created = compose.call("up", "--no-start", "--no-build", "--pull", "never")
            if created.returncode != 0:
                raise daemon.cannot_create(created.stdout, compose.model)
            self._facts = daemon.host_facts(
                compose.project, compose.model, self._state, self._weights
            )
        except BaseException:
            with interrupts.uninterrupted():
                self._remove()
            raise
        self.identity = EngineIdentity(model_files=self._facts.model_files)
        compose.facts_file.write_bytes(canonical.encode(self._facts))

    def run(self, observer: RunObserver) -> int:
        """Start the containers, wait for the client, and return its exit code."""
        compose = self.compose
        try:
            started = compose.call("up", "--detach", "--no-recreate")
            if started.returncode != 0:  # the engine ended, or never became healthy
                self._compose_words = started.stdout.strip()
                return started.returncode
            self._client_started = True
            for line in daemon.follow_log(compose.project, compose.client):
                observer.printed(process.visible(line))
            return daemon.exit_code(compose.project, compose.client)
        finally:
            with interrupts.uninterrupted():
                self._remove()

    def attachments(self, _origin_s: float) -> Attachments:
        """Return the engine's log and the host's facts."""
        facts = None if self._facts is None else canonical.encode(self._facts)
        return Attachments(server_log=self._log, host_facts=facts)

    def failure(self, code: int) -> RunError:
        """Return the error for a client that ended with `code`, with the engine's last lines."""
        lines = self._log.decode("utf-8", "replace").splitlines()[-process.LOG_LINES_SHOWN :]
        said = self._compose_words[-_WORDS_SHOWN:]
        words = [f"Docker Compose said: {said}"] if said else []
        engine = ["the engine's last lines:", *lines] if lines else ["the engine printed nothing"]
        shown = "\n".join(f"  {process.visible(line)}" for line in (*words, *engine))
        why, next_step = daemon.cause(self._compose_words) or daemon.Cause(
            "the engine did not start, or a request failed; the bundle has the failure's code",
            f"kit verify {BUNDLE}",
        )
        return RunError(
            f"the run in containers ended with exit code {code}\n{shown}",
            why,
            next_step,
            code="request-failed" if self._client_started else "engine-died",
        )

    def _remove(self) -> None:
        with suppress(KitError):
            self._log = daemon.log(self.compose.project, self.compose.model)
        self.compose.call("down", "--timeout", str(DOWN_TIMEOUT_S), "--remove-orphans")
