"""Published figures as ranges: a printed number stands for every number that rounds to it.

`169.7` is anything from 169.65 to 169.75. Arithmetic over ranges gives the range of all possible
results, so rounding alone never makes two figures disagree.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Self

import msgspec

from kit.claims.formula import Undefined, finite

Printed = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?\Z")]
"""A figure in the digits that were printed, without unit or separator."""

PrintedPositive = Annotated[
    str, msgspec.Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,9}(\.[0-9]{1,6})?\Z")
]
"""A printed figure other than 0: every number that rounds to it is positive."""


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def overlaps(self, other: "Range") -> bool:
        return self.low <= other.high and other.low <= self.high

    def log_distance(self, other: "Range") -> float:
        """Return the distance on the logarithm: 0 if they overlap, infinite from 0."""
        if self.overlaps(other):
            return 0.0
        lower, higher = sorted((self, other), key=lambda range_: range_.low)
        return math.inf if lower.high <= 0 else math.log(higher.low) - math.log(lower.high)

    def __str__(self) -> str:
        low, high = f"{self.low:.4g}", f"{self.high:.4g}"
        return low if low == high else f"{low} to {high}"

    def __add__(self, other: Self) -> Self:
        return self._of((self.low + other.low, self.high + other.high))

    def __sub__(self, other: Self) -> Self:
        return self._of((self.low - other.high, self.high - other.low))

    def __mul__(self, other: Self) -> Self:
        return self._of([a * b for a in self._ends() for b in other._ends()])

    def __truediv__(self, other: Self) -> Self:
        if other.low <= 0 <= other.high:
            raise Undefined("a division by what may be zero")
        return self._of([a / b for a in self._ends() for b in other._ends()])

    def larger(self, other: Self) -> Self:
        return self._of((max(self.low, other.low), max(self.high, other.high)))

    def smaller(self, other: Self) -> Self:
        return self._of((min(self.low, other.low), min(self.high, other.high)))

    def _ends(self) -> tuple[float, float]:
        return self.low, self.high

    def _of(self, ends: "list[float] | tuple[float, float]") -> Self:
        return type(self)(finite(min(ends)), finite(max(ends)))


def exactly(value: float) -> Range:
    """Return the range of a number that was not rounded."""
    return Range(value, value)


def printed(text: str) -> Range:
    """Return the range of a printed figure: half a last digit to either side."""
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), "`Printed` allows digits only"
    half = Decimal(5).scaleb(exponent - 1)
    return Range(float(value - half), float(value + half))
