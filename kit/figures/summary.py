"""All figures of a report, computed once from bundles; knows no output format.

One row per bundle. Several bundles of one cell are several starts of its engine; each keeps the
restart floor of its interval, because the passes of one start cannot show what a restart changes.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from kit.bundle.bag import Bundle
from kit.bundle.record import Record
from kit.figures import intervals, latency, throughput, window
from kit.figures.advantage import Advantage, advantages
from kit.figures.cell import CellFigures, Latency, PassFigures, PromptFigures, Roofline
from kit.figures.energy import Energy, NoEnergy, energy
from kit.figures.goodput import Objectives, goodput
from kit.figures.grid import Grid, grid
from kit.figures.intervals import Interval
from kit.figures.levels import Levels, levels
from kit.figures.sustained import sustained
from kit.figures.throughput import Throughput
from kit.figures.window import SwarmFigures
from kit.plan.plan import TOLERATED_FAILURES, Plan
from kit.plan.schedule import Phase
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.model import Yardsticks

TOO_FEW_PASSES = f"fewer than {intervals.FEWEST_PASSES} complete passes"
NO_TOKENS = "a pass has no completion token"


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All figures of a report; cells in the order of their bundles."""

    cells: tuple[CellFigures, ...]
    advantages: tuple[Advantage, ...]
    levels: tuple[Levels, ...] = ()
    objectives: Objectives | None = None
    grid: Grid | None = None

    def by_prompts(self) -> Mapping[tuple[str, ...], Sequence[CellFigures]]:
        """Return the cells grouped by prompts: each group fills one table of throughput.

        Those of agents are in `levels`.
        """
        groups: dict[tuple[str, ...], list[CellFigures]] = {}
        for cell in self.cells:
            if cell.swarm is None:
                groups.setdefault(cell.prompt_ids, []).append(cell)
        return groups


NO_YARDSTICKS = Yardsticks(shapes={}, gpus={})


def summarise(
    bundles: Sequence[Bundle],
    yardsticks: Yardsticks = NO_YARDSTICKS,
    objectives: Objectives | None = None,
) -> Summary:
    """Compute every figure of bundles that are not invalid; a bundle given twice counts once."""
    unique = {bundle.id: bundle for bundle in bundles}.values()
    starts = Counter(map(_start_of, unique))
    tags = _tags(tuple(unique))
    cells = tuple(
        _with_goodput(
            _cell(bundle, tags[bundle.id], starts[_start_of(bundle)], yardsticks), objectives
        )
        for bundle in unique
    )
    return Summary(
        cells=cells,
        advantages=tuple(advantages(cells)),
        levels=tuple(levels(cells)),
        grid=grid(cells),
        objectives=objectives,
    )


def _with_goodput(cell: CellFigures, objectives: Objectives | None) -> CellFigures:
    if cell.swarm is None or objectives is None:
        return cell
    measured = (record for record in cell.bundle.records if record.phase is Phase.MEASURED)
    return replace(cell, goodput=goodput(measured, cell.swarm.windows, objectives))


def _start_of(bundle: Bundle) -> Hashable:
    """Return what starts of one engine have in common."""
    document = bundle.document
    return document.host_id, document.plan_digest, document.runtime


def _tags(bundles: Sequence[Bundle]) -> Mapping[str, str]:
    """Number the bundles of the same model, topology and suite; an only one gets no number."""
    cells = Counter(bundle.document.plan.cell for bundle in bundles)
    seen: Counter[Hashable] = Counter()
    tags = {}
    for bundle in bundles:
        cell = bundle.document.plan.cell
        seen[cell] += 1
        tags[bundle.id] = f" #{seen[cell]}" if cells[cell] > 1 else ""
    return tags


def _cell(bundle: Bundle, tag: str, starts: int, yardsticks: Yardsticks) -> CellFigures:
    records, plan = bundle.records, bundle.document.plan
    passes = tuple(_passes(records, plan))
    swarm = None if plan.cell.agents is None else window.swarm(records, plan.cell.agents)
    steady = records if swarm is None else tuple(window.in_windows(records, swarm.windows))
    pooled, rates = _throughput(records, passes) if swarm is None else _effective(swarm)
    interval = _interval(rates, pooled)
    too_few = len(rates) < intervals.FEWEST_PASSES
    return CellFigures(
        bundle=bundle,
        tag=tag,
        starts=starts,
        pooled=pooled,
        pass_rates=rates,
        interval=interval,
        no_interval=None if interval else TOO_FEW_PASSES if too_few else NO_TOKENS,
        mean_of_columns=None if swarm else throughput.mean_of_columns(records),
        prompts=() if swarm else tuple(_prompts(records, plan)),
        passes=passes,
        time_to_first_token=_latency(latency.times_to_first_token(steady)),
        inter_token=_latency(latency.inter_token_latencies(steady)),
        roofline=None if swarm else _roofline(bundle, yardsticks),
        swarm=swarm,
        sustained=sustained(records, swarm.windows) if swarm and plan.duration_s else None,
        energy=_energy(bundle, passes, swarm),
    )


def _energy(
    bundle: Bundle, passes: Sequence[PassFigures], swarm: SwarmFigures | None
) -> Energy | NoEnergy | None:
    """Return the energy of the measured passes, of agents of their windows; None without GPUs."""
    if bundle.telemetry is None:
        return None
    measured = [one for one in passes if one.phase is Phase.MEASURED]
    spans = [(one.start_s, one.end_s) for one in measured]
    tokens = sum(one.throughput.tokens for one in measured)
    if swarm is not None:
        spans = [(one.start_s, one.end_s) for one in swarm.windows]
        tokens = sum(one.tokens for one in swarm.windows)
    first_sent_s = min((record.sent_s for record in bundle.records), default=0.0)
    return energy(bundle.telemetry, spans, tokens, first_sent_s)


def _throughput(
    records: Sequence[Record], passes: Sequence[PassFigures]
) -> tuple[Throughput | None, tuple[float, ...]]:
    """Return the pooled throughput, and the rates of the complete measured passes."""
    rates = tuple(
        pass_.throughput.tokens_per_s
        for pass_ in passes
        if pass_.phase is Phase.MEASURED and pass_.complete
    )
    return throughput.pooled(records), rates


def _effective(swarm: SwarmFigures) -> tuple[Throughput | None, tuple[float, ...]]:
    """Return the same of agents: of the windows, and of none where too many requests failed."""
    parts = [one.throughput for one in swarm.windows]
    if not parts or swarm.failed_requests > TOLERATED_FAILURES * swarm.requests:
        return None, ()
    return throughput.combined(parts), tuple(part.tokens_per_s for part in parts)


def _interval(rates: Sequence[float], pooled: Throughput | None) -> Interval | None:
    return intervals.rate_interval(rates, pooled.tokens_per_s) if pooled else None


def _prompts(records: Sequence[Record], plan: Plan) -> Iterator[PromptFigures]:
    """Yield the plan's prompts in its order, measured or not."""
    measured = throughput.by_prompt(records)
    for prompt in plan.prompts:
        own = [record for record in records if record.prompt_id == prompt.id]
        rates = tuple(rate.tokens_per_s for rate in throughput.by_pass(own).values())
        pooled = measured.get(prompt.id)
        yield PromptFigures(
            prompt_id=prompt.id,
            throughput=pooled,
            pass_rates=rates,
            interval=_interval(rates, pooled),
        )


def _passes(records: Sequence[Record], plan: Plan) -> Iterator[PassFigures]:
    """Yield warm-up and measured passes in the order of sending."""
    planned = {prompt.id for prompt in plan.prompts}
    sent = sorted(throughput.timed(records), key=lambda record: record.sent_s)
    not_streamed = (record for record in sent if record.phase is not Phase.STREAM)
    for (phase, number), group in groupby(not_streamed, lambda r: (r.phase, r.pass_number)):
        members = tuple(group)
        yield PassFigures(
            phase=phase,
            number=number,
            complete={record.prompt_id for record in members} == planned,
            start_s=members[0].sent_s,
            end_s=max(record.sent_s + record.wall_s for record in members),
            throughput=throughput.combined([throughput.of(record) for record in members]),
            requests=tuple(
                (record.sent_s, record.wall_s, throughput.of(record).tokens_per_s)
                for record in members
            ),
        )


def _latency(seconds: tuple[float, ...]) -> Latency | None:
    summary = latency.latency_summary(seconds)
    return Latency(samples_s=seconds, summary=summary) if summary else None


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
