"""The MoE advantage: pooled rate of the MoE model over that of the dense one.

Compared are bundles that agree in everything but the model: host, runtime, topology, suite,
prompts, protocol, cache, connection, and whether the models are twins. Bundles of an endpoint are
excluded, because they do not show which machine served; so are partial runs.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from kit.bundle.document import Runtime, Status
from kit.figures import intervals
from kit.figures.cell import CellFigures
from kit.figures.intervals import Interval
from kit.figures.throughput import Throughput, combined

MOE = "moe"
DENSE = "dense"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A ratio of two rates; `interval` is None below three passes of each."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Advantage:
    """MoE over dense, pooled over all starts, then for each prompt."""

    moe: tuple[CellFigures, ...]
    dense: tuple[CellFigures, ...]
    pooled: Ratio
    prompts: tuple[tuple[str, Ratio], ...]

    @property
    def is_twin(self) -> bool:
        """Whether the models are small twins of the article's."""
        return self.moe[0].is_twin

    @property
    def configuration(self) -> str:
        """Topology, agents and tags of the MoE model's cells, unescaped text from the bundle."""
        where = self.moe[0].configuration.removesuffix(self.moe[0].tag)
        return where + ",".join(cell.tag for cell in self.moe)


def advantages(cells: Sequence[CellFigures]) -> Iterator[Advantage]:
    """Yield one advantage for each group of comparable cells that has both models."""
    groups: dict[Hashable, list[CellFigures]] = {}
    for cell in cells:
        document = cell.bundle.document
        is_whole = document.status is Status.COMPLETE
        has_host = document.runtime is not Runtime.ENDPOINT
        if is_whole and has_host and cell.pooled and cell.pooled.tokens:
            groups.setdefault(_must_agree(cell), []).append(cell)
    for group in groups.values():
        moe = tuple(cell for cell in group if _role(cell) == MOE)
        dense = tuple(cell for cell in group if _role(cell) == DENSE)
        if moe and dense:
            yield _advantage(moe, dense)


def _must_agree(cell: CellFigures) -> Hashable:
    plan = cell.plan
    prompts = tuple((prompt.id, prompt.text) for prompt in plan.prompts)
    settings = (plan.protocol, plan.cache, plan.connection, plan.dialect, plan.system, prompts)
    document = cell.bundle.document
    cell_of = plan.cell
    where = (document.host_id, document.runtime, cell_of.topology, cell_of.suite, cell_of.agents)
    return where, settings, cell.is_twin


def _role(cell: CellFigures) -> str:
    return cell.plan.twin_of or cell.plan.cell.model


def _advantage(moe: tuple[CellFigures, ...], dense: tuple[CellFigures, ...]) -> Advantage:
    sides = (
        (name, _prompt_starts(moe, name), _prompt_starts(dense, name)) for name in moe[0].prompt_ids
    )
    return Advantage(
        moe=moe,
        dense=dense,
        pooled=_ratio(_starts(moe), _starts(dense)),
        prompts=tuple(
            (name, _ratio(above, below)) for name, above, below in sides if above and below
        ),
    )


_Start = tuple[Throughput, tuple[float, ...]]
"""One start of an engine: its pooled throughput and the rates of its passes in tok/s."""


def _starts(cells: Sequence[CellFigures]) -> list[_Start]:
    return [(cell.pooled, cell.pass_rates) for cell in cells if cell.pooled]


def _prompt_starts(cells: Sequence[CellFigures], prompt_id: str) -> list[_Start]:
    """Return the starts in which the prompt has a completion token."""
    return [
        (prompt.throughput, prompt.pass_rates)
        for cell in cells
        for prompt in cell.prompts
        if prompt.prompt_id == prompt_id and prompt.throughput and prompt.throughput.tokens
    ]


def _ratio(moe: Sequence[_Start], dense: Sequence[_Start]) -> Ratio:
    """Return the ratio; from three starts of each model on, a start is one sample, else a pass."""
    starts = min(len(moe), len(dense))
    moe_rate, dense_rate = (
        combined([pooled for pooled, _ in side]).tokens_per_s for side in (moe, dense)
    )
    value = moe_rate / dense_rate
    above, below = _samples(moe, starts), _samples(dense, starts)
    return Ratio(value=value, interval=intervals.ratio_interval(above, below, value, starts))


def _samples(side: Sequence[_Start], starts: int) -> list[float]:
    if starts >= intervals.STARTS_WITHOUT_FLOOR:
        return [pooled.tokens_per_s for pooled, _ in side]
    return [rate for _, rates in side for rate in rates]
