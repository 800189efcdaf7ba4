"""Estimates: values with their derivatives by what was sampled, from which intervals follow.

The delta method on logarithms: an estimate keeps the derivative of its value by the mean of
logarithms behind each figure. For the rate of one cell this is Student's t, for a ratio of two
cells Welch's interval, as in `kit.figures.intervals`; for a sum it is a first approximation.
`larger` and `smaller` follow the chosen branch, so where two cells are nearly equal the interval of
their maximum is a little too narrow and its value a little too high.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kit.claims.formula import CellName, Undefined, finite
from kit.figures import intervals
from kit.figures.intervals import Interval, Spread


@dataclass(frozen=True, kw_only=True, slots=True)
class Repetitions:
    """What was repeated for one figure of a cell: passes, or engine starts from three on.

    `name` distinguishes the figures of a cell; `spread` is None for too few repetitions.
    """

    cell: CellName
    name: str
    spread: Spread | None
    starts: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and its derivatives by the logarithms of the figures that it is computed from."""

    value: float
    slopes: Mapping[Repetitions, float] = field(default_factory=dict)

    def __add__(self, other: "Estimate") -> "Estimate":
        return self._combined(other, self.value + other.value, (1.0, 1.0))

    def __sub__(self, other: "Estimate") -> "Estimate":
        return self._combined(other, self.value - other.value, (1.0, -1.0))

    def __mul__(self, other: "Estimate") -> "Estimate":
        return self._combined(other, self.value * other.value, (other.value, self.value))

    def __truediv__(self, other: "Estimate") -> "Estimate":
        quotient = self.value / other.value
        return self._combined(other, quotient, (1 / other.value, -quotient / other.value))

    def larger(self, other: "Estimate") -> "Estimate":
        return self if self.value >= other.value else other

    def smaller(self, other: "Estimate") -> "Estimate":
        return self if self.value <= other.value else other

    def _combined(
        self, other: "Estimate", value: float, weights: tuple[float, float]
    ) -> "Estimate":
        slopes: defaultdict[Repetitions, float] = defaultdict(float)
        for estimate, weight in zip((self, other), weights, strict=True):
            for repetitions, slope in estimate.slopes.items():
                slopes[repetitions] += finite(weight * slope)
        return Estimate(finite(value), dict(slopes))

    @property
    def is_exact(self) -> bool:
        """Whether nothing in it was sampled: it was counted, or read from the server's log."""
        return not self.slopes


def sampled(repetitions: Repetitions, value: float) -> Estimate:
    """Return the estimate of one figure, which is proportional to its repetitions."""
    return Estimate(value, {repetitions: value})


def interval(estimate: Estimate) -> Interval | None:
    """Return the 95 % interval; None where a figure has too few repetitions."""
    if estimate.is_exact:
        return Interval(low=estimate.value, high=estimate.value)
    half = half_width(estimate)
    return None if half is None else intervals.around(estimate.value, half)


def half_width(estimate: Estimate) -> float | None:
    """Return the half-width of the interval on the logarithm; raise `Undefined` for values <= 0.

    At least what a restart of the engine moves the cells by that have fewer than three starts.
    Figures of one cell share its starts, so a restart cancels out of their ratio.
    """
    spreads = []
    for repetitions, share in _shares(estimate).items():
        if repetitions.spread is None:
            return None
        variance, degrees = repetitions.spread.variance, repetitions.spread.degrees
        spreads.append(Spread(variance=share * share * variance, degrees=degrees))
    floor = intervals.RESTART_FLOOR * sensitivity(estimate, _has_floor)
    return max(intervals.welch_half_width(spreads), floor)


def sensitivity(
    estimate: Estimate, counts: Callable[[Repetitions], bool] = lambda _: True
) -> float:
    """Return how far the logarithm moves if each counted cell's figures move by 1 in proportion.

    Cells move independently of each other, all figures of one cell together.
    """
    cells: defaultdict[CellName, float] = defaultdict(float)
    for repetitions, share in _shares(estimate).items():
        if counts(repetitions):
            cells[repetitions.cell] += share
    return math.hypot(*cells.values())


def _has_floor(repetitions: Repetitions) -> bool:
    return repetitions.starts < intervals.STARTS_WITHOUT_FLOOR


def _shares(estimate: Estimate) -> Mapping[Repetitions, float]:
    """Return the derivatives of the logarithm of an estimate."""
    if estimate.value <= 0:
        raise Undefined("a value that is not positive has no interval")
    return {key: slope / estimate.value for key, slope in estimate.slopes.items()}
