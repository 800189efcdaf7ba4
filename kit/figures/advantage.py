"""How many times as fast the MoE model is as the dense one, where the two can be compared at all.

Compared are bundles that agree in everything but the model: host, runtime, topology, suite,
prompts, protocol, cache, connection, and whether they are twins. An endpoint is left out, since
nothing says which machine served; so is a run that stopped short.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.bundle.document import Runtime, Status
from kit.figures import intervals
from kit.figures.cell import CellFigures
from kit.figures.intervals import Interval
from kit.figures.throughput import Throughput

MOE = "moe"
DENSE = "dense"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A ratio of two rates; no interval below three passes of each."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Advantage:
    """The ratio of pooled rates, MoE over dense, over all starts; then prompt by prompt."""

    moe: tuple[CellFigures, ...]
    dense: tuple[CellFigures, ...]
    pooled: Ratio
    prompts: tuple[tuple[str, Ratio], ...]

    @property
    def is_twin(self) -> bool:
        """Whether small twins stood in for the models."""
        return self.moe[0].is_twin

    @property
    def configuration(self) -> str:
        """Topology, and which rows of the MoE model are in; escape before showing."""
        return self.moe[0].plan.cell.topology + ",".join(cell.tag for cell in self.moe)


def advantages(cells: Sequence[CellFigures]) -> Iterator[Advantage]:
    """Yield one advantage for each set of comparable bundles that has both models."""
    groups: dict[object, list[CellFigures]] = {}
    for cell in cells:
        document = cell.bundle.document
        is_whole = document.status is Status.COMPLETE
        if is_whole and document.runtime is not Runtime.ENDPOINT and _rate(cell.pooled):
            groups.setdefault(_must_agree(cell), []).append(cell)
    for group in groups.values():
        moe = tuple(cell for cell in group if _role(cell) == MOE)
        dense = tuple(cell for cell in group if _role(cell) == DENSE)
        if moe and dense:
            yield _advantage(moe, dense)


def _must_agree(cell: CellFigures) -> object:
    plan = cell.plan
    prompts = tuple((prompt.id, prompt.text) for prompt in plan.prompts)
    settings = (plan.protocol, plan.cache, plan.connection, plan.dialect, plan.system, prompts)
    document = cell.bundle.document
    where = (document.host_id, document.runtime, plan.cell.topology, plan.cell.suite)
    return where, settings, cell.is_twin


def _role(cell: CellFigures) -> str:
    return cell.plan.twin_of or cell.plan.cell.model


def _advantage(moe: tuple[CellFigures, ...], dense: tuple[CellFigures, ...]) -> Advantage:
    prompt_ids = [prompt.id for prompt in moe[0].plan.prompts]
    ratios = [(prompt_id, _prompt_ratio(prompt_id, moe, dense)) for prompt_id in prompt_ids]
    return Advantage(
        moe=moe,
        dense=dense,
        pooled=_ratio(
            [(cell.pooled, cell.pass_rates) for cell in moe],
            [(cell.pooled, cell.pass_rates) for cell in dense],
        ),
        prompts=tuple((prompt_id, ratio) for prompt_id, ratio in ratios if ratio is not None),
    )


def _prompt_ratio(
    prompt_id: str, moe: Sequence[CellFigures], dense: Sequence[CellFigures]
) -> Ratio | None:
    sides = [
        [
            (prompt.throughput, prompt.pass_rates)
            for cell in side
            for prompt in cell.prompts
            if prompt.prompt_id == prompt_id and _rate(prompt.throughput)
        ]
        for side in (moe, dense)
    ]
    return _ratio(*sides) if all(sides) else None


_Start = tuple[Throughput | None, tuple[float, ...]]
"""What one start of an engine gave: its pooled throughput and the rates of its passes."""


def _ratio(moe: Sequence[_Start], dense: Sequence[_Start]) -> Ratio:
    """With three starts of each model the start is the unit of repetition, below that the pass."""
    starts = min(len(moe), len(dense))
    value = _over_all(moe).tokens_per_s / _over_all(dense).tokens_per_s
    above, below = _samples(moe, starts), _samples(dense, starts)
    if not all((*above, *below)):
        return Ratio(value=value, interval=None)
    return Ratio(value=value, interval=intervals.ratio_interval(above, below, value, starts))


def _samples(side: Sequence[_Start], starts: int) -> list[float]:
    if starts >= intervals.STARTS_WITHOUT_FLOOR:
        return [_rate(throughput) for throughput, _ in side]
    return [rate for _, rates in side for rate in rates]


def _over_all(side: Sequence[_Start]) -> Throughput:
    known = [throughput for throughput, _ in side if throughput is not None]
    return Throughput(
        tokens=sum(one.tokens for one in known), seconds=sum(one.seconds for one in known)
    )


def _rate(throughput: Throughput | None) -> float:
    return throughput.tokens_per_s if throughput else 0.0
