"""What the tiers above the bytes look at: document, records by pass, and the server's counters."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar

from kit.bundle import bag, telemetry
from kit.bundle.document import Document, Runtime
from kit.bundle.host_facts import HostFacts
from kit.bundle.record import Moment, Record
from kit.bundle.telemetry import Sample, Telemetry
from kit.format.canonical import NotCanonical
from kit.parse import nccl_log, vllm_log, vllm_metrics
from kit.parse.detokenizer import Detokenizer
from kit.parse.nccl_log import NcclLog
from kit.parse.vllm_log import ServerLog
from kit.parse.vllm_metrics import Labels, Told
from kit.plan.models import Model
from kit.plan.plan import Engine
from kit.plan.schedule import Phase
from kit.plan.spec import Suite
from kit.roofline.gpus import Gpu

T = TypeVar("T")

ROUNDING_S = 2e-6
"""The client rounds times to 1 microsecond; a sum of three of them can be off by 1.5."""


DIGITS = 12
"""Of a label's number: longer ones are no sizes."""

_FROM_ZERO = (
    vllm_metrics.GENERATION_TOKENS,
    vllm_metrics.PROMPT_TOKENS,
    vllm_metrics.PREFIX_CACHE_HITS,
    vllm_metrics.E2E_LATENCY_COUNT,
)
"""Counters of vLLM 0.17 that are at 0 in a real engine's metrics from before its first request."""

Counters = Mapping[str, float]
"""Sample name to value, as `kit.parse.vllm_metrics.totals` gives them."""

MetricsKey = tuple[Phase, int, Moment]


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """What a checkout ships, by id: a plan is made of these, and is held against them.

    `engines` maps (topology, model) to the engine that the topology's Compose file describes;
    `gpus` says what hardware can do, by the name that its driver tells.
    `tokenizers` maps the SHA-256 of a tokenizer's file to what it says;
    `base_image` is the name, tag and digest that images stand on, None while no digest is known.
    """

    suites: Mapping[str, Suite]
    models: Mapping[str, Model]
    engines: Mapping[tuple[str, str], Engine]
    gpus: Mapping[str, Gpu]
    tokenizers: Mapping[str, Detokenizer] = field(default_factory=dict)
    base_image: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """The records of one pass, and the server's counters around it where they are known.

    `moves` tells by how much each counter moved over the pass.
    """

    phase: Phase
    number: int
    records: tuple[Record, ...]
    before: Counters | None
    after: Counters | None
    moves: Counters

    @property
    def name(self) -> str:
        return f"{self.phase.value}-{self.number}"

    def moved(self, counter: str) -> float | None:
        """Return by how much a counter moved over the pass; None where it cannot be told."""
        return self.moves.get(counter)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What logs and samples tell of the engine and its GPUs; None where there is none to read.

    `telemetry_fault` says what is wrong with telemetry that is there and cannot be read.
    `host_facts` are what the host wrote of a run in containers. The others are of the server's
    metrics: `finished` are its requests by why they ended, as the function of this name in
    `kit.parse.vllm_metrics` gives them; `served_names` the names that it served
    under and `cache_configs` the labels of `exposition.CACHE_CONFIG`, each different one once.
    """

    server_log: ServerLog | None = None
    nccl_log: NcclLog | None = None
    telemetry: Telemetry | None = None
    telemetry_fault: str | None = None
    host_facts: HostFacts | None = None
    finished: Mapping[MetricsKey, Counters] = field(default_factory=dict)
    served_names: tuple[str, ...] = ()
    cache_configs: tuple[Labels, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A bundle whose document and records could be read."""

    document: Document
    records: tuple[Record, ...]
    answered: tuple[Record, ...]
    passes: tuple[Pass, ...]
    metrics: Mapping[MetricsKey, Counters]
    observed: Observed
    has_server_log: bool

    @property
    def is_own_engine(self) -> bool:
        return self.document.runtime is not Runtime.ENDPOINT


def gather(
    document: Document,
    records: tuple[Record, ...],
    metrics: Mapping[MetricsKey, Counters],
    observed: Observed,
    *,
    has_server_log: bool,
) -> Evidence:
    """Group the records by pass, in the order of first appearance."""
    groups: dict[tuple[Phase, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.phase, record.pass_number), []).append(record)
    return Evidence(
        document=document,
        records=records,
        answered=tuple(record for record in records if record.error is None),
        passes=tuple(
            _pass(phase, number, tuple(members), metrics)
            for (phase, number), members in groups.items()
        ),
        metrics=metrics,
        observed=observed,
        has_server_log=has_server_log,
    )


def _pass(
    phase: Phase,
    number: int,
    records: tuple[Record, ...],
    metrics: Mapping[MetricsKey, Counters],
) -> Pass:
    before = metrics.get((phase, number, Moment.BEFORE))
    after = metrics.get((phase, number, Moment.AFTER))
    return Pass(
        phase=phase,
        number=number,
        records=records,
        before=before,
        after=after,
        moves={} if before is None or after is None else _moves(before, after),
    )


def _moves(before: Counters, after: Counters) -> Counters:
    if vllm_metrics.HTTP_BY_HANDLER_SUM in after:
        before = {vllm_metrics.HTTP_BY_HANDLER_SUM: 0.0, **before}
    return {
        name: move
        for name, value in after.items()
        if name in before and -math.inf < (move := value - before[name]) < math.inf
    }


class OfLogs(TypedDict, total=False):
    """What logs tell, as `Observed` has it."""

    server_log: ServerLog
    nccl_log: NcclLog
    telemetry: Telemetry
    telemetry_fault: str


def of_log(name: str, text: bytes) -> OfLogs:
    """Read the text of a bundle's log or telemetry, by its name of `bundle.LOGS`."""
    match name:
        case bag.SERVER_LOG:
            return {"server_log": vllm_log.read(text)}
        case bag.NCCL_LOG:
            return {"nccl_log": nccl_log.read(text)}
    try:
        return {"telemetry": telemetry.read(text)}
    except NotCanonical as error:
        return {"telemetry_fault": str(error)}


def observe(logs: Iterable[OfLogs], metrics: Mapping[MetricsKey, Told] | None = None) -> Observed:
    """Put together what logs tell, and the server's expositions."""
    found, told = OfLogs(), metrics or {}
    for one in logs:
        found.update(one)
    return Observed(
        **found,
        finished={key: one.finished for key, one in told.items()},
        served_names=_distinct(one.served_name for one in told.values()),
        cache_configs=_distinct(one.cache_config for one in told.values()),
    )


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(filter(None, dict.fromkeys(values)))


def went_through(evidence: Evidence, one: Pass) -> bool:
    """Tell whether a pass has all of its responses: one cut short has no metrics after it."""
    wanted = len(evidence.document.plan.prompts)
    return len(one.records) >= wanted and all(record.error is None for record in one.records)


def counted_alone(evidence: Evidence, one: Pass) -> bool:
    """Tell whether the server's counters moved by this pass's requests alone.

    As many may have been others', of a replica of an endpoint: these have other prompts.
    """
    if one.moved(vllm_metrics.E2E_LATENCY_COUNT) != len(one.records):
        return False
    prompts = sum(record.prompt_tokens or 0 for record in one.records)
    return evidence.is_own_engine or one.moved(vllm_metrics.PROMPT_TOKENS) == prompts


def counted_before(evidence: Evidence) -> dict[str, float]:
    """Return what the server had counted before the first pass; nothing where it does not tell.

    Of a request that somebody gave up vLLM counts the tokens, and not the request.
    """
    before = (evidence.passes[0].before if evidence.passes else None) or {}
    return {name: before[name] for name in _FROM_ZERO if name in before}


def of_measured_passes(evidence: Evidence) -> tuple[Record, ...]:
    """Return the records of the measured passes."""
    return tuple(one for one in evidence.records if one.phase is Phase.MEASURED)


def span_s(records: Sequence[Record]) -> tuple[float, float]:
    """Return when the first request was sent and the last response complete; no time for none."""
    start_s = min((one.sent_s for one in records), default=0.0)
    return start_s, max((one.sent_s + one.wall_s for one in records), default=-1.0)


def while_serving(evidence: Evidence) -> list[Sample]:
    """Return the samples from the first request to the last response."""
    return _sampled(evidence, evidence.records)


def while_measured(evidence: Evidence) -> list[Sample]:
    """Return the samples from the first measured request to the last measured response."""
    return _sampled(evidence, of_measured_passes(evidence))


def _sampled(evidence: Evidence, records: Sequence[Record]) -> list[Sample]:
    start_s, end_s = span_s(records)
    told = evidence.observed.telemetry
    return [one for one in (told.samples if told else ()) if start_s <= one.t_s <= end_s]


def whole_number(labels: Labels, name: str) -> int | None:
    """Return the whole number that a label tells; None for another value, or none."""
    told = dict(labels).get(name, "")
    is_number = told.isascii() and told.isdecimal() and len(told) < DIGITS
    return int(told) if is_number else None


def subject_of(record: Record) -> str:
    """Name a record as a finding's subject: `measured-2/impl`."""
    return f"{record.phase.value}-{record.pass_number}/{record.prompt_id}"
