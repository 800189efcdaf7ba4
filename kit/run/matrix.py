"""The order in which a matrix of cells is measured, and what fits into a budget. Pure."""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from kit.plan.plan import Cell


@dataclass(frozen=True, slots=True)
class Turn:
    """One start of a cell's engine; `start` counts from 1."""

    cell: Cell
    start: int

    def __str__(self) -> str:
        return f"{self.cell}, start {self.start}" if self.start > 1 else str(self.cell)


def in_order(
    cells: Iterable[Cell],
    starts: int,
    claims: Sequence[Collection[Cell]] = (),
    seconds: Mapping[Cell, float] | None = None,
) -> list[Turn]:
    """Return every start of every cell: all first starts, then all second ones.

    Within them the order is that of a hash, another one for each start, so that no topology is
    always measured on a cold machine. With `claims`, cells of those that take the fewest seconds to
    decide come first: each is the cells that a claim still needs.
    """
    known = seconds or {}
    least = {
        cell: min((_cost(claim, known) for claim in claims if cell in claim), default=math.inf)
        for cell in dict.fromkeys(cells)
    }
    turns = [Turn(cell, start) for cell in least for start in range(1, starts + 1)]
    return sorted(turns, key=lambda turn: (turn.start, least[turn.cell], _hash(turn)))


def expected_s(cell: Cell, seconds: Mapping[Cell, float]) -> float | None:
    """Return how long a cell takes: as long as before, else as the median of all; None if none."""
    if cell in seconds:
        return seconds[cell]
    return median(seconds.values()) if seconds else None


def left_s(turns: Sequence[Turn], seconds: Mapping[Cell, float]) -> float | None:
    """Return how long these turns take together; None where nothing was measured yet."""
    each = [expected_s(turn.cell, seconds) for turn in turns]
    return None if None in each else math.fsum(value for value in each if value is not None)


def _cost(claim: Collection[Cell], seconds: Mapping[Cell, float]) -> float:
    return math.fsum(expected_s(cell, seconds) or 1.0 for cell in claim)


def _hash(turn: Turn) -> bytes:
    return hashlib.sha256(f"{turn.start}/{turn.cell}".encode()).digest()
