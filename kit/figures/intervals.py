"""95 % confidence intervals: Student-t on the logarithms of per-pass rates, Welch's for ratios.

Logarithms, because the spread of rates is proportional to them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, variance

RESTART_FLOOR = 0.013
"""Smallest half-width of an interval, as a ratio, with fewer than three engine starts.

The article's author measured 164 to 173 tok/s in repeats of one cell (MoE at tp2-nvlink and tp1):
about 1.3 % from start to start, which passes of one start cannot show.
"""

STARTS_WITHOUT_FLOOR = 3
FEWEST_PASSES = 3
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Bounds at 95 % confidence, in the unit of the figure."""

    low: float
    high: float


def rate_interval(rates: Sequence[float], centre: float, starts: int = 1) -> Interval | None:
    """Return the interval around a pooled rate, from its passes' rates in tok/s.

    None with fewer than three passes, or if a pass has rate 0.
    """
    if not _enough(rates):
        return None
    spread = math.sqrt(variance([math.log(rate) for rate in rates]) / len(rates))
    half = max(student_t_quantile(len(rates) - 1) * spread, _floor(starts))
    return _around(centre, half)


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], centre: float, starts: int = 1
) -> Interval | None:
    """Return the interval of a ratio of two cells' rates, by Welch's method on the logarithms.

    Welch, "The generalization of 'Student's' problem", Biometrika 34 (1947). None as above.
    """
    if not (_enough(numerator) and _enough(denominator)):
        return None
    terms = [
        (variance([math.log(rate) for rate in rates]) / len(rates), len(rates) - 1)
        for rates in (numerator, denominator)
    ]
    total = sum(term for term, _ in terms)
    floor = math.sqrt(2) * _floor(starts)
    if total == 0:
        return _around(centre, floor)
    degrees = total**2 / sum(term**2 / degrees for term, degrees in terms)
    return _around(centre, max(student_t_quantile(degrees) * math.sqrt(total), floor))


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
    """Return sample standard deviation over mean, for two or more values; 0 if the mean is 0."""
    mean = fmean(values)
    deviation = math.dist(values, [mean] * len(values)) / math.sqrt(len(values) - 1)
    return deviation / mean if mean else 0.0


def _enough(rates: Sequence[float]) -> bool:
    return len(rates) >= FEWEST_PASSES and min(rates) > 0


def _floor(starts: int) -> float:
    return RESTART_FLOOR if starts < STARTS_WITHOUT_FLOOR else 0.0


def _around(centre: float, half_width: float) -> Interval:
    return Interval(low=centre * math.exp(-half_width), high=centre * math.exp(half_width))
