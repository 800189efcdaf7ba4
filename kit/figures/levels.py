"""Levels of agents beside each other: what a cell gives at 1, 2, 4, 8 agents."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from kit.figures import intervals
from kit.figures.advantage import Ratio
from kit.figures.cell import CellFigures
from kit.figures.goodput import ENOUGH
from kit.figures.window import SwarmFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """The levels of one model on one topology, by the number of agents.

    `speed_ups` are the effective throughputs over that of one agent, None where one of the two was
    not measured. `published_speed_ups` are what the article calls so: the seconds of one agent's
    passes over those of this level's.
    """

    cells: tuple[CellFigures, ...]
    speed_ups: tuple[Ratio | None, ...]
    published_speed_ups: tuple[float | None, ...]

    @property
    def most_within(self) -> int | None:
        """The most agents of which enough requests meet the objectives; None where none do."""
        counts = (
            cell.swarm.agents
            for cell in self.cells
            if cell.swarm and cell.goodput and cell.goodput.share >= ENOUGH
        )
        return max(counts, default=None)

    @property
    def name(self) -> str:
        """Model and topology, unescaped text from the bundle."""
        cell = self.cells[0].plan.cell
        return f"{cell.model} on {cell.topology}"


def levels(cells: Sequence[CellFigures]) -> Iterator[Levels]:
    """Yield the levels of each host, runtime, model, topology and protocol."""
    groups: dict[Hashable, list[CellFigures]] = {}
    for cell in cells:
        if cell.swarm is not None:
            groups.setdefault(_must_agree(cell), []).append(cell)
    for group in groups.values():
        ordered = tuple(sorted(group, key=lambda cell: cell.swarm.agents if cell.swarm else 0))
        alone = next((cell for cell in ordered if cell.swarm and cell.swarm.agents == 1), None)
        yield Levels(
            cells=ordered,
            speed_ups=tuple(_speed_up(cell, alone) for cell in ordered),
            published_speed_ups=tuple(_published_speed_up(cell, alone) for cell in ordered),
        )


def _must_agree(cell: CellFigures) -> Hashable:
    document, plan = cell.bundle.document, cell.plan
    where = (document.host_id, document.runtime, plan.cell.model, plan.cell.topology)
    return where, plan.cell.suite, plan.protocol, plan.cache, plan.sampling


def _speed_up(cell: CellFigures, alone: CellFigures | None) -> Ratio | None:
    if alone is None or cell.pooled is None or alone.pooled is None or not alone.pooled.tokens:
        return None
    value = cell.pooled.tokens_per_s / alone.pooled.tokens_per_s
    interval = intervals.ratio_interval(cell.pass_rates, alone.pass_rates, value)
    return Ratio(value=value, interval=interval)


def _published_speed_up(cell: CellFigures, alone: CellFigures | None) -> float | None:
    if alone is None or cell.swarm is None or alone.swarm is None:
        return None
    return _pass_s(alone.swarm) / _pass_s(cell.swarm)


def _pass_s(swarm: SwarmFigures) -> float:
    return fmean(one.seconds for one in swarm.as_published)
