"""A printed figure is the range that rounds to it; arithmetic gives the range of all results."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims.formula import Undefined
from kit.claims.rounding import Range, exactly, printed


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("169.7", 169.65, 169.75), ("41.0", 40.95, 41.05), ("399", 398.5, 399.5), ("0", -0.5, 0.5),
     ("1.038", 1.0375, 1.0385)],
)  # fmt: skip
def test_a_printed_figure_is_half_a_last_digit_wide(text: str, low: float, high: float) -> None:
    assert printed(text) == Range(low, high)


def test_rounded_tokens_over_rounded_seconds_may_be_the_average() -> None:
    assert round(5552 / 32.7, 1) == 169.8
    assert (exactly(5552) / printed("32.7")).overlaps(printed("169.7"))


@given(value=st.decimals("0.01", "99999", places=4), places=st.integers(0, 3))
def test_whatever_rounds_to_a_figure_is_in_its_range(value: Decimal, places: int) -> None:
    range_ = printed(f"{value:.{places}f}")
    assert range_.low <= float(value) <= range_.high


numbers = st.floats(-1e6, 1e6)


@st.composite
def ranges(draw: st.DrawFn, of: st.SearchStrategy[float] = numbers) -> tuple[Range, float]:
    """Return a range and a number that is in it."""
    low, inside, high = sorted(draw(st.tuples(of, of, of)))
    return Range(low, high), inside


def is_in(value: float, range_: Range) -> bool:
    slack = 1e-9 * max(1.0, abs(value))
    return range_.low - slack <= value <= range_.high + slack


@given(left=ranges(), right=ranges())
def test_a_result_of_members_is_a_member_of_the_result(
    left: tuple[Range, float], right: tuple[Range, float]
) -> None:
    (a, x), (b, y) = left, right
    assert is_in(x + y, a + b)
    assert is_in(x - y, a - b)
    assert is_in(x * y, a * b)
    assert is_in(max(x, y), a.larger(b))
    assert is_in(min(x, y), a.smaller(b))


@given(left=ranges(), right=ranges(st.floats(1e-3, 1e6)) | ranges(st.floats(-1e6, -1e-3)))
def test_a_quotient_of_members_is_too(
    left: tuple[Range, float], right: tuple[Range, float]
) -> None:
    (a, x), (b, y) = left, right
    assert is_in(x / y, a / b)


@pytest.mark.parametrize("divisor", [Range(-1, 1), Range(0, 1), Range(-1, 0), Range(0, 0)])
def test_nothing_is_divided_by_what_may_be_zero(divisor: Range) -> None:
    with pytest.raises(Undefined):
        exactly(1) / divisor


def test_nothing_is_infinite() -> None:
    with pytest.raises(Undefined):
        exactly(1e300) * exactly(1e300)
    assert math.isfinite((exactly(1e300) / exactly(1e-3)).high)
