"""Cells as a matrix: topologies by what was served and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.figures.cell import CellFigures

Place = tuple[str, str]
"""(topology, column)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Rows are topologies, columns models with suite and agents; a place has all starts of it."""

    topologies: tuple[str, ...]
    columns: tuple[str, ...]
    places: Mapping[Place, tuple[CellFigures, ...]]

    def at(self, topology: str, column: str) -> tuple[CellFigures, ...]:
        """Return the cells of a place; none where it was not measured."""
        return self.places.get((topology, column), ())


def grid(cells: Sequence[CellFigures]) -> Grid | None:
    """Return the matrix of several topologies; None of one."""
    places: dict[Place, list[CellFigures]] = {}
    for cell in cells:
        places.setdefault((cell.plan.cell.topology, _column(cell)), []).append(cell)
    topologies = tuple(sorted({topology for topology, _ in places}))
    if len(topologies) < 2:  # of one there is nothing to compare
        return None
    columns = tuple(dict.fromkeys(column for _, column in places))
    return Grid(
        topologies=topologies,
        columns=columns,
        places={place: tuple(found) for place, found in places.items()},
    )


def _column(cell: CellFigures) -> str:
    agents = cell.plan.cell.agents
    if agents is None:
        return f"{cell.plan.cell.model} {cell.plan.cell.suite}"
    return f"{cell.plan.cell.model} {cell.plan.cell.suite} {agents}"
