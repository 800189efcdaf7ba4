"""The frozen figures of one cell, as `summary` computes them and every format shows them."""

from dataclasses import dataclass

from kit.bundle.bag import Bundle
from kit.bundle.document import Status
from kit.figures.intervals import Interval
from kit.figures.latency import LatencySummary
from kit.figures.throughput import Throughput
from kit.plan.plan import Plan
from kit.plan.schedule import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptFigures:
    """One column: pooled over the measured passes; nothing where no request succeeded."""

    prompt_id: str
    throughput: Throughput | None
    pass_rates: tuple[float, ...]
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PassFigures:
    """One warm-up or measured pass; times are seconds from the start of the run.

    `requests` holds (sent, duration, tok/s) of each request; `complete` tells whether every prompt
    of the plan was answered.
    """

    phase: Phase
    number: int
    complete: bool
    start_s: float
    end_s: float
    throughput: Throughput
    requests: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Observed latencies and their summary, all in seconds."""

    samples_s: tuple[float, ...]
    summary: LatencySummary


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """The highest rate that memory allows one request: bytes a second over a token's weights."""

    tokens_per_s: float
    bytes_per_s: float
    gpus: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellFigures:
    """Everything that a report says of one bundle.

    `pass_rates` are those of the complete measured passes, in tok/s; `no_interval` says why
    `interval` is absent; `starts` counts the bundles of this host and plan in the report. `tag`
    tells rows of the same model and topology apart (` #2`), and is empty where there is one only.
    `roofline` is absent where the GPUs or the model are not known.
    """

    bundle: Bundle
    tag: str
    starts: int
    pooled: Throughput | None
    pass_rates: tuple[float, ...]
    interval: Interval | None
    no_interval: str | None
    mean_of_columns: float | None
    prompts: tuple[PromptFigures, ...]
    passes: tuple[PassFigures, ...]
    time_to_first_token: Latency | None
    inter_token: Latency | None
    roofline: Roofline | None

    @property
    def roofline_share(self) -> float | None:
        """How much of the roofline the pooled rate is, from 0 to 1."""
        if self.roofline is None or self.pooled is None:
            return None
        return self.pooled.tokens_per_s / self.roofline.tokens_per_s

    @property
    def plan(self) -> Plan:
        """What the run was to do."""
        return self.bundle.document.plan

    @property
    def name(self) -> str:
        """Model and topology, as the bundle says them: escape before showing."""
        return f"{self.plan.cell.model} on {self.configuration}"

    @property
    def configuration(self) -> str:
        """Topology and tag; escape before showing."""
        return f"{self.plan.cell.topology}{self.tag}"

    @property
    def is_partial(self) -> bool:
        """Whether the run stopped short."""
        return self.bundle.document.status is Status.PARTIAL

    @property
    def is_twin(self) -> bool:
        """Whether a small twin stood in for a model."""
        return self.plan.twin_of is not None
