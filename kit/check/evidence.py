"""The input of the tiers from arithmetic on: a decoded bundle, and the checkout's catalog."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from kit.bundle.document import Document, Runtime
from kit.bundle.host_facts import HostFacts
from kit.bundle.record import Moment, Record
from kit.bundle.telemetry import GpuFacts, GpuSample, Telemetry
from kit.check.observed import Counters, MetricsKey, Observed
from kit.parse import vllm_metrics
from kit.parse.detokenizer import Detokenizer
from kit.parse.vllm_log import ServerLog
from kit.plan.models import WEIGHTS, HubModel, Model, Twin
from kit.plan.plan import Engine
from kit.plan.schedule import Phase
from kit.plan.suite import Suite, SuiteMode
from kit.plan.topology import Device
from kit.roofline.gpus import Gpu

T = TypeVar("T")

ROUNDING_S = 2e-6
"""The client rounds times to 1 microsecond; a sum of three of them can be off by 1.5."""

_FROM_ZERO = (
    vllm_metrics.GENERATION_TOKENS,
    vllm_metrics.PROMPT_TOKENS,
    vllm_metrics.PREFIX_CACHE_HITS,
    vllm_metrics.E2E_LATENCY_COUNT,
)
"""Counters of vLLM 0.17 that are 0 in an engine's metrics before its first request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalog:
    """What a checkout ships, by id: plans are made of it, and bundles are compared with it.

    `engines` maps (topology, model) to the engine that the topology's Compose file describes, with
    its variables not filled in,
    `gpus` a driver's name of a card to its datasheet, `tokenizers` the SHA-256 of a tokenizer's
    file to its reader. `base_image` is name, tag and digest; None while no digest is pinned.
    """

    suites: Mapping[str, Suite]
    models: Mapping[str, Model]
    engines: Mapping[tuple[str, str], Engine]
    gpus: Mapping[str, Gpu]
    tokenizers: Mapping[str, Detokenizer] = field(default_factory=dict)
    base_image: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """The records of one pass, and the server's counters around it where they were read.

    `moves` holds by how much each counter moved over the pass.
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

    @property
    def failed(self) -> int:
        """The number of requests that failed."""
        return sum(record.error is not None for record in self.records)

    @property
    def wall_s(self) -> float:
        """The client's seconds for all requests of the pass."""
        return math.fsum(record.wall_s for record in self.records)

    def moved(self, *counters: str) -> float | None:
        """Return by how much counters moved together; None where one of them is not known."""
        try:
            return sum(self.moves[counter] for counter in counters)
        except KeyError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A bundle whose document and records could be read, and the catalog it is compared with.

    `server_log`, `gpu_telemetry` and `host_facts` may be asked for where a check needs
    them (`kit.check.needs`), `engine` in the topology tier: elsewhere they may be absent.
    """

    id: str
    document: Document
    records: tuple[Record, ...]
    answered: tuple[Record, ...]
    passes: tuple[Pass, ...]
    metrics: Mapping[MetricsKey, Counters]
    observed: Observed
    catalog: Catalog

    @property
    def is_own_engine(self) -> bool:
        return self.document.runtime is not Runtime.ENDPOINT

    @property
    def is_on_gpus(self) -> bool:
        engine = self.document.plan.engine
        return engine is not None and engine.device is Device.GPU

    @property
    def engine(self) -> Engine:
        return _there(self.document.plan.engine)

    @property
    def model(self) -> Model | None:
        """The plan's model, if the checkout has it; an endpoint's has only its name."""
        if not self.is_own_engine:
            return None
        return self.catalog.models.get(self.document.plan.cell.model)

    @property
    def suite_mode(self) -> SuiteMode:
        """How the plan's suite is sent; of one that the checkout does not have the plan says."""
        plan = self.document.plan
        if (suite := self.catalog.suites.get(plan.cell.suite)) is not None:
            return suite.mode
        return SuiteMode.CONCURRENT if plan.is_concurrent else SuiteMode.SERIAL

    @property
    def server_log(self) -> ServerLog:
        return _there(self.observed.server_log)

    @property
    def gpu_telemetry(self) -> Telemetry:
        return _there(self.observed.telemetry)

    @property
    def host_facts(self) -> HostFacts:
        return _there(self.observed.host_facts)

    @property
    def gpus(self) -> tuple[GpuFacts, ...]:
        """The cards of telemetry's inventory; none without telemetry."""
        telemetry = self.observed.telemetry
        return () if telemetry is None else telemetry.header.inventory.gpus


def _there(value: T | None) -> T:
    assert value is not None, "a check asked for evidence that is not among its needs"
    return value


def gather(
    bundle_id: str,
    document: Document,
    records: tuple[Record, ...],
    metrics: Mapping[MetricsKey, Counters],
    observed: Observed,
    catalog: Catalog,
) -> Evidence:
    """Group the records by pass, in the order of first appearance."""
    groups: dict[tuple[Phase, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.phase, record.pass_number), []).append(record)
    return Evidence(
        id=bundle_id,
        document=document,
        records=records,
        answered=tuple(record for record in records if record.error is None),
        passes=tuple(
            _pass(phase, number, tuple(members), metrics)
            for (phase, number), members in groups.items()
        ),
        metrics=metrics,
        observed=observed,
        catalog=catalog,
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


def is_whole(evidence: Evidence, pass_: Pass) -> bool:
    """Tell whether a pass has a response to each prompt; else there are no metrics after it."""
    prompts = len(evidence.document.plan.prompts)
    return len(pass_.records) >= prompts and all(record.error is None for record in pass_.records)


def counted_alone(evidence: Evidence, pass_: Pass) -> bool:
    """Tell whether the server's counters moved by this pass's requests alone.

    Behind an endpoint as many requests of others may have been counted: they have other prompts.
    """
    if pass_.moved(vllm_metrics.E2E_LATENCY_COUNT) != len(pass_.records):
        return False
    prompts = sum(record.prompt_tokens or 0 for record in pass_.records)
    return evidence.is_own_engine or pass_.moved(vllm_metrics.PROMPT_TOKENS) == prompts


def counted_before(evidence: Evidence) -> dict[str, float]:
    """Return what the server had counted before the first pass; empty where that is not known.

    Of a request that its client gave up vLLM counts the tokens, and not the request.
    """
    before = (evidence.passes[0].before if evidence.passes else None) or {}
    return {name: before[name] for name in _FROM_ZERO if name in before}


def queued_s(evidence: Evidence) -> float | None:
    """Return the mean time in the server's queue of a measured request; None if it is not told."""
    measured = [pass_ for pass_ in evidence.passes if pass_.phase is Phase.MEASURED]
    waits = [pass_.moved(vllm_metrics.QUEUE_SUM) for pass_ in measured]
    counts = [pass_.moved(vllm_metrics.E2E_LATENCY_COUNT) for pass_ in measured]
    known = [(wait, count) for wait, count in zip(waits, counts, strict=True) if wait is not None]
    requests = sum(count or 0.0 for _, count in known)
    return sum(wait for wait, _ in known) / requests if requests else None


def measured_records(evidence: Evidence) -> tuple[Record, ...]:
    """Return the records of the measured passes."""
    return tuple(record for record in evidence.records if record.phase is Phase.MEASURED)


def span_s(records: Sequence[Record]) -> tuple[float, float]:
    """Return when the first request was sent and the last response complete; (0, -1) for none."""
    start_s = min((record.sent_s for record in records), default=0.0)
    return start_s, max((record.sent_s + record.wall_s for record in records), default=-1.0)


def while_serving(evidence: Evidence) -> list[GpuSample]:
    """Return the samples from the first request to the last response."""
    return _sampled(evidence, evidence.records)


def while_measured(evidence: Evidence) -> list[GpuSample]:
    """Return the samples from the first measured request to the last measured response."""
    return _sampled(evidence, measured_records(evidence))


def _sampled(evidence: Evidence, records: Sequence[Record]) -> list[GpuSample]:
    start_s, end_s = span_s(records)
    telemetry = evidence.observed.telemetry
    samples = () if telemetry is None else telemetry.samples
    return [sample for sample in samples if start_s <= sample.t_s <= end_s]


def pinned_digests(model: Model | None) -> Mapping[str, str]:
    """Return the SHA-256 of every file of the model whose hash the kit ships, by name."""
    match model:
        case Twin():
            return {**model.files, WEIGHTS: model.sha256}
        case HubModel():
            return model.shipped_sha256
        case None:
            return {}


def subject_of(record: Record) -> str:
    """Name a record as a finding's subject: `measured-2/impl`."""
    return f"{record.phase.value}-{record.pass_number}/{record.prompt_id}"
