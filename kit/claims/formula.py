"""The language of claims: arithmetic over named quantities of named cells.

    rate(moe@tp1) / rate(dense@tp1)
    max(rate(moe@tp1), rate(moe@tp2-pcie:4)) / gpu-price-usd

`moe@tp2-pcie:4` is a cell: model, topology, and the requests in flight if more than one. A text is
parsed into a tree, whose length and depth are limited; nothing is ever executed. Arithmetic without
a result, such as a division by zero, is `Undefined`. This module knows no quantity: the caller of
`evaluate` gives each its value, and chooses the kind of number.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, Self, TypeAlias, TypeVar, assert_never

LENGTH_LIMIT = 1000
DEPTH_LIMIT = 10
CHAIN_LIMIT = 20
"""Operations in a row, or terms of a maximum, which make a tree as deep."""

_ID = r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*"
_AGENTS = "[1-9][0-9]{0,3}"
_CELL = re.compile(rf"(?P<model>{_ID})@(?P<topology>{_ID})(?::(?P<agents>{_AGENTS}))?")
_TOKEN = re.compile(
    rf" *(?:(?P<cell>{_ID}@{_ID}(?::{_AGENTS})?)|(?P<name>{_ID})"
    r"|(?P<number>[0-9]{1,12}(?:\.[0-9]{1,12})?)|(?P<sign>[-+*/(),]))"
)


class BadFormula(ValueError):
    """A text that is not a formula, or a formula with unknown names."""


class Undefined(ArithmeticError):
    """A formula that has no value for these figures."""


class Number(Protocol):
    """What a formula is evaluated in: plain numbers, ranges, or estimates with their spread.

    `larger` and `smaller` are the maximum and the minimum of two.
    """

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...
    def __truediv__(self, other: Self, /) -> Self: ...
    def larger(self, other: Self, /) -> Self: ...
    def smaller(self, other: Self, /) -> Self: ...


N = TypeVar("N", bound=Number)
T = TypeVar("T")


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
    """A number in the formula itself."""

    value: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named number that is not measured, such as a price."""

    name: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of cells, narrowed by words: `rate(moe@tp1, impl)`."""

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
    """Return a cell by its name; raise `BadFormula`."""
    match = _CELL.fullmatch(text) if len(text) <= LENGTH_LIMIT else None
    if match is None:
        raise BadFormula(f"not a cell such as moe@tp1 or moe@tp1:4: {text[:60]!r}")
    return CellName(match["model"], match["topology"], int(match["agents"] or 1))


def quantities(formula: Formula) -> Iterator[Quantity]:
    """Yield every quantity of a formula, from left to right."""
    return (leaf for leaf in _leaves(formula) if isinstance(leaf, Quantity))


def parameters(formula: Formula) -> Iterator[str]:
    """Yield the name of every parameter of a formula."""
    return (leaf.name for leaf in _leaves(formula) if isinstance(leaf, Parameter))


def cells(formula: Formula) -> tuple[CellName, ...]:
    """Return the cells of a formula, each once, in the order of first mention."""
    return tuple(dict.fromkeys(cell for leaf in quantities(formula) for cell in leaf.cells))


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
            return _combined(
                sign,
                evaluate(left, constant, resolve, parameter),
                evaluate(right, constant, resolve, parameter),
            )
    assert_never(formula)


def finite(value: float) -> float:
    """Return the value; raise `Undefined` if it is not finite."""
    if not math.isfinite(value):
        raise Undefined("a number beyond all bounds")
    return value


def _leaves(formula: Formula) -> Iterator[Constant | Parameter | Quantity]:
    if isinstance(formula, Operation):
        yield from _leaves(formula.left)
        yield from _leaves(formula.right)
    else:
        yield formula


def _combined(sign: str, left: N, right: N) -> N:
    try:
        match sign:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "max":
                return left.larger(right)
            case _:
                return left.smaller(right)
    except (ZeroDivisionError, OverflowError) as error:
        raise Undefined(str(error)) from error


class _Parser:
    """Recursive descent with one token of lookahead; the depth of nesting is counted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._ahead = self._next()

    def formula(self) -> Formula:
        tree = self._sum()
        if self._ahead is not None:
            raise _unexpected(self._ahead)
        return tree

    def _sum(self) -> Formula:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise BadFormula(f"nested more than {DEPTH_LIMIT} levels deep")
        tree = self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._factor))
        self._depth -= 1
        return tree

    def _chain(self, signs: tuple[str, str], part: Callable[[], Formula]) -> Formula:
        tree, operations = part(), 0
        while self._is_ahead(*signs):
            operations += 1
            if operations > CHAIN_LIMIT:
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
            raise _unexpected(token)
        if not self._is_ahead("("):
            return Parameter(token["name"])
        if token["name"] in ("max", "min"):
            return self._extreme(token["name"])
        return self._quantity(token["name"])

    def _extreme(self, sign: str) -> Formula:
        terms = self._arguments(self._sum)
        if len(terms) > CHAIN_LIMIT:
            raise BadFormula(f"more than {CHAIN_LIMIT} terms in {sign}")
        return reduce(lambda tree, term: Operation(sign, tree, term), terms)

    def _quantity(self, name: str) -> Quantity:
        arguments = self._arguments(self._cell_or_word)
        cells = tuple(part for part in arguments if isinstance(part, CellName))
        words = tuple(part for part in arguments if isinstance(part, str))
        if not cells or [*cells, *words] != arguments:
            raise BadFormula(f"{name} needs cells, then words")
        return Quantity(name, cells, words)

    def _cell_or_word(self) -> CellName | str:
        token = self._take()
        if token["cell"] is not None:
            return parse_cell(token["cell"])
        if token["name"] is None:
            raise _unexpected(token)
        return str(token["name"])

    def _arguments(self, part: Callable[[], T]) -> list[T]:
        """Parse parts in parentheses, separated by commas."""
        self._expect("(")
        parts = [part()]
        while self._is_ahead(","):
            self._expect(",")
            parts.append(part())
        self._expect(")")
        return parts

    def _is_ahead(self, *signs: str) -> bool:
        return self._ahead is not None and self._ahead["sign"] in signs

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
            raise _unexpected(token)


def _unexpected(token: re.Match[str]) -> BadFormula:
    return BadFormula(f"at character {token.end()}: unexpected {token[0].strip()!r}")
