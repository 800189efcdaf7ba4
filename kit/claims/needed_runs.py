"""How many passes or engine starts would decide an inconclusive claim, at the same value."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

from kit.claims.estimate import Estimate, half_width
from kit.figures import intervals
from kit.figures.intervals import Spread

MOST_PASSES = 100
MOST_STARTS = 200

Bounds = tuple[float | None, float | None]
"""The lowest and the highest accepted value; None where there is no bound."""


def advice(
    estimate: Estimate, accepted: Bounds, published_half_width: float, restart_deviation: float
) -> str:
    """Say how many passes, or else engine starts, would make the interval narrow enough.

    More passes narrow it only down to the effect of a restart: `restart_deviation` is the standard
    deviation of one start, in proportion.
    """
    spreads = [repetitions.spread for repetitions in estimate.slopes]
    if None in spreads:
        return f"measure {intervals.FEWEST_PASSES} passes or more: with fewer there is no interval"
    distance = _distance_to_bound(estimate.value, accepted)
    if published_half_width >= distance:
        return (
            "no measurement can decide it: the published figure alone may be off by "
            f"{published_half_width:.1%}, and the bound is {distance:.1%} away"
        )
    allowed = math.sqrt(distance**2 - published_half_width**2)
    passes = min(spread.degrees + 1 for spread in spreads if spread is not None)
    needed = _fewest(passes + 1, MOST_PASSES, lambda n: _fits(_of_passes(estimate, n), allowed))
    if needed is not None:
        return f"{needed} passes of each cell, in place of {passes}"
    needed = _fewest(
        intervals.STARTS_WITHOUT_FLOOR,
        MOST_STARTS,
        lambda n: _fits(_of_starts(estimate, n, restart_deviation), allowed),
    )
    count = f"more than {MOST_STARTS}" if needed is None else f"about {needed}"
    return f"{count} starts of the engine for each cell"


def _distance_to_bound(value: float, accepted: Bounds) -> float:
    """Return how far the nearest bound is from the value, on the logarithm."""
    bounds = [bound for bound in accepted if bound is not None and bound > 0]
    return min((abs(math.log(value / bound)) for bound in bounds), default=0.0)


def _fewest(least: int, most: int, is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest count that is enough, by bisection; None if `most` is not enough."""
    if least > most or not is_enough(most):
        return None
    return least + bisect_left(range(least, most), True, key=is_enough)


def _fits(estimate: Estimate, allowed: float) -> bool:
    half = half_width(estimate)
    return half is not None and half <= allowed


def _of_passes(estimate: Estimate, passes: int) -> Estimate:
    slopes = {}
    for repetitions, slope in estimate.slopes.items():
        assert repetitions.spread is not None, "checked by `advice`"
        variance_of_one = repetitions.spread.variance * (repetitions.spread.degrees + 1)
        spread = Spread(variance=variance_of_one / passes, degrees=passes - 1)
        slopes[replace(repetitions, spread=spread)] = slope
    return Estimate(estimate.value, slopes)


def _of_starts(estimate: Estimate, starts: int, deviation: float) -> Estimate:
    spread = Spread(variance=deviation**2 / starts, degrees=starts - 1)
    return Estimate(
        estimate.value,
        {
            replace(repetitions, spread=spread, starts=starts): slope
            for repetitions, slope in estimate.slopes.items()
        },
    )
