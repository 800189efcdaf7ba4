"""Every figure of a report, computed once from bundles; knows no format.

One row a bundle: several bundles of one cell are several starts of its engine, and each keeps the
floor of its interval, since the passes of one start cannot see what a restart changes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kit.bundle.bag import Bundle
from kit.bundle.record import Record
from kit.figures import intervals, latency, throughput
from kit.figures.advantage import Advantage, advantages
from kit.figures.cell import CellFigures, Latency, PassFigures, PromptFigures, Roofline
from kit.plan.plan import Plan
from kit.plan.schedule import Phase
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.model import Yardsticks

LONGEST_S = 1e7
SHORTEST_S = 1e-6
MOST_TOKENS = 10**6
"""Beyond these a record is nonsense, and arithmetic on it would overflow or fill the memory."""

TOO_FEW_PASSES = f"fewer than {intervals.FEWEST_PASSES} complete passes"
NO_TOKENS = "a pass without a token"
OUT_OF_RANGE = "a record holds a time or a count that cannot be"


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All figures of a report; cells in the order in which their bundles were given."""

    cells: tuple[CellFigures, ...]
    advantages: tuple[Advantage, ...]


NO_YARDSTICKS = Yardsticks(shapes={}, gpus={})


def summarise(bundles: Sequence[Bundle], yardsticks: Yardsticks = NO_YARDSTICKS) -> Summary:
    """Compute every figure; a run counts once, also where it was sealed again under another id."""
    unique = tuple({_run(bundle): bundle for bundle in bundles}.values())
    cells = tuple(_cell(bundle, unique, yardsticks) for bundle in unique)
    return Summary(cells=cells, advantages=tuple(advantages(cells)))


def _run(bundle: Bundle) -> object:
    """Return what a run shares with its copies: no other took as long, to the microsecond."""
    took = tuple((record.wall_s, record.token_ids, record.text) for record in bundle.records)
    return (bundle.document.host_id, took) if took else bundle.id


def _starts(bundle: Bundle, bundles: Sequence[Bundle]) -> int:
    """Count the bundles of this host, plan and runtime: as many starts of the engine."""
    return sum(_conditions(other) == _conditions(bundle) for other in bundles)


def _conditions(bundle: Bundle) -> object:
    document = bundle.document
    return document.host_id, document.plan_digest, document.runtime


def _tag(bundle: Bundle, bundles: Sequence[Bundle]) -> str:
    """Return the number of the bundle among those of the same model and topology, if several."""
    mine = bundle.document.plan.cell
    alike = [one.id for one in bundles if one.document.plan.cell == mine]
    return f" #{alike.index(bundle.id) + 1}" if len(alike) > 1 else ""


def _cell(bundle: Bundle, bundles: Sequence[Bundle], yardsticks: Yardsticks) -> CellFigures:
    in_range = all(_in_range(record) for record in bundle.records)
    records = bundle.records if in_range else ()
    passes = tuple(_passes(records, bundle.document.plan))
    complete = tuple(
        one.throughput.tokens_per_s
        for one in passes
        if one.phase is Phase.MEASURED and one.complete
    )
    pooled = throughput.pooled(records)
    interval = _interval(complete, pooled)
    return CellFigures(
        bundle=bundle,
        tag=_tag(bundle, bundles),
        starts=_starts(bundle, bundles),
        pooled=pooled,
        pass_rates=complete,
        interval=interval,
        no_interval=None if interval else _why_none(complete, in_range=in_range),
        mean_of_columns=throughput.mean_of_columns(records),
        prompts=tuple(_prompts(records, bundle.document.plan)),
        passes=passes,
        time_to_first_token=_latency(latency.times_to_first_token(records)),
        inter_token=_latency(latency.inter_token_latencies(records)),
        roofline=_roofline(bundle, yardsticks),
    )


def _roofline(bundle: Bundle, yardsticks: Yardsticks) -> Roofline | None:
    plan = bundle.document.plan
    shape = yardsticks.shapes.get(plan.cell.model)
    if shape is None or plan.engine is None or plan.engine.device is not Device.GPU:
        return None
    ranks = plan.engine.tensor_parallel_size
    ceiling = roofline.ceiling_of(bundle.gpus, ranks, yardsticks.gpus)
    if ceiling is None:
        return None
    return Roofline(
        tokens_per_s=roofline.roofline_tokens_per_s(shape, ceiling),
        bytes_per_s=ceiling.bytes_per_s,
        gpus=tuple(gpu.name for gpu in ceiling.gpus),
    )


def _in_range(record: Record) -> bool:
    """Tell whether a record's numbers can be reckoned with at all.

    A failed request's always can, for it is left out.
    """
    if record.error is not None:
        return True
    arrivals = [arrival for arrival, _ in record.chunks or ()]
    return (
        0 <= record.sent_s <= LONGEST_S
        and SHORTEST_S <= record.wall_s <= LONGEST_S
        and 0 <= (record.completion_tokens or 0) <= MOST_TOKENS
        and arrivals == sorted(arrivals)
        and all(0 <= arrival <= LONGEST_S for arrival in arrivals)
        and all(tokens >= 0 for _, tokens in record.chunks or ())
        and sum(tokens for _, tokens in record.chunks or ()) <= MOST_TOKENS
    )


def _interval(
    rates: Sequence[float], pooled: throughput.Throughput | None
) -> intervals.Interval | None:
    if pooled is None or not all(rates):
        return None
    return intervals.rate_interval(rates, pooled.tokens_per_s)


def _why_none(rates: Sequence[float], *, in_range: bool) -> str:
    if not in_range:
        return OUT_OF_RANGE
    return TOO_FEW_PASSES if len(rates) < intervals.FEWEST_PASSES else NO_TOKENS


def _prompts(records: Sequence[Record], plan: Plan) -> Iterator[PromptFigures]:
    """Yield the plan's prompts in its order, measured or not, then any that it does not know."""
    measured = throughput.by_prompt(records)
    for prompt_id in dict.fromkeys([*(prompt.id for prompt in plan.prompts), *measured]):
        pooled = measured.get(prompt_id)
        own = [record for record in records if record.prompt_id == prompt_id]
        rates = tuple(one.tokens_per_s for one in throughput.by_pass(own).values())
        yield PromptFigures(
            prompt_id=prompt_id,
            throughput=pooled,
            pass_rates=rates,
            interval=_interval(rates, pooled),
        )


def _passes(records: Sequence[Record], plan: Plan) -> Iterator[PassFigures]:
    """Yield warm-up and measured passes in the order of sending."""
    wanted = {prompt.id for prompt in plan.prompts}
    timed = [
        record
        for record in sorted(records, key=lambda record: record.sent_s)
        if record.phase is not Phase.STREAM
        and record.error is None
        and record.completion_tokens is not None
    ]
    for (phase, number), group in groupby(timed, lambda one: (one.phase, one.pass_number)):
        members = tuple(group)
        yield PassFigures(
            phase=phase,
            number=number,
            complete={record.prompt_id for record in members} == wanted,
            start_s=members[0].sent_s,
            end_s=max(record.sent_s + record.wall_s for record in members),
            throughput=throughput.Throughput(
                tokens=sum(record.completion_tokens or 0 for record in members),
                seconds=math.fsum(record.wall_s for record in members),
            ),
            requests=tuple((record.sent_s, record.wall_s, _rate(record)) for record in members),
        )


def _rate(record: Record) -> float:
    return (record.completion_tokens or 0) / record.wall_s


def _latency(seconds: tuple[float, ...]) -> Latency | None:
    summary = latency.latency_summary(seconds)
    return Latency(samples_s=seconds, summary=summary) if summary else None
