"""One cell for real: the engine up, the plan walked, the bundle sealed, whatever happens."""

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from kit import __version__
from kit.bundle import bag
from kit.bundle.bag import Attachments
from kit.bundle.document import (
    SCHEMA_VERSION,
    Clock,
    Document,
    EngineIdentity,
    Failure,
    Runtime,
    Status,
)
from kit.bundle.record import ErrorCode, Record
from kit.bundle.redact import redact
from kit.edge import http_client, interrupts
from kit.edge.engine import process
from kit.edge.files import disk
from kit.edge.host import probes
from kit.edge.http_client import Client
from kit.errors import KitError, MachineError, RunError
from kit.parse import public_words
from kit.plan.plan import CachePolicy, Dialect, Plan
from kit.plan.topology import Device, Service
from kit.run import walk
from kit.run.walk import RunLog

BUNDLE = "BUNDLE"
"""Stands in an error's next step for the bundle that is sealed after the error."""

_CAUSES: Mapping[ErrorCode | None, str] = {
    ErrorCode.CONNECT_FAILED: "nothing listens there: the server has ended, or has another address",
    ErrorCode.DISCONNECTED: "the server has ended, or something between has cut the connection",
    ErrorCode.TIMED_OUT: "the server is overloaded or hangs; --timeout allows a request more",
    ErrorCode.HTTP_CLIENT_ERROR: "the server refused it: an unknown model, or more tokens than fit",
    ErrorCode.HTTP_SERVER_ERROR: "the server failed; its own log says why",
    ErrorCode.STREAM_CUT: "the server ended its stream before the last token",
}

ROOM_FOR_A_BUNDLE_BYTES = 64 * 2**20


class Watch(Protocol):
    """Somebody who is told how a run goes."""

    def starting(self, plan: Plan) -> None:
        """The engine is being started, or the endpoint looked at."""

    def ready(self, seconds: float) -> None:
        """The engine answers, this long after it was started."""

    def recorded(self, record: Record) -> None:
        """A request has come back."""

    def said(self, line: str) -> None:
        """The client in its container has written a line."""

    def sealed(self, path: Path, status: Status) -> None:
        """The bundle is on disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunContext:
    """Where a run leaves its bundle and its state, and who watches it.

    `host_id` is given where the state is not the host's own: in a container.
    """

    results: Path
    state: Path
    watch: Watch
    host_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEngine:
    """An engine for the kit to start: its service, filled in, its environment, its port.

    `grace_s` is what it may take to end before it is killed.
    """

    service: Service
    environment: Path
    port: int
    identity: EngineIdentity
    grace_s: float = process.GRACE_S


def run_own_engine(plan: Plan, engine: OwnEngine, context: RunContext) -> Path:
    """Start the engine, measure it, stop it, and return the bundle's folder.

    Where the engine or a request fails, `RunError` is raised after a partial bundle is sealed.
    """
    session = Session(plan, Runtime.PROCESS, engine.identity, context)
    session.collect = lambda _origin_s: Attachments(server_log=disk.read_log(session.log))
    session.private |= probes.private_places({"engine": engine.environment})
    patience_s = min(engine.grace_s, process.LAST_WORDS_S)
    with session.sealed():
        started_s = time.monotonic()
        with process.serving(
            engine.service, engine.environment, session.log, engine.grace_s
        ) as running:
            context.watch.ready(time.monotonic() - started_s)
            failed = session.measure(f"http://127.0.0.1:{engine.port}", plan.cell.model)
            if failed is not None:
                process.require_alive(running, session.log, patience_s)
                raise request_failed(failed)
    return session.path


def run_endpoint(plan: Plan, base_url: str, served_model: str, context: RunContext) -> Path:
    """Measure a server that already runs, and return the bundle's folder."""
    session = Session(plan, Runtime.ENDPOINT, EngineIdentity(), context)
    if served_model != plan.cell.model:  # the name may be a path that names a person
        session.private |= probes.private_words("model", served_model)
    with session.sealed():
        failed = session.measure(base_url, served_model)
        if failed is not None:
            raise request_failed(failed)
    return session.path


class Session:
    """Everything that one run has seen so far, and the sealing of it.

    `private` maps what must not enter a bundle to what stands for it; `collect` is called once,
    before sealing, with the run's start on the monotonic clock.
    """

    def __init__(
        self, plan: Plan, runtime: Runtime, identity: EngineIdentity, context: RunContext
    ) -> None:
        disk.require_writable(context.results, ROOM_FOR_A_BUNDLE_BYTES)
        self._plan, self._runtime, self._identity, self._context = plan, runtime, identity, context
        self._host_id = context.host_id or probes.host_id(context.state)
        self.collect: Callable[[float], Attachments] = lambda _origin_s: Attachments()
        names = probes.private_names()
        self.private = {
            **{name: one for name, one in names.items() if not public_words.is_planned(name, plan)},
            **probes.private_places({"results": context.results, "state": context.state}),
        }
        self._run_log = RunLog()
        self._run_salt = secrets.token_hex(16) if plan.cache is CachePolicy.COLD else None
        self._stage = "start"
        self._is_sealed = False
        self._load_before = probes.load()
        self._start_utc = datetime.now(UTC)
        self._origin_s = time.monotonic()
        self.path = context.results / f"{self._start_utc:%Y%m%dT%H%M%SZ}-{_slug(plan)}"
        self.log = disk.new_log(context.state / "logs", self.path.name)
        context.watch.starting(plan)

    def measure(self, base_url: str, served_model: str) -> Record | None:
        """Walk the plan; return the record that ended it early, if one did."""
        self._stage = "measure"
        self._identity = replace(self._identity, version=http_client.engine_version(base_url))
        with Client(base_url, served_model, self._plan, self._origin_s) as server:
            watch = self._context.watch.recorded
            return walk.walk(self._plan, server, self._run_log, watch, self._run_salt or "")

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Seal what was recorded when the block ends, however it ends.

        Where even that fails, the first error says so.
        """
        try:
            yield
            if not self._is_sealed:
                self._seal(None)
        except BaseException as error:
            if not self._is_sealed:
                self._seal_after(error)
            if isinstance(error, RunError):
                error.next_step = error.next_step.replace(BUNDLE, str(self.path))
            raise

    def take_over(self, path: Path, status: Status) -> None:
        """Take the bundle at `path`, which the client in its container sealed, for this run's."""
        self.path, self._is_sealed = path, True
        self._context.watch.sealed(path, status)

    def _seal_after(self, error: BaseException) -> None:
        try:
            self._seal(Failure(stage=self._stage, code=_failure_code(error)))
        except (KitError, OSError) as unsealed:
            _tell(error, f"what was recorded is lost: {unsealed}")

    def _seal(self, failure: Failure | None) -> None:
        """Redact, then write the bundle; Ctrl-C waits until it is there."""
        with interrupts.uninterrupted():
            name = self.path.name if failure is None else f"{self.path.name}-partial"
            files = bag.seal(self._payload(failure, self.collect(self._origin_s)))
            self.path = disk.write_folder(self.path.with_name(name), files)
            self._is_sealed = True
            self._context.watch.sealed(
                self.path, Status.PARTIAL if failure is not None else Status.COMPLETE
            )

    def _payload(self, failure: Failure | None, attachments: Attachments) -> dict[str, bytes]:
        metrics = {name: redact(text, self.private) for name, text in self._run_log.metrics.items()}
        return bag.payload(
            self._document(failure, attachments),
            tuple(self._run_log.records),
            metrics,
            Attachments(
                server_log=self._redacted(attachments.server_log),
                nccl_log=self._redacted(attachments.nccl_log),
                telemetry=attachments.telemetry,
                host_facts=attachments.host_facts,
            ),
        )

    def _redacted(self, log: bytes | None) -> bytes | None:
        return None if log is None else redact(log, self.private)

    def _document(self, failure: Failure | None, attachments: Attachments) -> Document:
        return Document(
            schema_version=SCHEMA_VERSION,
            kit_version=__version__,
            status=Status.PARTIAL if failure else Status.COMPLETE,
            failure=failure,
            runtime=self._runtime,
            host_id=self._host_id,
            plan=self._plan,
            plan_digest=self._plan.digest(),
            run_salt=self._run_salt,
            clock=Clock(
                start_utc=_utc(self._start_utc),
                end_utc=_utc(datetime.now(UTC)),
                end_s=round(time.monotonic() - self._origin_s, 6),
            ),
            engine=self._identity,
            host=probes.host(self._load_before, probes.load()),
            packages=probes.packages(),
            absent=self._absent(attachments),
        )

    def _absent(self, attachments: Attachments) -> dict[str, str]:
        """Name the evidence that this run could not have, each with its reason."""
        engine = self._plan.engine
        on_gpu = engine is not None and engine.device is Device.GPU
        absent = {} if on_gpu else {"telemetry": "not collected on CPU"}
        if on_gpu and attachments.telemetry is None:
            absent["telemetry"] = "the sampler wrote nothing that can be read"
        if on_gpu and attachments.nccl_log is None:
            absent["nccl_log"] = "NCCL wrote nothing: one rank alone does not use it"
        if self._runtime is Runtime.DOCKER and attachments.host_facts is None:
            reason = (
                "started by `docker compose`, not by the kit, which alone can look from the host"
            )
            absent |= dict.fromkeys(("host_facts", "model_files"), reason)
        if self._runtime is Runtime.ENDPOINT:
            absent = dict.fromkeys(
                ("engine", "server_log", "model_files", "telemetry"),
                "the server was started by somebody else",
            )
        if not self._run_log.metrics:
            absent["metrics"] = "the server told no counters"
        if self._plan.dialect is not Dialect.VLLM:
            absent["token_ids"] = "the server does not return token ids"
        return absent


def request_failed(record: Record) -> RunError:
    """Word the failure of a request that ended a run."""
    code = record.error.value if record.error else "unknown"
    request = f"{record.phase.value} pass {record.pass_number}, prompt {record.prompt_id}"
    return RunError(
        f"a request failed with {code} after {record.wall_s:.1f} s ({request})",
        _CAUSES.get(record.error, "the server is not an OpenAI-compatible one, or is damaged"),
        f"kit verify {BUNDLE}",
        code=code,
    )


def _failure_code(error: BaseException) -> str:
    match error:
        case RunError():
            return error.code
        case MachineError():
            return "machine-lacks"
        case KeyboardInterrupt():
            return "interrupted"
        case _:
            return "internal"


def _tell(error: BaseException, more: str) -> None:
    """Say more with an error that is on its way to the user."""
    if isinstance(error, KitError):
        error.what = f"{error.what}; {more}"
    else:
        error.add_note(more)


def _slug(plan: Plan) -> str:
    """Return the cell's name as part of a file's name, which may not be longer than 255 bytes."""
    cell = plan.cell
    words = (cell.model, cell.topology, cell.suite)
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", word)[:64] for word in words)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
