"""Runs one cell: start the engine, send the plan's requests, stop the engine, seal the bundle.

However a run ends, its records are sealed: in a complete bundle, or in a partial one that holds the
failure's code. `run` is the whole of it for an engine that this process measures; for containers,
where a client inside them measures, `kit.edge.docker.compose` uses the same `Session`.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from kit.bundle import bag
from kit.bundle.bag import Attachments
from kit.bundle.document import Calibration, EngineIdentity, Failure, Runtime, Status
from kit.bundle.record import Moment, Record
from kit.edge import bundle_files, calibration, interrupts, run_failure, server_probe
from kit.edge.bundle_files import RunFacts
from kit.edge.files import disk
from kit.edge.host import probes
from kit.edge.http_client import Client
from kit.errors import KitError, RunError
from kit.parse import public_words
from kit.plan.plan import CachePolicy, Plan
from kit.run import walk
from kit.run.walk import RunLog

BUNDLE_ROOM_BYTES = 64 * 2**20
"""Free space that must be there before a run starts."""


class EvidenceSource(Protocol):
    """Where a run's engine runs, and what that place can give as evidence."""

    @property
    def runtime(self) -> Runtime:
        """How the engine was started."""

    @property
    def identity(self) -> EngineIdentity:
        """The engine's build and model files, as far as they are known before the start."""

    @property
    def private_words(self) -> Mapping[str, str]:
        """Words to redact, each with its placeholder."""

    def attachments(self, origin_s: float) -> Attachments:
        """Return logs, telemetry and host facts; called once, just before sealing.

        `origin_s` is the run's start on `time.monotonic()`.
        """


class Engine(EvidenceSource, Protocol):
    """An engine that this process sends the requests to."""

    @property
    def served_model(self) -> str:
        """The model's name in requests."""

    def serving(self) -> AbstractContextManager[str]:
        """Start the engine unless it runs already, yield its base URL when it is ready, stop it.

        Raises `RunError` where the engine does not get ready, or ends during the block.
        """


class RunObserver(Protocol):
    """Is called as a run proceeds, to show its progress."""

    def starting(self, plan: Plan) -> None:
        """The engine is about to be started."""

    def ready(self, seconds: float) -> None:
        """The engine is ready, this long after the run's start."""

    def answered(self, pieces: int) -> None:
        """A request of an agent has ended; its record follows at the end of the pass.

        Its response came in so many pieces, about one a token.
        """

    def recorded(self, record: Record) -> None:
        """A request has ended, or the pass of an agent's."""

    def printed(self, line: str) -> None:
        """The client in its container has printed a line."""

    def sealed(self, path: Path, status: Status) -> None:
        """The bundle is on disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """Folders of a run, and its observer.

    `state` keeps the installation's `host_id`; a client in a container gets that from the host.
    `calibrate` measures the client's own error.
    """

    results: Path
    state: Path
    observer: RunObserver
    host_id: str | None = None
    calibrate: Callable[[Plan, Moment], Calibration | None] = field(
        default_factory=lambda: calibration.calibrate
    )


def run(plan: Plan, engine: Engine, context: RunContext) -> Path:
    """Measure one cell and return the bundle's folder.

    Where the engine or a request fails, `RunError` is raised after a partial bundle is sealed.
    """
    session = Session(plan, engine, context)
    with session.sealed(), engine.serving() as base_url:
        context.observer.ready(time.monotonic() - session.facts.origin_s)
        session.measure(base_url, engine.served_model)
    return session.path


class Session:
    """One run: its fixed facts, its growing log, and the path of its bundle.

    Raises `MachineError` where the results folder cannot be written.
    """

    def __init__(self, plan: Plan, source: EvidenceSource, context: RunContext) -> None:
        disk.require_writable(context.results, BUNDLE_ROOM_BYTES)
        start_utc = datetime.now(UTC)
        self.facts = RunFacts(
            plan=plan,
            runtime=source.runtime,
            identity=source.identity,
            host_id=context.host_id or probes.host_id(context.state),
            run_salt=secrets.token_hex(16) if plan.cache is CachePolicy.COLD else None,
            private_words={**_private_words(plan, context), **source.private_words},
            load_before=probes.load(),
            start_utc=start_utc,
            origin_s=time.monotonic(),
        )
        self.path = context.results / bundle_name(plan, start_utc)
        self._source = source
        self._observer = context.observer
        self._client_error = context.calibrate
        self._run_log = RunLog()
        self._stage = "start"
        self._is_sealed = False
        self._observer.starting(plan)

    def measure(self, base_url: str, served_model: str) -> None:
        """Send the plan's requests; raise `RunError` for the first that fails."""
        self._stage = "measure"
        facts = self.facts
        self._run_log.engine_version = server_probe.engine_version(base_url)
        self._calibrate(Moment.BEFORE)
        with Client(base_url, served_model, facts.plan, facts.origin_s) as server:
            failed = walk.walk(
                facts.plan,
                server,
                self._run_log,
                self._observer.recorded,
                facts.run_salt or "",
                self._observer.answered,
            )
        if failed is not None:
            raise run_failure.request_failed(failed)
        plan = walk.walked(facts.plan, self._run_log.records)
        self.facts = replace(facts, plan=plan)
        self._calibrate(Moment.AFTER)

    def _calibrate(self, moment: Moment) -> None:
        """Measure the client's own error, while the engine is idle."""
        if (found := self._client_error(self.facts.plan, moment)) is not None:
            self._run_log.calibrations.append(found)

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Seal the bundle when the block ends, however it ends.

        A block that raised gives a partial bundle, named in the next step of a `RunError`; where
        sealing fails too, the block's error says so.
        """
        try:
            yield
            if not self._is_sealed:
                self._seal(None)
        except BaseException as error:
            if not self._is_sealed:
                self._seal_after(error)
            if isinstance(error, RunError):
                error.next_step = error.next_step.replace(run_failure.BUNDLE, str(self.path))
            raise

    def adopt(self, path: Path, status: Status) -> None:
        """Take the bundle at `path`, sealed by the client in its container, as this run's."""
        self.path, self._is_sealed = path, True
        self._observer.sealed(path, status)

    def _seal_after(self, error: BaseException) -> None:
        try:
            self._seal(Failure(stage=self._stage, code=run_failure.code_of(error)))
        except (KitError, OSError) as seal_error:
            run_failure.add_detail(error, f"the records were lost: {seal_error}")

    def _seal(self, failure: Failure | None) -> None:
        """Write the bundle; Ctrl-C waits until it is on disk."""
        with interrupts.uninterrupted():
            attachments = self._source.attachments(self.facts.origin_s)
            payload = bundle_files.payload(self.facts, self._run_log, attachments, failure)
            name = self.path.name if failure is None else f"{self.path.name}-partial"
            path = disk.write_folder(self.path.with_name(name), bag.seal(payload))
            self.adopt(path, Status.COMPLETE if failure is None else Status.PARTIAL)


def bundle_name(plan: Plan, start_utc: datetime) -> str:
    """Return a folder's name for a run: its start and its cell, in at most 255 bytes."""
    cell = plan.cell
    agents = () if cell.agents is None else (str(cell.agents),)
    words = (cell.model, cell.topology, cell.suite, *agents)
    slug = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", word)[:64] for word in words)
    return f"{start_utc:%Y%m%dT%H%M%SZ}-{slug}"


def _private_words(plan: Plan, context: RunContext) -> dict[str, str]:
    """Return names of host, user and folders, each with its placeholder; none that the plan has."""
    names = probes.private_names()
    folders = {"results": context.results, "state": context.state}
    return {
        **{name: text for name, text in names.items() if not public_words.is_planned(name, plan)},
        **probes.private_places(folders),
    }
