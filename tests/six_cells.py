"""Bundles of the article's six cells, as they would be if the article were right, with noise.

A cell's tasks run at their published rates, times what a start of the engine, a pass and a request
scatter by. No GPU was seen: logs and telemetry are those of `tests/gpu_evidence.py`.
"""

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from msgspec.structs import replace

from kit.bundle.document import Clock, ModelFile
from kit.bundle.record import FinishReason, Record
from kit.bundle.telemetry import Telemetry
from kit.check.evidence import Catalog
from kit.check.finding import Verdict
from kit.check.verify import Known, known, verify
from kit.claims import reference
from kit.claims.eligible import EligibleBundle, load
from kit.claims.formula import CellName
from kit.claims.reference import Reference
from kit.plan import plan, schedule
from kit.plan.models import HubFile, HubModel
from kit.plan.plan import Choices, Plan, ProtocolName
from kit.plan.schedule import Phase, Request
from kit.plan.suite import Prompt, Suite, SuiteMode
from tests.factory import (
    BASE_IMAGE,
    BLOCK_TOKENS,
    ENGINES,
    GPUS,
    ROOT,
    SHAPES,
    Draft,
    FakeServer,
    Settings,
    draft,
    host_facts,
    logged,
    schemas,
    utc,
)
from tests.gpu_evidence import telemetry_of

TASKS = ("impl", "debug", "test", "refactor", "design")
SUITE = Suite(
    id="single",
    mode=SuiteMode.SERIAL,
    system="Answer at once.",
    prompts=tuple(Prompt(id=task, text=f"Do the task {task}.") for task in TASKS),
)

CHECKPOINT_BYTES = {"moe": 16_900_000_000, "dense": 19_500_000_000, "moe-fp8": 31_000_000_000}
MODELS = {
    name: HubModel(
        id=name,
        repository=f"somebody/{name}",
        licence="Apache-2.0",
        revision="a1" * 20,
        config=SHAPES[name],
        files=(HubFile(name="model.safetensors", size_bytes=size, sha256="ab" * 32),),
    )
    for name, size in CHECKPOINT_BYTES.items()
}
CATALOG = Catalog(
    suites={SUITE.id: SUITE},
    models=MODELS,
    engines=ENGINES,
    gpus=GPUS,
    base_image=BASE_IMAGE,
)
KNOWN = known(schemas(), CATALOG)

KV_TOKENS = {
    "moe@tp1": 33_408,
    "moe@tp2-nvlink": 262_144,
    "moe@tp2-pcie": 262_144,
    "dense@tp1": 8_704,
    "dense@tp2-nvlink": 66_000,
    "dense@tp2-pcie": 66_000,
    "moe-fp8@tp2-nvlink": 131_504,
}
"""Just enough for the published context limits."""

PROMPT_TOKENS = 300
TOKENS = 400
TTFT_S = {"moe": 0.06, "dense": 0.2, "moe-fp8": 0.07}
GPU = "NVIDIA GeForce RTX 3090"

START_DEVIATION = 0.0065
PASS_DEVIATION = 0.003
REQUEST_DEVIATION = 0.002
"""In proportion: half of what the author's repeats scatter by, and an undisturbed machine's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What is run, and on what. `slower` is by how much the whole cell is slower than published."""

    cell: str
    seed: int = 1
    host: int = 1
    gpu: str = GPU
    slower: float = 0.0
    passes: int | None = 5
    protocol: ProtocolName = ProtocolName.KIT
    start_deviation: float = START_DEVIATION

    @property
    def name(self) -> CellName:
        model, topology = self.cell.split("@")
        return CellName(model, topology)


CELLS = tuple(f"{model}@{topology}" for model in ("moe", "dense")
              for topology in ("tp2-nvlink", "tp1", "tp2-pcie"))  # fmt: skip


@cache
def references() -> Mapping[str, Reference]:
    """Return the references of the checkout by id."""
    paths = sorted((ROOT / "results" / "published").glob("*.toml"))
    return reference.by_id([reference.parse(path.read_bytes(), path.name) for path in paths])


def rates(cell: str) -> Mapping[str, float]:
    """Return the published rate of each task, in tok/s; the FP8 pair has one for all tasks."""
    figures = references()["article-part-1"].cells.get(cell)
    if figures is not None:
        return {task: float(rate) for task, rate in figures.prompts.items()}
    return dict.fromkeys(TASKS, 0.87 * 169.7)


@dataclass(kw_only=True, slots=True)
class Machine:
    """A server that answers at the published rates; time passes only while it works."""

    shape: Shape
    noise: random.Random
    start: float
    counters: FakeServer
    budget: int
    now_s: float = 0.5
    passes: dict[tuple[Phase, int], float] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def send(self, request: Request) -> Record:
        tokens = TOKENS + self.noise.randrange(40)
        seconds = self._seconds(request, tokens)
        cached = (PROMPT_TOKENS - 1) // BLOCK_TOKENS * BLOCK_TOKENS
        cached = cached if request.prompt_id in self.seen else 0
        self.seen.add(request.prompt_id)
        first_s = 0.9 * TTFT_S[self.shape.name.model]
        first_and_last_s = (first_s, seconds - self._way())
        self.counters._count(
            tokens, PROMPT_TOKENS, cached, first_and_last_s, self.budget, FinishReason.STOP
        )
        pace_s = (seconds - first_s) / (tokens - 1)
        chunks = self._chunks(tokens, seconds) if request.phase is Phase.STREAM else None
        evenly_s = [number * pace_s for number in range(tokens)]
        self.counters._count_gaps([at_s for at_s, _ in chunks] if chunks else evenly_s)
        ids = tuple(self.noise.randrange(1000) for _ in range(tokens))
        record = Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            sent_s=round(self.now_s, 6),
            wall_s=round(seconds, 6),
            prompt_tokens=PROMPT_TOKENS,
            cached_tokens=cached or None,
            completion_tokens=tokens,
            finish_reason=FinishReason.STOP,
            prompt_token_ids=tuple(range(5, 5 + PROMPT_TOKENS)),
            token_ids=ids,
            text="".join(f" {token_id}" for token_id in ids),
            chunks=chunks,
        )
        self.now_s = record.sent_s + record.wall_s + self.noise.uniform(0.001, 0.002)
        return record

    def _seconds(self, request: Request, tokens: int) -> float:
        drawn = self.noise.gauss(0, PASS_DEVIATION)
        of_pass = self.passes.setdefault((request.phase, request.pass_number), drawn)
        scatter = self.start + of_pass + self.noise.gauss(0, REQUEST_DEVIATION)
        rate = rates(self.shape.cell)[request.prompt_id] * (1 - self.shape.slower) * (1 + scatter)
        return tokens / rate

    def _way(self) -> float:
        return self.noise.uniform(0.0005, 0.001)

    def _chunks(self, tokens: int, seconds: float) -> tuple[tuple[float, int], ...]:
        first_s = TTFT_S[self.shape.name.model] * self.noise.uniform(0.9, 1.1)
        steps = [self.noise.uniform(0.9, 1.1) for _ in range(tokens - 1)]
        pace_s = (seconds - 0.001 - first_s) / sum(steps)
        arrivals, at_s = [round(first_s, 6)], first_s
        for step in steps:
            at_s += step * pace_s
            arrivals.append(round(at_s, 6))
        return tuple((arrival, 1) for arrival in arrivals)


def made(shape: Shape) -> Draft:
    """Return the draft of one cell's bundle."""
    cell = shape.name
    settings = Settings(
        topology=cell.topology, model=cell.model, protocol=shape.protocol, seed=shape.seed
    )
    planned = plan.plan_engine(
        MODELS[cell.model],
        settings.engine,
        cell.topology,
        SUITE,
        Choices(protocol=shape.protocol, passes=shape.passes),
    )
    noise = random.Random(f"{shape.seed} {shape.cell}")
    start = noise.gauss(0, shape.start_deviation)
    counters = FakeServer(settings=settings, noise=noise, kv_tokens=KV_TOKENS[shape.cell])
    budget = planned.sampling.max_tokens
    machine = Machine(shape=shape, noise=noise, start=start, counters=counters, budget=budget)
    records, metrics = _walk(planned, machine)
    end_s = round(machine.now_s + 0.5, 6)
    base = draft(settings)
    base.document = replace(
        base.document,
        host_id=f"{shape.host:032x}",
        plan=planned,
        plan_digest=planned.digest(),
        clock=Clock(start_utc=utc(0.0), end_utc=utc(end_s), end_s=end_s),
        engine=replace(base.document.engine, model_files=_files(cell.model)),
    )
    base.host_facts = host_facts(base.document, settings)
    base.records, base.metrics = records, metrics
    base.server_log = _log(shape, settings, records)
    base.telemetry = _telemetry(shape, end_s)
    return base


@cache
def witness(shape: Shape) -> EligibleBundle | Verdict:
    """Return what the verifier makes of the bundle of this shape."""
    return heard(shape.cell, made(shape))


def heard(path: str, one: Draft, held_against: Known = KNOWN) -> EligibleBundle | Verdict:
    """Verify a draft's files, and hear what they say."""
    files = one.seal()
    return load(verify(path, files, (), held_against), files)


def six(seed: int = 1, **changes: object) -> Sequence[EligibleBundle | Verdict]:
    """Return the six cells of one seed; `changes` are of all their shapes."""
    return tuple(
        witness(dataclasses.replace(Shape(cell=cell, seed=seed), **changes)) for cell in CELLS
    )


def _walk(planned: Plan, machine: Machine) -> tuple[list[Record], dict[str, bytes]]:
    records: list[Record] = []
    metrics: dict[str, bytes] = {}
    for position, request in enumerate(schedule.requests(planned)):
        name = f"{request.phase.value}-{request.pass_number}"
        if position % len(planned.prompts) == 0:
            metrics[f"{name}-before"] = machine.counters.metrics()
        records.append(machine.send(request))
        if (position + 1) % len(planned.prompts) == 0:
            metrics[f"{name}-after"] = machine.counters.metrics()
    return records, metrics


def _files(model: str) -> tuple[ModelFile, ...]:
    size = CHECKPOINT_BYTES[model]
    return (ModelFile(name="model.safetensors", size_bytes=size, sha256="ab" * 32),)


def _log(shape: Shape, settings: Settings, records: list[Record]) -> bytes:
    """Return the server's log, with the memory that the published context limits take."""
    loaded_gib = CHECKPOINT_BYTES[shape.name.model] / 2**30 / settings.engine.tensor_parallel_size
    log = logged(records, settings, KV_TOKENS[shape.cell])
    told = f"Model loading took {loaded_gib:.2f} GiB".encode()
    return re.sub(rb"Model loading took [0-9.]+ GiB", told, log)


def _telemetry(shape: Shape, end_s: float) -> Telemetry:
    told = telemetry_of(utc(0.0), end_s)
    capability = GPUS[shape.gpu].compute_capability
    gpus = tuple(
        replace(gpu, name=shape.gpu, compute_capability=capability)
        for gpu in told.header.inventory.gpus
    )
    inventory = replace(told.header.inventory, gpus=gpus)
    header = replace(told.header, inventory=inventory, interval_s=1.0)
    return replace(told, header=header, samples=(*told.samples[::10], told.samples[-1]))
