"""Bundles of the article's six cells, simulated at the published rates with noise.

Each start of the engine, each pass and each request has noise of its own. No GPU was used: see
`tests/fake_logs.py` and `tests/fake_telemetry.py`.
"""

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate

from msgspec.structs import replace

from kit.bundle.document import ModelFile
from kit.bundle.record import FinishReason, Record
from kit.check.evidence import Catalog
from kit.check.verify import Known, Verified, known, verify
from kit.claims import reference
from kit.claims.eligible import EligibleBundle, load
from kit.claims.formula import CellName
from kit.claims.reference import Reference
from kit.claims.verdict import Excluded
from kit.plan.models import HubFile, HubModel
from kit.plan.plan import Plan, ProtocolName
from kit.plan.schedule import Phase, Request, is_streamed
from kit.plan.suite import Prompt, Suite, SuiteMode
from tests.catalog import BASE_IMAGE, ENGINES, GPUS, ROOT, SHAPES
from tests.edits.telemetry import each_card, set_header, with_samples
from tests.factory import Draft, draft, host_facts, schemas
from tests.fake_server import FakeServer
from tests.settings import BLOCK_TOKENS, Settings

TASKS = ("impl", "debug", "test", "refactor", "design")
SUITE = Suite(
    id="single",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=tuple(Prompt(id=task, text=f"Do the task {task}.") for task in TASKS),
)

SWARM = Suite(
    id="swarm",
    mode=SuiteMode.CONCURRENT,
    max_tokens=8192,
    system=SUITE.system,
    prompts=tuple(Prompt(id=f"task-{number}", text=f"Task {number}.") for number in range(64)),
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
    suites={SUITE.id: SUITE, SWARM.id: SWARM},
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
CACHED_TOKENS = (PROMPT_TOKENS - 1) // BLOCK_TOKENS * BLOCK_TOKENS
TOKENS = 400
TTFT_S = {"moe": 0.06, "dense": 0.2, "moe-fp8": 0.07}
GPU = "NVIDIA GeForce RTX 3090"

START_DEVIATION = 0.0065
PASS_DEVIATION = 0.003
REQUEST_DEVIATION = 0.002
"""Relative: half of the scatter of the author's repeats, and that of an undisturbed machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One cell on one host; its rates are below the published ones by the share `slower`.

    A cell of agents (`moe@tp1:4`, and `:1`) has the rate of a table of effective throughput in
    `published`.
    """

    cell: str
    published: str = "article-part-2"
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
        topology, _, agents = topology.partition(":")
        return CellName(model, topology, int(agents or 1))

    @property
    def agents(self) -> int | None:
        return self.name.agents if ":" in self.cell else None

    def rate(self, task: str) -> float:
        """Return the rate of one request in tok/s, as published."""
        if self.agents is None:
            return rates(self.cell)[task]
        together = references()[self.published].cells[str(self.name)].rate
        return float(together) / self.agents


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
class PublishedServer(FakeServer):
    """A server that answers at the published rates; `start` is the noise of its start."""

    shape: Shape
    start: float
    pass_noise: dict[tuple[Phase, int], float] = field(default_factory=dict)

    def send(self, plan: Plan, request: Request) -> Record:
        """Answer one request with about 400 tokens."""
        tokens = TOKENS + self.noise.randrange(40)
        wall_s = self._wall_s(request, tokens)
        cached = CACHED_TOKENS if request.prompt_id in self.prompts_seen else 0
        self.prompts_seen.add(request.prompt_id)
        chunks = self._count_tokens(plan, request, tokens, wall_s, cached)
        ids = tuple(self.noise.randrange(1000) for _ in range(tokens))
        record = Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            sent_s=round(self.now_s, 6),
            wall_s=round(wall_s, 6),
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

    def _wall_s(self, request: Request, tokens: int) -> float:
        drawn = self.noise.gauss(0, PASS_DEVIATION)
        of_pass = self.pass_noise.setdefault((request.phase, request.pass_number), drawn)
        scatter = self.start + of_pass + self.noise.gauss(0, REQUEST_DEVIATION)
        rate = self.shape.rate(request.prompt_id) * (1 - self.shape.slower) * (1 + scatter)
        return tokens / rate

    def _count_tokens(
        self, plan: Plan, request: Request, tokens: int, wall_s: float, cached: int
    ) -> tuple[tuple[float, int], ...] | None:
        """Count a request, and return its chunks if it is streamed."""
        first_s = 0.9 * TTFT_S[self.shape.name.model]
        last_s = wall_s - self.noise.uniform(0.0005, 0.001)
        budget = plan.sampling.max_tokens
        self.count(tokens, PROMPT_TOKENS, cached, (first_s, last_s), budget, FinishReason.STOP)
        return self._chunks(tokens, wall_s) if is_streamed(plan, request.phase) else None

    def _chunks(self, tokens: int, wall_s: float) -> tuple[tuple[float, int], ...]:
        first_s = TTFT_S[self.shape.name.model] * self.noise.uniform(0.9, 1.1)
        steps = [self.noise.uniform(0.9, 1.1) for _ in range(tokens - 1)]
        pace_s = (wall_s - 0.001 - first_s) / sum(steps)
        arrivals_s = accumulate((step * pace_s for step in steps), initial=first_s)
        return tuple((round(arrival_s, 6), 1) for arrival_s in arrivals_s)


def cell_draft(shape: Shape) -> Draft:
    """Return the draft of one cell's bundle."""
    model, topology = shape.name.model, shape.name.topology
    settings = Settings(
        topology=topology,
        model=model,
        protocol=shape.protocol,
        passes=shape.passes,
        seed=shape.seed,
        suite=SUITE.id if shape.agents is None else SWARM.id,
        agents=shape.agents,
        catalog=CATALOG,
    )
    noise = random.Random(f"{shape.seed} {shape.cell}")
    start = noise.gauss(0, shape.start_deviation)
    kv_tokens = KV_TOKENS[f"{model}@{topology}"]
    server = PublishedServer(
        settings=settings, noise=noise, kv_tokens=kv_tokens, shape=shape, start=start
    )
    made = draft(settings, server)
    engine = replace(made.document.engine, model_files=_model_files(model))
    made.document = replace(made.document, host_id=f"{shape.host:032x}", engine=engine)
    made.host_facts = host_facts(made.document, settings.startable())
    _set_loaded_weights(made, CHECKPOINT_BYTES[model] / settings.engine.tensor_parallel_size)
    _set_cards(made, shape.gpu)
    return made


@cache
def eligible(shape: Shape) -> EligibleBundle | Excluded:
    """Return the bundle of this shape as claims load it, or why it is excluded."""
    return load_draft(shape.cell, cell_draft(shape))


def load_draft(path: str, made: Draft, known_here: Known = KNOWN) -> EligibleBundle | Excluded:
    """Seal and verify a draft, and load it as claims do."""
    return load(verify_draft(path, made, known_here))


def verify_draft(path: str, made: Draft, known_here: Known = KNOWN) -> Verified:
    """Seal and verify a draft."""
    return verify(path, made.seal(), (), known_here)


def six(seed: int = 1, **changes: object) -> Sequence[EligibleBundle | Excluded]:
    """Return the six cells of one seed; `changes` are of all their shapes."""
    return tuple(
        eligible(dataclasses.replace(Shape(cell=cell, seed=seed), **changes)) for cell in CELLS
    )


def _model_files(model: str) -> tuple[ModelFile, ...]:
    size = CHECKPOINT_BYTES[model]
    return (ModelFile(name="model.safetensors", size_bytes=size, sha256="ab" * 32),)


def _set_loaded_weights(made: Draft, size_bytes: float) -> None:
    """Let the log name a rank's share of the checkpoint as the memory of the weights."""
    assert made.server_log is not None
    loaded = f"Model loading took {size_bytes / 2**30:.2f} GiB".encode()
    made.server_log = re.sub(rb"Model loading took [0-9.]+ GiB", loaded, made.server_log)


def _set_cards(made: Draft, name: str) -> None:
    """Let the cards be of another model, and be sampled once a second, as the kit does."""
    capability = GPUS[name].compute_capability
    each_card(made, name=name, compute_capability=capability)
    set_header(made, interval_s=1.0)
    with_samples(made, lambda samples: (*samples[::10], samples[-1]))
