"""Valid bundles without an engine: a simulated server answers a real plan.

Tests edit a draft, or the sealed files, and look for the code that names the edit.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec
from msgspec.structs import replace

from kit.bundle import bag, load, telemetry
from kit.bundle.bag import Attachments
from kit.bundle.document import (
    SCHEMA_VERSION,
    Calibration,
    Clock,
    Document,
    EngineIdentity,
    Failure,
    Host,
    Load,
    ModelFile,
    Runtime,
    Status,
)
from kit.bundle.host_facts import BASE_LABEL, Container, DeviceRequest, HostFacts
from kit.bundle.load import LoadSample
from kit.bundle.record import ErrorCode, Moment, Record
from kit.bundle.telemetry import Telemetry
from kit.check.finding import Outcome, Verdict
from kit.check.verify import known, verify
from kit.format import canonical
from kit.plan import plan, schedule
from kit.plan.plan import CachePolicy, Choices, Dialect, Plan
from kit.plan.schedule import Phase, Request
from tests.catalog import BASE_IMAGE, CATALOG, ROOT, TOKENIZER_SHA256, TWIN
from tests.fake_logs import NCCL_LOGS, server_log
from tests.fake_server import FakeServer
from tests.fake_telemetry import TOPOLOGY_MATRIX, telemetry_of
from tests.settings import Settings, utc


@dataclass(kw_only=True, slots=True)
class Draft:
    """A bundle before it is sealed: what a forger would edit."""

    document: Document
    records: list[Record]
    metrics: dict[str, bytes]
    server_log: bytes | None = None
    nccl_log: bytes | None = None
    telemetry: Telemetry | None = None
    host_facts: HostFacts | None = None
    load: tuple[LoadSample, ...] | None = None

    def seal(self) -> dict[str, bytes]:
        """Return the bag's files."""
        samples = None if self.telemetry is None else telemetry.write(self.telemetry)
        payload = bag.payload(
            self.document,
            tuple(self.records),
            self.metrics,
            Attachments(
                server_log=self.server_log,
                nccl_log=self.nccl_log,
                telemetry=samples,
                host_facts=None if self.host_facts is None else canonical.encode(self.host_facts),
                load=None if self.load is None else load.write(self.load),
            ),
        )
        return bag.seal(payload)


def draft(settings: Settings | None = None, server: FakeServer | None = None) -> Draft:
    """Simulate one run, with the usual server or another."""
    settings = (settings or Settings()).startable()
    planned = _plan(settings)
    server = server or FakeServer(settings=settings, noise=random.Random(settings.seed))
    made = Draft(document=_document(settings, planned), records=[], metrics={})
    _walk(settings, planned, server, made)
    end_s = round(server.now_s + 0.5, 6)
    made.document = replace(
        made.document,
        clock=Clock(start_utc=utc(0.0), end_utc=utc(end_s), end_s=end_s),
        absent=_absent(settings, has_metrics=bool(made.metrics)),
    )
    if settings.is_own_engine:
        made.server_log = server_log(settings, made.records, server.kv_tokens)
    if settings.runtime is Runtime.DOCKER:
        made.host_facts = host_facts(made.document, settings)
    if settings.on_gpu:
        made.nccl_log = NCCL_LOGS.get(settings.engine.transport)
        made.telemetry = telemetry_of(utc(0.0), end_s)
    return made


def _plan(settings: Settings) -> Plan:
    choices = Choices(
        protocol=settings.protocol,
        passes=settings.passes,
        agents=settings.agents,
        duration_s=settings.duration_s,
        eager=settings.eager,
        prefix_caching=settings.prefix_caching,
        cache=settings.cache,
        rehearsal=settings.rehearsal,
    )
    suite = settings.catalog.suites[settings.suite]
    if not settings.is_own_engine:
        return plan.plan_endpoint("some/model", suite, choices, settings.dialect, 16)
    model = settings.catalog.models[settings.model]
    return plan.plan_engine(model, settings.template, settings.topology, suite, choices)


def _walk(settings: Settings, planned: Plan, server: FakeServer, made: Draft) -> None:
    """Send the plan's requests, and collect records and metrics."""
    if planned.cell.agents is not None:
        walk_together(planned, server, made)
        return
    for position, request in enumerate(schedule.requests(planned)):
        name = f"{request.phase.value}-{request.pass_number}"
        if position % len(planned.prompts) == 0 and settings.has_metrics:
            made.metrics[f"{name}-before"] = server.metrics()
        if position == settings.stop_after:
            made.records.append(_timed_out(request, server.now_s))
            server.now_s += 1.0
            break
        made.records.append(server.send(planned, request))
        if (position + 1) % len(planned.prompts) == 0 and settings.has_metrics:
            made.metrics[f"{name}-after"] = server.metrics()


def walk_together(planned: Plan, server: FakeServer, made: Draft) -> None:
    """Let agents send the plan's requests: each when it is free; nobody slows another down."""
    by_pass = groupby(schedule.requests(planned), key=lambda it: (it.phase, it.pass_number))
    samples: list[LoadSample] = []
    for (phase, number), requests in by_pass:
        made.metrics[f"{phase.value}-{number}-before"] = server.metrics()
        free_s = dict.fromkeys(range(planned.cell.agents or 1), server.now_s)
        records = []
        for request in requests:
            agent = min(free_s, key=free_s.__getitem__)
            server.now_s = free_s[agent]
            records.append(replace(server.send(planned, request), agent=agent))
            free_s[agent] = server.now_s
        server.now_s = max(free_s.values())
        samples += _samples(records)
        made.records += records
        made.metrics[f"{phase.value}-{number}-after"] = server.metrics()
    made.load = tuple(samples)


def _samples(records: Sequence[Record]) -> Iterator[LoadSample]:
    """Yield what a server says of its load, twice a second."""
    start_s = records[0].sent_s
    end_s = max(record.sent_s + record.wall_s for record in records)
    for step in range(int((end_s - start_s) * 2)):
        at_s = start_s + 0.25 + step / 2
        running = sum(
            record.sent_s <= at_s <= record.sent_s + record.wall_s + 0.01 for record in records
        )
        agents = 1 + max(record.agent or 0 for record in records)
        yield LoadSample(
            t_s=round(at_s, 6),
            running=float(min(running, agents)),
            waiting=0.0,
            preemptions=0.0,
            kv_cache_ratio=0.1,
        )


def _timed_out(request: Request, now_s: float) -> Record:
    return Record(
        phase=request.phase,
        pass_number=request.pass_number,
        prompt_id=request.prompt_id,
        seed=request.seed,
        sent_s=round(now_s, 6),
        wall_s=0.7,
        chunks=() if request.phase is Phase.STREAM else None,
        error=ErrorCode.TIMED_OUT,
    )


def _document(settings: Settings, planned: Plan) -> Document:
    """Return the document of a run whose end is not known yet."""
    is_complete = settings.stop_after is None
    return Document(
        schema_version=SCHEMA_VERSION,
        kit_version="0.1.0",
        status=Status.COMPLETE if is_complete else Status.PARTIAL,
        failure=None if is_complete else Failure(stage="measure", code="timed-out"),
        runtime=settings.runtime,
        host_id="0123456789abcdef" * 2,
        plan=planned,
        plan_digest=planned.digest(),
        run_salt="5a" * 16 if settings.cache is CachePolicy.COLD else None,
        clock=Clock(start_utc=utc(0.0), end_utc=utc(0.0), end_s=0.0),
        calibrations=tuple(_calibrations(planned, is_complete=is_complete)),
        engine=_identity(settings),
        host=Host(
            system="Linux",
            kernel="6.1.0",
            machine="x86_64",
            python="3.11.7",
            cpu_model="A CPU",
            cpu_count=2,
            memory_bytes=8 * 2**30,
            governor="performance",
            load_before=Load(load_average=0.1, steal_ratio=0.0),
            load_after=Load(load_average=1.4, steal_ratio=0.001),
        ),
        packages={"msgspec": "0.21.0"},
        absent={},
    )


def _calibrations(planned: Plan, *, is_complete: bool) -> Iterator[Calibration]:
    for moment in Moment if is_complete else (Moment.BEFORE,):
        yield Calibration(
            moment=moment,
            streams=planned.cell.agents or 1,
            wall_error_s=0.0002,
            ttft_error_s=0.0002,
            inter_token_error_s=-1e-06,
            server_late_s=1e-05,
        )


def _identity(settings: Settings) -> EngineIdentity:
    """Return what is known of an engine: of one in a container, what the host says of its image."""
    if not settings.is_own_engine:
        return EngineIdentity()
    files = (
        ModelFile(name="model.safetensors", size_bytes=9, sha256=TWIN.sha256),
        ModelFile(name="tokenizer.json", size_bytes=9, sha256=TOKENIZER_SHA256),
    )
    if settings.runtime is Runtime.DOCKER:
        return EngineIdentity(version="0.17.0", model_files=files)
    return EngineIdentity(
        version="0.17.0",
        build="cpu",
        lock_sha256="cd" * 32,
        cores=tuple(range(settings.engine.tensor_parallel_size)),
        model_files=files,
    )


def _absent(settings: Settings, *, has_metrics: bool) -> dict[str, str]:
    """Return the evidence that a run does not have, with the reasons."""
    absent = {} if settings.on_gpu else {"telemetry": "not collected on CPU"}
    if not settings.is_own_engine:
        absent |= dict.fromkeys(("engine", "server_log", "model_files"), "somebody else's server")
    if not has_metrics:
        absent["metrics"] = "the server told no counters"
    if settings.dialect is not Dialect.VLLM:
        absent["token_ids"] = "the server does not return token ids"
    return absent


def host_facts(document: Document, settings: Settings) -> HostFacts:
    """Return what the host writes of a run in containers."""
    return HostFacts(
        host_id=document.host_id,
        docker_version="26.1.5",
        compose_version="2.26.1",
        containers=tuple(_containers(settings)),
        model_files=document.engine.model_files or (),
        gpu_processes=() if settings.on_gpu else None,
        topology_matrix=TOPOLOGY_MATRIX if settings.on_gpu else None,
    )


def _containers(settings: Settings) -> Iterator[Container]:
    """Yield client and engine, and on GPUs the container that measures telemetry."""
    model, ranks = settings.model, settings.engine.tensor_parallel_size
    yield _container(f"client-{model}", "client")
    if not settings.on_gpu:
        yield _container(model, model)
        return
    gpus = DeviceRequest(
        driver="nvidia", device_ids=tuple(map(str, range(ranks))), capabilities=("gpu",)
    )
    yield _container(model, model, gpus)
    yield _container(f"telemetry-{model}", "client", replace(gpus, capabilities=("utility",)))


def _container(service: str, image: str, *requests: DeviceRequest) -> Container:
    return Container(
        service=service,
        image=f"kit/{image}:0.1.0",
        image_id=f"sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        image_digest="sha256:" + "cd" * 32,
        image_labels={BASE_LABEL: BASE_IMAGE},
        device_requests=requests,
        memory_bytes=2**31,
        pids=256,
        shm_bytes=2**30,
        read_only=True,
        capabilities_dropped=("ALL",),
    )


def schemas() -> dict[str, Mapping[str, Any]]:
    """Return the JSON Schemas of the checkout by name."""
    return {
        path.name.removesuffix(".schema.json"): msgspec.json.decode(path.read_bytes())
        for path in (ROOT / "schemas").glob("*.schema.json")
    }


KNOWN = known(schemas(), CATALOG)


def judge(files: Mapping[str, bytes]) -> Verdict:
    """Verify some files as a bundle."""
    return verify("case", files, (), KNOWN).verdict


def outcomes_of(made: Draft, code: str) -> set[Outcome]:
    """Return the outcomes of a code's findings."""
    return {finding.outcome for finding in judge(made.seal()).findings if finding.code == code}


def change_record(made: Draft, position: int, **fields: object) -> None:
    """Set fields of one record of a draft."""
    made.records[position] = replace(made.records[position], **fields)


def change_plan(made: Draft, **fields: object) -> None:
    """Set fields of the plan, and renew its digest, as a forger would."""
    changed = replace(made.document.plan, **fields)
    made.document = replace(made.document, plan=changed, plan_digest=changed.digest())
