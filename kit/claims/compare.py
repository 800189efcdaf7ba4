"""Two bundles of a cell, or two folders of them: what differs in their making, then in numbers.

A table of facts (`ASPECTS`) says what was set and where; where a setting differs there are numbers
and no verdict, because they may differ for that reason alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from kit.bundle.record import Record
from kit.check.evidence import Evidence
from kit.check.topology.options import planned_options
from kit.check.verify import Verified
from kit.figures import intervals, latency, throughput, window
from kit.figures.intervals import Interval
from kit.format import canonical
from kit.plan.plan import Cell
from kit.plan.schedule import Phase

Facts = Mapping[str, str]


class Likeness(Enum):
    """`alike`: the ratio's interval holds 1. `settings`: they differ, so there is no verdict."""

    ALIKE = "alike"
    DIFFERENT = "different"
    SETTINGS = "settings differ"
    TOO_FEW = "too few passes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Aspect:
    """A kind of facts of a bundle; where a fact that matters differs, numbers cannot be judged."""

    name: str
    matters: bool
    read: Callable[[Evidence], Facts]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A fact that differs: each side's values, each once; `matters` as of its aspect."""

    aspect: str
    fact: str
    first: str
    second: str
    matters: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A number on both sides, and the second over the first with its interval."""

    name: str
    unit: str
    first: float
    second: float
    interval: Interval | None

    @property
    def ratio(self) -> float:
        """The second over the first."""
        return self.second / self.first


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One cell on both sides; `contrasts` begin with the rate."""

    cell: Cell
    starts: tuple[int, int]
    differences: tuple[Difference, ...]
    contrasts: tuple[Contrast, ...]

    @property
    def likeness(self) -> Likeness:
        """What the rates say, where settings let them."""
        if any(difference.matters for difference in self.differences):
            return Likeness.SETTINGS
        bounds = self.contrasts[0].interval if self.contrasts else None
        if bounds is None:
            return Likeness.TOO_FEW
        return Likeness.ALIKE if bounds.low <= 1 <= bounds.high else Likeness.DIFFERENT


def compare(first: Sequence[Verified], second: Sequence[Verified]) -> Iterator[Comparison]:
    """Compare the cells that both sides have; two single bundles even of two cells."""
    ours, theirs = _by_cell(first), _by_cell(second)
    if len(ours) == len(theirs) == 1:
        ((cell, some),), ((_, others),) = ours.items(), theirs.items()
        yield _compared(cell, some, others)
        return
    for cell in ours:
        if cell in theirs:
            yield _compared(cell, ours[cell], theirs[cell])


def _by_cell(side: Sequence[Verified]) -> Mapping[Cell, list[Verified]]:
    cells: dict[Cell, list[Verified]] = {}
    for verified in side:
        if verified.evidence is not None:
            cells.setdefault(verified.evidence.document.plan.cell, []).append(verified)
    return cells


def _compared(cell: Cell, first: Sequence[Verified], second: Sequence[Verified]) -> Comparison:
    sides = _evidence(first), _evidence(second)
    return Comparison(
        cell=cell,
        starts=(len(first), len(second)),
        differences=tuple(_differences(*sides)),
        contrasts=tuple(_contrasts(first, second)),
    )


def _evidence(side: Sequence[Verified]) -> list[Evidence]:
    return [verified.evidence for verified in side if verified.evidence is not None]


def _differences(first: Sequence[Evidence], second: Sequence[Evidence]) -> Iterator[Difference]:
    for aspect in ASPECTS:
        ours, theirs = _values(aspect, first), _values(aspect, second)
        for fact in dict.fromkeys((*ours, *theirs)):
            values = ours.get(fact, "-"), theirs.get(fact, "-")
            if values[0] != values[1]:
                yield Difference(
                    aspect=aspect.name,
                    fact=fact,
                    first=values[0],
                    second=values[1],
                    matters=aspect.matters,
                )


def _values(aspect: Aspect, side: Sequence[Evidence]) -> Facts:
    """Return each fact's values on one side, each once."""
    found: dict[str, list[str]] = {}
    for evidence in side:
        for fact, value in aspect.read(evidence).items():
            values = found.setdefault(fact, [])
            if value not in values:
                values.append(value)
    return {fact: " | ".join(sorted(values)) for fact, values in found.items()}


def _plan(evidence: Evidence) -> Facts:
    plan = evidence.document.plan
    prompts = canonical.digest((plan.system, plan.prompts))[:16]
    sampling = {name: str(getattr(plan.sampling, name)) for name in plan.sampling.__struct_fields__}
    return {
        "model": plan.cell.model,
        "topology": plan.cell.topology,
        "suite": plan.cell.suite,
        "agents": str(plan.cell.agents or 1),
        "protocol": plan.protocol.value,
        "cache": plan.cache.value,
        "connection": plan.connection.value,
        "dialect": plan.dialect.value,
        "prompts": prompts,
        **sampling,
    }


def _passes(evidence: Evidence) -> Facts:
    plan = evidence.document.plan
    return {"measured": str(plan.measured_passes), "duration_s": str(plan.duration_s or "-")}


def _release(evidence: Evidence) -> Facts:
    document = evidence.document
    return {
        "kit": document.kit_version,
        "engine": document.engine.version or "-",
        "build": document.engine.build or "-",
        "runtime": document.runtime.value,
    }


def _flags(evidence: Evidence) -> Facts:
    """Return the server's arguments by its own log, else by the plan."""
    log, engine = evidence.observed.server_log, evidence.document.plan.engine
    given = None if log is None or not log.arguments else log.arguments[0]
    if given is not None:
        return {name: value for name, value in given if name not in _OF_THE_MACHINE}
    if engine is None:
        return {}
    return {name: word or "true" for name, word in planned_options(engine.command).items()}


def _engine(evidence: Evidence) -> Facts:
    """Return what the engine made of its arguments, by its log and the labels of its metrics."""
    log = evidence.observed.server_log
    settings = dict(log.settings) if log is not None else {}
    labels = {name: value for labels in evidence.observed.cache_configs for name, value in labels}
    kept = {name: labels[name] for name in _OF_THE_CACHE if name in labels}
    return {name: value for name, value in settings.items() if name not in _OF_THE_MACHINE} | kept


def _environment(evidence: Evidence) -> Facts:
    engine = evidence.document.plan.engine
    return dict(engine.environment) if engine is not None else {}


def _host(evidence: Evidence) -> Facts:
    host, telemetry = evidence.document.host, evidence.observed.telemetry
    gpus = [] if telemetry is None else [gpu.name for gpu in telemetry.header.inventory.gpus]
    driver = None if telemetry is None else telemetry.header.inventory.driver_version
    return {
        "host": evidence.document.host_id[:8],
        "processor": host.cpu_model or "-",
        "cores": str(host.cpu_count),
        "kernel": host.kernel,
        "GPUs": ", ".join(gpus) or "-",
        "driver": driver or "-",
    }


def _clocks(evidence: Evidence) -> Facts:
    telemetry = evidence.observed.telemetry
    gpus = () if telemetry is None else telemetry.header.inventory.gpus
    limits = {f"power limit of GPU {gpu.index}": f"{gpu.power_limit_w or 0:.0f} W" for gpu in gpus}
    return {"governor": evidence.document.host.governor or "-"} | limits


def _cache(evidence: Evidence) -> Facts:
    """Return the share of the measured prompts that came from the cache, to 1 %."""
    measured = [it for it in evidence.answered if it.phase is Phase.MEASURED]
    prompts = sum(record.prompt_tokens or 0 for record in measured)
    cached = sum(record.cached_tokens or 0 for record in measured)
    return {"cached prompt tokens": f"{cached / prompts:.0%}"} if prompts else {}


_OF_THE_MACHINE = ("host", "model", "model_tag", "port", "served_model_name", "tokenizer")
_OF_THE_CACHE = ("block_size", "cache_dtype", "enable_prefix_caching", "gpu_memory_utilization")

ASPECTS = (
    Aspect(name="plan", matters=True, read=_plan),
    Aspect(name="release", matters=True, read=_release),
    Aspect(name="server flag", matters=True, read=_flags),
    Aspect(name="engine", matters=True, read=_engine),
    Aspect(name="environment", matters=True, read=_environment),
    Aspect(name="passes", matters=False, read=_passes),
    Aspect(name="host", matters=False, read=_host),
    Aspect(name="clocks", matters=False, read=_clocks),
    Aspect(name="cache", matters=False, read=_cache),
)


def _contrasts(first: Sequence[Verified], second: Sequence[Verified]) -> Iterator[Contrast]:
    sides = [
        [(it.bundle.records, it.bundle.document.plan.cell.agents) for it in side if it.bundle]
        for side in (first, second)
    ]
    if not all(sides):
        return
    for name, unit, samples_of in _NUMBERS:
        samples = [[value for one in side for value in samples_of(*one)] for side in sides]
        if not all(samples):
            continue
        ours, theirs = (latency.geometric_mean(values) for values in samples)
        starts = min(map(len, sides))
        bounds = intervals.ratio_interval(samples[1], samples[0], theirs / ours, starts)
        yield Contrast(name=name, unit=unit, first=ours, second=theirs, interval=bounds)


def _rates(records: Sequence[Record], agents: int | None) -> Sequence[float]:
    """Return the rate of each pass, of agents that of its steady window."""
    if agents is None:
        return [part.tokens_per_s for part in throughput.by_pass(records).values()]
    measured = [record for record in records if record.phase is Phase.MEASURED]
    return [one.throughput.tokens_per_s for one in window.windows_of(measured, agents)]


def _first_tokens(records: Sequence[Record], _agents: int | None) -> Sequence[float]:
    return [1e3 * value for value in latency.times_to_first_token(records) if value > 0]


def _between_tokens(records: Sequence[Record], _agents: int | None) -> Sequence[float]:
    """Return the mean of each streamed response: its tokens' gaps are no samples of their own."""
    gaps = (latency.inter_token_latencies([record]) for record in records)
    return [1e3 * mean for one in gaps if one and (mean := fmean(one)) > 0]


_NUMBERS = (
    ("rate", "tok/s", _rates),
    ("time to first token", "ms", _first_tokens),
    ("inter-token latency", "ms", _between_tokens),
)
