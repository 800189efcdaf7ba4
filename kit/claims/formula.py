"""The language that claims are written in: arithmetic over named quantities of named cells.

    rate(moe@tp1) / rate(dense@tp1)
    max(rate(moe@tp1), rate(moe@tp2-pcie:4)) / gpu-price-usd

`moe@tp2-pcie:4` is a cell: model, topology, and requests in flight where they are more than one.
Small, total and safe: a text is parsed into a tree and nothing is ever executed; length and depth
have limits, and what arithmetic cannot do, such as a division by zero, is `Undefined`. Knows no
quantity: whoever evaluates a tree says what its names stand for, and which numbers it reckons with.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias, TypeVar, assert_never

LENGTH_LIMIT = 1000
DEPTH_LIMIT = 10
CHAIN_LIMIT = 20
"""Operations in a row, and terms of a maximum: as a tree they lean, and are as deep."""

_ID = r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*"
_CELL = re.compile(rf"(?P<model>{_ID})@(?P<topology>{_ID})(?::(?P<agents>[1-9][0-9]{{0,3}}))?")
_TOKEN = re.compile(
    rf" *(?:(?P<cell>{_CELL.pattern.replace('?P<', '?P<_')})|(?P<name>{_ID})"
    r"|(?P<number>[0-9]{1,12}(?:\.[0-9]{1,12})?)|(?P<sign>[-+*/(),]))"
)


class BadFormula(ValueError):
    """A text that is no formula, or a formula over names that do not exist."""


class Undefined(ArithmeticError):
    """A formula that has no value for these figures."""


class Number(Protocol):
    """What a formula is evaluated in: plain numbers, ranges, or estimates with their spread."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...
    def __truediv__(self, other: Self, /) -> Self: ...

    def larger(self, other: Self, /) -> Self:
        """Return the maximum of the two."""
        ...

    def smaller(self, other: Self, /) -> Self:
        """Return the minimum of the two."""
        ...


N = TypeVar("N", bound=Number)


@dataclass(frozen=True, order=True, slots=True)
class CellName:
    """Model, topology and requests in flight: `moe@tp1`, or `moe@tp1:4`."""

    model: str
    topology: str
    agents: int = 1

    def __str__(self) -> str:
        return f"{self.model}@{self.topology}" + (f":{self.agents}" if self.agents > 1 else "")


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that stands in the formula."""

    value: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number that is not measured, such as a price."""

    name: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of cells, with words that narrow it: `rate(moe@tp1, impl)`."""

    name: str
    cells: tuple[CellName, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join([*map(str, self.cells), *self.words])})"


@dataclass(frozen=True, slots=True)
class Operation:
    """`+`, `-`, `*`, `/`, `max` or `min` of two formulas."""

    sign: str
    left: "Formula"
    right: "Formula"


Formula: TypeAlias = Constant | Parameter | Quantity | Operation


def parse(text: str) -> Formula:
    """Return the tree of a formula; raise `BadFormula` with what is wrong and where."""
    if len(text) > LENGTH_LIMIT:
        raise BadFormula(f"longer than {LENGTH_LIMIT} characters")
    return _Parser(text).formula()


def parse_cell(text: str) -> CellName:
    """Return a cell by its name; raise `BadFormula` for what is none."""
    match = _CELL.fullmatch(text) if len(text) <= LENGTH_LIMIT else None
    if match is None:
        raise BadFormula(f"not a cell such as moe@tp1 or moe@tp1:4: {text[:60]!r}")
    return CellName(match["model"], match["topology"], int(match["agents"] or 1))


def quantities(formula: Formula) -> Iterator[Quantity]:
    """Yield every quantity of a formula, from left to right."""
    match formula:
        case Quantity():
            yield formula
        case Operation(_, left, right):
            yield from quantities(left)
            yield from quantities(right)
        case Constant() | Parameter():
            return
        case _:
            assert_never(formula)


def parameters(formula: Formula) -> Iterator[str]:
    """Yield the name of every parameter of a formula."""
    match formula:
        case Parameter(name):
            yield name
        case Operation(_, left, right):
            yield from parameters(left)
            yield from parameters(right)
        case Constant() | Quantity():
            return
        case _:
            assert_never(formula)


def cells(formula: Formula) -> tuple[CellName, ...]:
    """Return the cells that a formula is over, each once, in the order of first mention."""
    return tuple(dict.fromkeys(cell for one in quantities(formula) for cell in one.cells))


def evaluate(
    formula: Formula,
    constant: Callable[[float], N],
    resolve: Callable[[Quantity], N],
    parameter: Callable[[str], float],
) -> N:
    """Return the value of a formula; raise `Undefined`, or what `resolve` and `parameter` raise."""
    match formula:
        case Constant(value):
            return constant(value)
        case Parameter(name):
            return constant(parameter(name))
        case Quantity():
            return resolve(formula)
        case Operation(sign, left, right):
            one = evaluate(left, constant, resolve, parameter)
            other = evaluate(right, constant, resolve, parameter)
            return _combined(sign, one, other)
    assert_never(formula)


def finite(value: float) -> float:
    """Return the value; raise `Undefined` for what left the range of numbers."""
    if not math.isfinite(value):
        raise Undefined("a number beyond all bounds")
    return value


def _combined(sign: str, one: N, other: N) -> N:
    try:
        match sign:
            case "+":
                return one + other
            case "-":
                return one - other
            case "*":
                return one * other
            case "/":
                return one / other
            case "max":
                return one.larger(other)
            case _:
                return one.smaller(other)
    except (ZeroDivisionError, OverflowError) as error:
        raise Undefined(str(error)) from error


class _Parser:
    """Recursive descent, one token ahead; every level of nesting costs one of the depth."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._ahead = self._next()

    def formula(self) -> Formula:
        tree = self._sum()
        if self._ahead is not None:
            raise self._unexpected()
        return tree

    def _sum(self) -> Formula:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise BadFormula(f"nested more than {DEPTH_LIMIT} levels deep")
        tree = self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._factor))
        self._depth -= 1
        return tree

    def _chain(self, signs: tuple[str, str], part: Callable[[], Formula]) -> Formula:
        tree, links = part(), 0
        while self._ahead is not None and self._ahead["sign"] in signs:
            links += 1
            if links > CHAIN_LIMIT:
                raise BadFormula(f"more than {CHAIN_LIMIT} operations in a row")
            sign = self._take()["sign"]
            tree = Operation(sign, tree, part())
        return tree

    def _factor(self) -> Formula:
        token = self._take()
        if token["number"] is not None:
            return Constant(float(token["number"]))
        if token["sign"] == "(":
            tree = self._sum()
            self._expect(")")
            return tree
        if token["name"] is None:
            raise self._unexpected(token)
        if self._ahead is None or self._ahead["sign"] != "(":
            return Parameter(token["name"])
        self._expect("(")
        if token["name"] in ("max", "min"):
            return self._extreme(token["name"])
        return self._quantity(token["name"])

    def _extreme(self, sign: str) -> Formula:
        tree, terms = self._sum(), 1
        while self._ahead is not None and self._ahead["sign"] == ",":
            self._expect(",")
            tree, terms = Operation(sign, tree, self._sum()), terms + 1
            if terms > CHAIN_LIMIT:
                raise BadFormula(f"more than {CHAIN_LIMIT} terms in {sign}")
        self._expect(")")
        return tree

    def _quantity(self, name: str) -> Quantity:
        cells: list[CellName] = []
        words: list[str] = []
        while True:
            token = self._take()
            if token["cell"] is not None and not words:
                cells.append(parse_cell(token["cell"]))
            elif token["name"] is not None:
                words.append(token["name"])
            else:
                raise self._unexpected(token)
            if self._ahead is None or self._ahead["sign"] != ",":
                break
            self._expect(",")
        self._expect(")")
        if not cells:
            raise BadFormula(f"{name} of no cell")
        return Quantity(name, tuple(cells), tuple(words))

    def _next(self) -> re.Match[str] | None:
        if not self._text[self._at :].strip(" "):
            return None
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise BadFormula(f"at character {self._at + 1}: {self._text[self._at :][:20]!r}")
        self._at = match.end()
        return match

    def _take(self) -> re.Match[str]:
        token = self._ahead
        if token is None:
            raise BadFormula("it ends too early")
        self._ahead = self._next()
        return token

    def _expect(self, sign: str) -> None:
        token = self._take()
        if token["sign"] != sign:
            raise self._unexpected(token)

    def _unexpected(self, token: re.Match[str] | None = None) -> BadFormula:
        found = token or self._ahead
        assert found is not None
        return BadFormula(f"at character {found.end()}: {found[0].strip()!r} does not belong there")
