"""Estimates: values with the slopes by which they depend on what was sampled.

The delta method in proportion: each sample is the mean of logarithms of rates, and an estimate
keeps the derivative of its value by each of them. For one cell that gives Student's t on the
logarithms, for a ratio of two Welch's interval, as `kit.figures.throughput` has them; for sums it
is a first approximation. `larger` and `smaller` follow the branch that is chosen, so where two
cells are nearly equal the interval of their maximum is a little too narrow and its value a little
too high.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from kit.claims.formula import CellName, Undefined, finite
from kit.figures import intervals
from kit.figures.intervals import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The repetitions behind one figure of a cell: passes, or starts where they are three or more.

    `variance` is of the mean of logarithms, with `degrees` degrees of freedom; None where there are
    too few. `name` tells the figures of a cell apart.
    """

    cell: CellName
    name: str
    variance: float | None
    degrees: int
    starts: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and its derivatives by the logarithms of the samples that it is made of."""

    value: float
    slopes: Mapping[Sample, float] = field(default_factory=dict)

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
        slopes: defaultdict[Sample, float] = defaultdict(float)
        for estimate, weight in zip((self, other), weights, strict=True):
            for sample, slope in estimate.slopes.items():
                slopes[sample] += finite(weight * slope)
        return Estimate(finite(value), dict(slopes))

    @property
    def is_exact(self) -> bool:
        """Whether nothing in it was sampled: it was counted, or told by the server."""
        return not self.slopes

    @property
    def lacks_passes(self) -> bool:
        return any(sample.variance is None for sample in self.slopes)


def sampled(sample: Sample, value: float) -> Estimate:
    """Return the estimate of a figure itself: in proportion to its sample."""
    return Estimate(value, {sample: value})


def interval(estimate: Estimate) -> Interval | None:
    """Return the 95 % interval; None where a cell has too few passes for one."""
    if estimate.is_exact:
        return Interval(low=estimate.value, high=estimate.value)
    half = half_width(estimate)
    return None if half is None else around(estimate.value, half)


def half_width(estimate: Estimate, restarts: float = intervals.RESTART_FLOOR) -> float | None:
    """Return the half-width of the interval on the logarithm of a positive value.

    Not below what restarts move the cells by that have fewer than three starts. Several figures of
    one cell share its starts, so that these cancel where the figures do.
    """
    spread = passes_half_width(estimate)
    return None if spread is None else max(spread, restarts * reach(estimate, _few_starts))


def passes_half_width(estimate: Estimate) -> float | None:
    """Return the half-width by the spread of passes alone, by Welch and Satterthwaite."""
    terms: list[tuple[float, int]] = []
    for sample, share in _shares(estimate):
        if sample.variance is None:
            return None
        terms.append((share * share * sample.variance, sample.degrees))
    total = sum(term for term, _ in terms)
    if total == 0:
        return 0.0
    degrees = total**2 / sum(term**2 / degrees for term, degrees in terms)
    return intervals.student_t_quantile(degrees) * math.sqrt(total)


def reach(estimate: Estimate, counts: Callable[[Sample], bool] = lambda _: True) -> float:
    """Return by how much one relative unit in each cell moves the logarithm, cells independent."""
    cells: defaultdict[CellName, float] = defaultdict(float)
    for sample, share in _shares(estimate):
        if counts(sample):
            cells[sample.cell] += share
    return math.sqrt(sum(share * share for share in cells.values()))


def around(value: float, half: float) -> Interval:
    """Return the interval of this half-width on the logarithm."""
    return Interval(low=value * math.exp(-half), high=value * math.exp(half))


def _few_starts(sample: Sample) -> bool:
    return sample.starts < intervals.STARTS_WITHOUT_FLOOR


def _shares(estimate: Estimate) -> Iterable[tuple[Sample, float]]:
    """Return the derivative of the logarithm by each sample."""
    if estimate.value <= 0:
        raise Undefined("a value that is not positive has no interval")
    return [(sample, slope / estimate.value) for sample, slope in estimate.slopes.items()]
