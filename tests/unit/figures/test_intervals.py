"""Intervals, compared with scipy and with what is true of any rate."""

import math
from collections.abc import Sequence

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kit.figures import intervals
from kit.figures.intervals import Interval, Spread

RATES = st.lists(st.floats(0.1, 1e4), min_size=3, max_size=12)


def rate_interval(rates: Sequence[float], centre: float, starts: int = 1) -> Interval:
    interval = intervals.rate_interval(rates, centre, starts)
    assert interval is not None
    return interval


def ratio_interval(one: Sequence[float], other: Sequence[float], starts: int = 1) -> Interval:
    interval = intervals.ratio_interval(one, other, 1.0, starts)
    assert interval is not None
    return interval


def half_width(interval: Interval) -> float:
    return math.log(interval.high / interval.low) / 2


@given(RATES, st.floats(0.1, 1e4))
def test_an_interval_is_symmetric_in_the_logarithm(rates: list[float], centre: float) -> None:
    interval = rate_interval(rates, centre)
    assert interval.low < centre < interval.high
    assert math.sqrt(interval.low * interval.high) == pytest.approx(centre)


@given(RATES)
def test_an_interval_is_never_narrower_than_restarts_differ(rates: list[float]) -> None:
    assert half_width(rate_interval(rates, 1.0)) >= intervals.RESTART_FLOOR * (1 - 1e-9)
    assert half_width(rate_interval(rates, 1.0, starts=2)) >= intervals.RESTART_FLOOR * (1 - 1e-9)
    assert half_width(ratio_interval(rates, rates)) >= 2**0.5 * intervals.RESTART_FLOOR * (1 - 1e-9)


def test_three_starts_lift_the_floor() -> None:
    rates = [100.0, 100.1, 99.9]
    assert half_width(rate_interval(rates, 100.0, starts=2)) == pytest.approx(0.013)
    assert 0 < half_width(rate_interval(rates, 100.0, starts=3)) < 0.013
    assert half_width(ratio_interval(rates, rates, starts=2)) == pytest.approx(0.013 * 2**0.5)
    assert 0 < half_width(ratio_interval(rates, rates, starts=3)) < 0.013


@given(RATES)
def test_more_passes_of_the_same_kind_narrow_the_interval(rates: list[float]) -> None:
    once = rate_interval(rates, 1.0, starts=3)
    assert half_width(rate_interval(rates * 2, 1.0, starts=3)) <= half_width(once)


@given(RATES)
def test_doubling_every_rate_leaves_the_width(rates: list[float]) -> None:
    doubled = [2 * rate for rate in rates]
    assert half_width(rate_interval(doubled, 1.0)) == pytest.approx(
        half_width(rate_interval(rates, 1.0)), rel=1e-6
    )


@given(st.lists(st.floats(50, 200), min_size=3, max_size=12))
def test_a_rate_interval_is_students(rates: list[float]) -> None:
    logarithms = [math.log(rate) for rate in rates]
    error = float(scipy.stats.sem(logarithms))
    width = error * float(scipy.stats.t.ppf(0.975, len(rates) - 1))
    assert half_width(rate_interval(rates, 1.0)) == pytest.approx(max(width, 0.013), rel=1e-6)


@given(
    st.lists(st.floats(50, 200), min_size=3, max_size=9, unique=True),
    st.lists(st.floats(50, 200), min_size=3, max_size=9, unique=True),
)
def test_a_ratio_interval_is_welchs(one: list[float], other: list[float]) -> None:
    logs = [[math.log(rate) for rate in rates] for rates in (one, other)]
    welch = scipy.stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    width = max(float(welch.high - welch.low) / 2, 0.013 * 2**0.5)
    assert half_width(ratio_interval(one, other)) == pytest.approx(width, rel=1e-5)


@given(RATES, RATES)
def test_a_ratio_is_as_wide_either_way(one: list[float], other: list[float]) -> None:
    assert half_width(ratio_interval(one, other)) == pytest.approx(
        half_width(ratio_interval(other, one))
    )


@given(RATES)
def test_a_cell_against_itself_may_be_equal(rates: list[float]) -> None:
    for starts in (1, 3):
        interval = ratio_interval(rates, rates, starts)
        assert interval.low <= 1.0 <= interval.high


def test_equal_passes_have_no_spread_of_their_own() -> None:
    assert half_width(ratio_interval([70.0] * 3, [30.0] * 3)) == pytest.approx(0.013 * 2**0.5)
    assert ratio_interval([70.0] * 3, [30.0] * 3, 3) == Interval(low=1.0, high=1.0)
    assert rate_interval([70.0] * 3, 70.0, 3) == Interval(low=70.0, high=70.0)


@pytest.mark.parametrize("rates", [[], [1.0], [1.0, 2.0], [1.0, 2.0, 0.0]])
def test_too_few_passes_or_an_empty_one_have_no_interval(rates: list[float]) -> None:
    enough = [1.0, 2.0, 3.0]
    assert intervals.rate_interval(rates, 1.0) is None
    assert intervals.ratio_interval(rates, enough, 1.0) is None
    assert intervals.ratio_interval(enough, rates, 1.0) is None
    assert intervals.ratio_interval(enough, enough, 1.0) is not None


@given(st.floats(0.5, 1000), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_quantile_agrees_with_scipy(degrees: float, confidence: float) -> None:
    expected = float(scipy.stats.t.ppf((1 + confidence) / 2, degrees))
    assert intervals.student_t_quantile(degrees, confidence) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.30265), (4, 2.77645), (10, 2.22814), (30, 2.04227), (1e6, 1.95997)],
)
def test_quantile_is_the_one_in_printed_tables(degrees: float, expected: float) -> None:
    assert intervals.student_t_quantile(degrees) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("variance", [1e-300, 1e-30, 1e300])
def test_a_variance_of_any_size_has_a_half_width(variance: float) -> None:
    one = intervals.welch_half_width([Spread(variance=variance, degrees=2)])
    two = intervals.welch_half_width([Spread(variance=variance, degrees=2)] * 2)
    assert one / math.sqrt(variance) == pytest.approx(4.30265, abs=1e-4)
    assert two / math.sqrt(2 * variance) == pytest.approx(2.77645, abs=1e-4)
