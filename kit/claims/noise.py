"""How far a published figure may itself be off: pooled from the author's repeated runs."""

import math
from collections.abc import Iterable
from statistics import variance

import msgspec

from kit.claims import formula
from kit.claims.formula import CellName
from kit.claims.reference import Reference
from kit.figures import intervals


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """The standard deviation of a published single pass, in proportion, and its degrees of freedom.

    `cells` are those that were repeated; the same noise is assumed for all others.
    """

    deviation: float
    degrees: int
    cells: tuple[CellName, ...]


def noise_of(references: Iterable[Reference], author: str) -> Noise | None:
    """Pool an author's repeats: variance of the logarithms within cells, over all references.

    None where the author repeated no cell.
    """
    rates: dict[CellName, list[float]] = {}
    for reference in references:
        for key, repeats in reference.repeats.items() if reference.author == author else ():
            logs = [math.log(float(repeat.rate)) for repeat in repeats]
            rates.setdefault(formula.parse_cell(key), []).extend(logs)
    repeated = {cell: logs for cell, logs in rates.items() if len(logs) > 1}
    degrees = sum(len(logs) - 1 for logs in repeated.values())
    if degrees == 0:
        return None
    squares = sum(variance(logs) * (len(logs) - 1) for logs in repeated.values())
    return Noise(
        deviation=math.sqrt(squares / degrees), degrees=degrees, cells=tuple(sorted(repeated))
    )


def half_width(noise: Noise | None) -> float:
    """Return the half-width at 95 % of one published figure, in proportion.

    Without repeats it is what a restart of the engine moves a cell by.
    """
    if noise is None:
        return intervals.RESTART_FLOOR
    return intervals.student_t_quantile(noise.degrees) * noise.deviation
