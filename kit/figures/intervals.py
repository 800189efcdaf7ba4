"""Confidence intervals at 95 %: Student's t on logarithms of rates, Welch's method for ratios.

Logarithms, because rates vary in proportion. Every half-width here is on the logarithm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, variance

RESTART_FLOOR = 0.013
"""The smallest half-width of an interval with fewer than three engine starts.

The author's own repeats of one cell differ by about 1.3 % from start to start (164-173 tok/s for
MoE at tp2-nvlink and tp1), which the passes of one start cannot show.
"""

STARTS_WITHOUT_FLOOR = 3

FEWEST_PASSES = 3

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Bounds at 95 % confidence, in the unit of the figure that they belong to."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The variance of a mean of logarithms, and its degrees of freedom."""

    variance: float
    degrees: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of the mean of the values' logarithms.

    None for fewer than three values, and where one is 0: its logarithm does not exist.
    """
    if len(values) < FEWEST_PASSES or min(values) <= 0:
        return None
    logs = [math.log(value) for value in values]
    return Spread(variance=variance(logs) / len(logs), degrees=len(logs) - 1)


def welch_half_width(spreads: Sequence[Spread]) -> float:
    """Return the half-width of a sum or difference of independent means of logarithms.

    Degrees of freedom by Welch and Satterthwaite; for a single mean they are its own, which gives
    Student's t. Welch, "The generalization of 'Student's' problem", Biometrika 34 (1947).
    """
    total = sum(mean.variance for mean in spreads)
    if total == 0:
        return 0.0
    degrees = 1 / sum((mean.variance / total) ** 2 / mean.degrees for mean in spreads)
    return student_t_quantile(degrees) * math.sqrt(total)


def around(centre: float, half_width: float) -> Interval:
    """Return the interval around a positive value; `half_width` is on its logarithm."""
    return Interval(low=centre * math.exp(-half_width), high=centre * math.exp(half_width))


def rate_interval(rates: Sequence[float], centre: float, starts: int = 1) -> Interval | None:
    """Return the interval of a pooled rate from its passes' rates in tok/s.

    None for fewer than three passes, and where a pass yielded no token.
    """
    passes = spread(rates)
    if passes is None:
        return None
    return around(centre, max(welch_half_width([passes]), _floor(starts)))


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], centre: float, starts: int = 1
) -> Interval | None:
    """Return the interval of a ratio of two cells' rates; None as for `rate_interval`."""
    above, below = spread(numerator), spread(denominator)
    if above is None or below is None:
        return None
    floor = math.sqrt(2) * _floor(starts)
    return around(centre, max(welch_half_width([above, below]), floor))


@lru_cache(maxsize=4096)
def student_t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Return t such that |T| <= t with this probability, for `degrees` > 0, fractions allowed.

    Bisection on the two-sided tail I_x(degrees/2, 1/2), x = degrees / (degrees + t^2)
    (Abramowitz and Stegun 26.7.1).
    """
    low, high = 0.0, 1.0
    while _t_tail(high, degrees) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_tail(middle, degrees) > 1 - confidence else (low, middle)
    return high


def _t_tail(t: float, degrees: float) -> float:
    return _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated from the tail."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # DLMF 8.17.4: the fraction converges fast on one side only
        return 1 - _incomplete_beta(1 - x, b, a)
    fraction = 1.0
    for m in range(100, 0, -1):
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        fraction = 1 + odd / (1 + even / fraction)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / (a * fraction)


def coefficient_of_variation(values: Sequence[float]) -> float:
    """Return the sample's standard deviation over its mean, of two values or more; 0 if all are."""
    mean = fmean(values)
    deviation = math.dist(values, [mean] * len(values)) / math.sqrt(len(values) - 1)
    return deviation / mean if mean else 0.0


def _floor(starts: int) -> float:
    return RESTART_FLOOR if starts < STARTS_WITHOUT_FLOOR else 0.0
