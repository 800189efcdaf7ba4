"""What would decide a claim that is inconclusive, if its value stays where it is."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

from kit.claims.estimate import Estimate, Sample, half_width
from kit.figures import intervals

MOST_PASSES = 100
MOST_STARTS = 200


def what_would_decide(
    estimate: Estimate,
    accepted: tuple[float | None, float | None],
    published_half_width: float,
    restart_deviation: float,
) -> str:
    """Say how many passes, or else starts of the engine, would make the interval narrow enough.

    Passes help only down to what restarts move a cell by; `restart_deviation` is that, as a
    standard deviation in proportion, for one start.
    """
    if estimate.lacks_passes:
        return f"measure {intervals.FEWEST_PASSES} passes or more: with fewer there is no interval"
    room = _room(estimate.value, accepted)
    if published_half_width >= room:
        return (
            f"nothing that can be measured here: the published figure alone may be off by "
            f"{published_half_width:.1%}, and the bound is {room:.1%} away"
        )
    needed = math.sqrt(room**2 - published_half_width**2)
    has = min(sample.degrees + 1 for sample in estimate.slopes)
    passes = _fewest(
        lambda count: _narrow(_with_passes(estimate, count), needed), has + 1, MOST_PASSES
    )
    if passes is not None:
        return f"{passes} passes of each cell, in place of {has}"
    starts = _fewest(
        lambda count: _narrow(_with_starts(estimate, count, restart_deviation), needed),
        intervals.STARTS_WITHOUT_FLOOR,
        MOST_STARTS,
    )
    if starts is not None:
        return f"about {starts} starts of the engine for each cell"
    return f"more than {MOST_STARTS} starts of the engine for each cell"


def _fewest(is_enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the smallest count that is enough, by bisection: more are never less; None if none."""
    if least > most or not is_enough(most):
        return None
    return least + bisect_left(range(least, most), True, key=is_enough)


def _room(value: float, accepted: tuple[float | None, float | None]) -> float:
    """Return how far the nearest bound is away, on the logarithm."""
    bounds = [bound for bound in accepted if bound is not None and bound > 0]
    return min((abs(math.log(value / bound)) for bound in bounds), default=0.0)


def _narrow(estimate: Estimate, needed: float) -> bool:
    half = half_width(estimate)
    return half is not None and half <= needed


def _with_passes(estimate: Estimate, passes: int) -> Estimate:
    def more(sample: Sample) -> Sample:
        variance = (sample.variance or 0.0) * (sample.degrees + 1) / passes
        return replace(sample, variance=variance, degrees=passes - 1)

    return Estimate(estimate.value, {more(one): slope for one, slope in estimate.slopes.items()})


def _with_starts(estimate: Estimate, starts: int, deviation: float) -> Estimate:
    def more(sample: Sample) -> Sample:
        return replace(sample, variance=deviation**2 / starts, degrees=starts - 1, starts=starts)

    return Estimate(estimate.value, {more(one): slope for one, slope in estimate.slopes.items()})
