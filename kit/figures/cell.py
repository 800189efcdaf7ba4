"""The figures of one cell: computed by `kit.figures.summary`, shown by every report format."""

from dataclasses import dataclass

from kit.bundle.bag import Bundle
from kit.bundle.document import Status
from kit.figures.energy import Energy, NoEnergy
from kit.figures.goodput import Goodput
from kit.figures.intervals import Interval
from kit.figures.latency import LatencySummary
from kit.figures.sustained import Sustained
from kit.figures.throughput import Throughput
from kit.figures.window import SwarmFigures
from kit.plan.plan import Plan
from kit.plan.schedule import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptFigures:
    """One prompt, pooled over the measured passes; `throughput` is None if no request succeeded.

    `pass_rates` are in tok/s.
    """

    prompt_id: str
    throughput: Throughput | None
    pass_rates: tuple[float, ...]
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PassFigures:
    """One warm-up or measured pass; times are seconds from the start of the run.

    `requests` holds (sent, duration, tok/s) of each request. `complete`: every prompt of the plan
    was answered.
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
    """Observed latencies and their summary, in seconds."""

    samples_s: tuple[float, ...]
    summary: LatencySummary


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """The highest rate that memory bandwidth allows one request: bandwidth / weights per token."""

    tokens_per_s: float
    bytes_per_s: float
    gpus: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellFigures:
    """All figures of one bundle.

    `pass_rates` are those of the complete measured passes, in tok/s; `no_interval` says why
    `interval` is absent. `starts` counts the bundles in the report with the same host, plan and
    runtime. `tag` (` #2`) separates rows of the same model and topology; it is empty where there
    is only one. `roofline` is None if the GPUs or the model are unknown. Of a suite with agents
    there is `swarm`; then throughput is that of the steady windows, and `prompts` is empty.
    `goodput` is there where objectives were given, `sustained` of a run that went on for a time,
    `energy` of one on GPUs.
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
    swarm: SwarmFigures | None = None
    goodput: Goodput | None = None
    sustained: Sustained | None = None
    energy: Energy | NoEnergy | None = None

    @property
    def roofline_share(self) -> float | None:
        """The pooled rate over the roofline, from 0 to 1."""
        if self.roofline is None or self.pooled is None:
            return None
        return self.pooled.tokens_per_s / self.roofline.tokens_per_s

    @property
    def plan(self) -> Plan:
        """The plan of the run."""
        return self.bundle.document.plan

    @property
    def name(self) -> str:
        """Model and configuration, unescaped text from the bundle."""
        return f"{self.plan.cell.model} on {self.configuration}"

    @property
    def configuration(self) -> str:
        """Topology, agents and tag, unescaped text from the bundle."""
        agents = self.plan.cell.agents
        at_once = "" if agents is None else f", {agents} agent{'s' if agents > 1 else ''}"
        return f"{self.plan.cell.topology}{at_once}{self.tag}"

    @property
    def prompt_ids(self) -> tuple[str, ...]:
        """The columns of the throughput table, in the order of the suite."""
        return tuple(prompt.prompt_id for prompt in self.prompts)

    @property
    def is_partial(self) -> bool:
        """Whether the run stopped early."""
        return self.bundle.document.status is Status.PARTIAL

    @property
    def is_twin(self) -> bool:
        """Whether the model is a small twin of one of the article's models."""
        return self.plan.twin_of is not None
