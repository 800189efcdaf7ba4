"""The language of claims: what it accepts, what it refuses, and that it does nothing else."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims import formula
from kit.claims.formula import (
    CHAIN_LIMIT,
    DEPTH_LIMIT,
    LENGTH_LIMIT,
    BadFormula,
    CellName,
    Constant,
    Formula,
    Operation,
    Parameter,
    Quantity,
    Undefined,
)


@dataclass(frozen=True)
class Plain:
    """Numbers as Python has them."""

    value: float

    def __add__(self, other: "Plain") -> "Plain":
        return Plain(formula.finite(self.value + other.value))

    def __sub__(self, other: "Plain") -> "Plain":
        return Plain(formula.finite(self.value - other.value))

    def __mul__(self, other: "Plain") -> "Plain":
        return Plain(formula.finite(self.value * other.value))

    def __truediv__(self, other: "Plain") -> "Plain":
        return Plain(formula.finite(self.value / other.value))

    def larger(self, other: "Plain") -> "Plain":
        return max(self, other, key=lambda plain: plain.value)

    def smaller(self, other: "Plain") -> "Plain":
        return min(self, other, key=lambda plain: plain.value)


RATES = {"moe@tp1": 168.4, "dense@tp1": 41.0, "moe@tp1:4": 336.0}


def value(text: str) -> float:
    return formula.evaluate(
        formula.parse(text),
        Plain,
        lambda quantity: Plain(RATES[str(quantity.cells[0])]),
        {"price": 800.0}.__getitem__,
    ).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("2 + 3 * 4", 14.0),
        ("(2 + 3) * 4", 20.0),
        ("2 - 3 - 4", -5.0),
        ("24 / 4 / 2", 3.0),
        ("1.5*2", 3.0),
        ("max(1, 3, 2) / min(4, 2)", 1.5),
        ("rate(moe@tp1) / rate(dense@tp1)", 168.4 / 41.0),
        ("rate(moe@tp1:4)/rate(moe@tp1)", 336.0 / 168.4),
        ("1000 / rate(moe@tp1)", 1000 / 168.4),
        ("rate(moe@tp1) / price", 168.4 / 800),
        ("((((rate(dense@tp1)))))", 41.0),
    ],
)
def test_arithmetic_is_the_usual_one(text: str, expected: float) -> None:
    assert value(text) == expected


def test_a_quantity_has_cells_and_then_words() -> None:
    result = formula.parse("not-passed(moe@tp2-pcie, moe-fp8@tp1:12, topology-kernels)")
    cells = (CellName("moe", "tp2-pcie"), CellName("moe-fp8", "tp1", 12))
    assert result == Quantity("not-passed", cells, ("topology-kernels",))


def test_cells_are_listed_once_in_order() -> None:
    tree = formula.parse("rate(b@t) + rate(a@t) * rate(b@t, x) - price")
    assert list(map(str, formula.cells(tree))) == ["b@t", "a@t"]
    assert list(formula.parameters(tree)) == ["price"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 +",
        "* 1",
        "1 2",
        "(1",
        "1)",
        "rate()",
        "rate(impl)",
        "rate(impl, moe@tp1)",
        "rate(moe@tp1",
        "rate(moe@tp1,)",
        "rate(1)",
        "rate(rate(moe@tp1))",
        "moe@tp1",
        "max()",
        "max(1,)",
        "moe@",
        "rate(moe@tp1:0)",
        "rate(MOE@tp1)",
        "1e9",
        "1.",
        ".5",
        "2 ** 3",
        "1 % 2",
        "__import__('os')",
        "rate.__class__",
        "rate(moe@tp1).real",
        "1\n+ 1",
        "1 + \u0661",
        "x" * (LENGTH_LIMIT + 1),
        "(" * (DEPTH_LIMIT + 1) + "1" + ")" * (DEPTH_LIMIT + 1),
        "+".join("1" * (CHAIN_LIMIT + 2)),
        f"max({','.join('1' * (CHAIN_LIMIT + 1))})",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadFormula):
        formula.parse(text)


@pytest.mark.parametrize(
    "text", ["moe", "moe@", "@tp1", "moe@tp1:x", "moe@tp1 ", "a@b@c", "a@b" * 999]
)
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(BadFormula):
        formula.parse_cell(text)


@pytest.mark.parametrize("text", ["1 / 0", "1 / (2 - 2)", "1 / (rate(moe@tp1) - rate(moe@tp1))"])
def test_what_has_no_value_is_undefined(text: str) -> None:
    with pytest.raises(Undefined):
        value(text)


def test_no_number_is_beyond_bounds() -> None:
    with pytest.raises(Undefined):
        value(" * ".join(["(999999999999 * 999999999999)"] * (CHAIN_LIMIT - 5)))


def test_the_deepest_formula_has_a_value() -> None:
    text = "1"
    for _ in range(DEPTH_LIMIT - 1):
        text = f"({text}{'*1' * CHAIN_LIMIT}{'+0' * CHAIN_LIMIT})"
    assert len(text) <= LENGTH_LIMIT
    assert value(text) == 1.0
    assert formula.cells(formula.parse(text)) == ()


names = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3})?", fullmatch=True)
cells = st.builds(CellName, names, names, st.integers(1, 9999))
leaves: st.SearchStrategy[Formula] = st.one_of(
    st.integers(0, 10**6).map(lambda number: Constant(float(number))),
    names.filter(lambda name: name not in ("max", "min")).map(Parameter),
    st.builds(
        Quantity,
        names.filter(lambda name: name not in ("max", "min")),
        st.lists(cells, min_size=1, max_size=3).map(tuple),
        st.lists(names, max_size=2).map(tuple),
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.builds(
        Operation, st.sampled_from(["+", "-", "*", "/", "max", "min"]), inner, inner
    ),
    max_leaves=8,
)


def spelled(tree: Formula) -> str:
    match tree:
        case Constant(number):
            return f"{number:.0f}"
        case Parameter(name):
            return name
        case Quantity():
            return str(tree)
        case Operation(sign, left, right) if sign in ("max", "min"):
            return f"{sign}({spelled(left)}, {spelled(right)})"
        case Operation(sign, left, right):
            return f"({spelled(left)} {sign} {spelled(right)})"


@given(tree=trees)
def test_a_tree_that_is_spelled_out_is_read_back(tree: Formula) -> None:
    assert formula.parse(spelled(tree)) == tree


@given(text=st.text(alphabet="ab@:-+*/()., 0123456789max", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    try:
        tree = formula.parse(text)
    except BadFormula:
        return
    assert formula.parse(spelled(tree)) is not None or tree


@given(tree=trees, number=st.floats(-1e300, 1e300))
def test_every_tree_has_a_value_or_is_undefined(tree: Formula, number: float) -> None:
    try:
        result = formula.evaluate(tree, Plain, lambda _: Plain(number), lambda _: number)
    except Undefined:
        return
    assert math.isfinite(result.value)
