"""Estimates agree with the formulas of `kit.figures`, and with simulation elsewhere."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims.estimate import Estimate, Repetitions, half_width, interval, sampled, sensitivity
from kit.claims.formula import CellName, Undefined
from kit.figures import intervals
from kit.figures.intervals import RESTART_FLOOR, Interval

MOE, DENSE = CellName("moe", "tp1"), CellName("dense", "tp1")
RATES = st.lists(st.floats(1.0, 1e3), min_size=3, max_size=10)


def estimate(
    rates: Sequence[float], cell: CellName = MOE, name: str = "", starts: int = 1
) -> Estimate:
    logs = [math.log(rate) for rate in rates]
    repetitions = Repetitions(cell=cell, name=name, spread=intervals.spread(rates), starts=starts)
    return sampled(repetitions, math.exp(sum(logs) / len(logs)))


def agree(actual: Interval | None, expected: Interval | None) -> bool:
    assert actual is not None
    assert expected is not None
    return actual.low == pytest.approx(expected.low) and actual.high == pytest.approx(expected.high)


@given(rates=RATES, starts=st.integers(1, 4))
def test_one_cell_has_the_interval_of_its_rates(rates: list[float], starts: int) -> None:
    result = estimate(rates, starts=starts)
    assert agree(interval(result), intervals.rate_interval(rates, result.value, starts))


@given(above=RATES, below=RATES, starts=st.integers(1, 4))
def test_a_ratio_of_two_has_welchs(above: list[float], below: list[float], starts: int) -> None:
    result = estimate(above, starts=starts) / estimate(below, DENSE, starts=starts)
    assert agree(interval(result), intervals.ratio_interval(above, below, result.value, starts))


@given(rates=RATES, factor=st.floats(0.01, 100))
def test_a_factor_moves_an_interval_and_does_not_widen_it(
    rates: list[float], factor: float
) -> None:
    result = estimate(rates)
    for scaled in (result * Estimate(factor), Estimate(factor) / result, result / Estimate(factor)):
        assert half_width(scaled) == pytest.approx(half_width(result))


def test_what_was_not_sampled_is_exact() -> None:
    count = Estimate(3.0) * Estimate(2.0) - Estimate(6.0)
    assert count.is_exact
    assert interval(count) == Interval(low=0.0, high=0.0)


def test_too_few_passes_have_no_interval() -> None:
    result = estimate([1.0, 1.1]) / estimate([1.0, 1.1, 1.2], DENSE)
    assert interval(result) is None


def test_a_start_cancels_between_figures_of_one_cell_but_not_between_cells() -> None:
    rates = [1.0, 1.0, 1.0]
    within = estimate(rates, name="a") / estimate(rates, name="b")
    between = estimate(rates, name="a") / estimate(rates, DENSE, name="a")
    assert half_width(within) == 0.0
    assert half_width(between) == pytest.approx(math.sqrt(2) * RESTART_FLOOR)
    assert sensitivity(within) == 0.0


def test_a_cell_that_divides_itself_is_certain() -> None:
    result = estimate([1.0, 2.0, 3.0])
    assert half_width(result / result) == pytest.approx(0.0)


def test_only_cells_of_few_starts_have_a_floor() -> None:
    rates = [1.0, 1.0, 1.0]
    result = estimate(rates, starts=3) / estimate(rates, DENSE, starts=1)
    assert half_width(result) == pytest.approx(RESTART_FLOOR)


def test_maximum_and_minimum_are_of_the_chosen_branch() -> None:
    small, large = estimate([1.0, 1.1, 1.2]), estimate([5.0, 5.1, 5.3], DENSE)
    assert small.larger(large) is large.larger(small) is large
    assert small.smaller(large) is large.smaller(small) is small


def test_a_difference_that_is_not_positive_has_no_interval() -> None:
    result = estimate([1.0, 1.1, 1.2])
    with pytest.raises(Undefined):
        interval(result - result)


def test_intervals_cover_what_they_are_about() -> None:
    """19 of 20, of a sum over a sum and of Welch's ratio; the floor is left out by three starts."""
    noise = random.Random(4)
    hits = dict.fromkeys(("ratio", "share"), 0)
    trials = 400
    for _ in range(trials):
        moe, dense = (
            estimate([rate * math.exp(noise.gauss(0, 0.01)) for _ in range(5)], cell, starts=3)
            for cell, rate in ((MOE, 168.0), (DENSE, 41.0))
        )
        for name, combined, true in (
            ("ratio", moe / dense, 168 / 41),
            ("share", moe / (moe + dense), 168 / 209),
        ):
            bounds = interval(combined)
            assert bounds is not None
            hits[name] += bounds.low <= true <= bounds.high
    assert all(0.92 <= count / trials <= 0.98 for count in hits.values()), hits
