"""Claims: what a publication says that bundles can confirm or refute, as data.

The quantities that formulas may use are listed here; `kit.claims.formula` has their syntax.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

import msgspec

from kit.claims import formula
from kit.claims.formula import BadFormula, Formula, Quantity
from kit.claims.rounding import Printed, Range, exactly, printed

Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=100)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Share = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=10**12)]

VOCABULARY: Mapping[str, tuple[int, int, int]] = {
    "rate": (1, 0, 1),
    "request-rate": (1, 0, 0),
    "ttft": (1, 0, 0),
    "kv-tokens": (1, 0, 0),
    "weights-gb": (1, 0, 0),
    "checkpoint-gb": (1, 0, 0),
    "not-passed": (32, 1, 1),
}
"""The quantities of a formula, each with its most cells, and its fewest and most words.

`rate`: completion tokens/s of a cell over all requests in flight, or of one prompt. `request-rate`:
of one request of several. `ttft`: seconds to the first token. `kv-tokens`: tokens that the server's
KV cache holds. `weights-gb`: GB (10^9 bytes) of weights on a GPU. `checkpoint-gb`: GB of the
model's weight files. `not-passed`: findings of a check that did not pass, over the cells' bundles.
"""


class Relation(Enum):
    """What a formula's value must be of the published figure."""

    EQUALS = "equals"
    AT_MOST = "at-most"
    AT_LEAST = "at-least"


class Hardware(Enum):
    """Where a claim can be judged: an absolute number on the same GPUs only, a ratio on any."""

    SAME = "same"
    ANY = "any"


class Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A part of a reference; its JSON leaves out defaults."""


class Measure(Part, frozen=True, kw_only=True):
    """A formula, and what its value must be of the published figure.

    `tolerance` widens what is accepted, in proportion. `cells_of` names the reference whose figures
    the published one is computed from, if not its own.
    """

    formula: Annotated[str, msgspec.Meta(min_length=1, max_length=formula.LENGTH_LIMIT)]
    relation: Relation
    published: Printed
    unit: Text
    tolerance: Share = 0.0
    tolerance_reason: Text | None = None
    cells_of: Id | None = None

    def __post_init__(self) -> None:
        for quantity in formula.quantities(self.tree):
            _require_known(quantity)
        if (self.tolerance > 0) is not (self.tolerance_reason is not None):
            raise ValueError("a tolerance needs a reason, and a reason a tolerance")

    @property
    def tree(self) -> Formula:
        return formula.parse(self.formula)

    @property
    def figure(self) -> Range:
        """The published figure before rounding; a bound is exact."""
        if self.relation is Relation.EQUALS:
            return printed(self.published)
        return exactly(float(self.published))


class Claim(Part, frozen=True, kw_only=True):
    """One claim; `measure` is absent if nothing of it can be measured.

    `needs` are the checks that must pass in every bundle that is used; a name that is not a check's
    is evidence that no bundle holds.
    """

    id: Id
    statement: Text
    where: Text
    measure: Measure | None = None
    hardware: Hardware
    needs: tuple[Id, ...] = ()

    def __post_init__(self) -> None:
        if self.measure is None and not self.needs:
            raise ValueError(f"claim {self.id}: neither a measure nor needs")


def _require_known(quantity: Quantity) -> None:
    if quantity.name not in VOCABULARY:
        raise BadFormula(f"no quantity {quantity.name!r}; valid: {', '.join(VOCABULARY)}")
    most_cells, fewest, most = VOCABULARY[quantity.name]
    if len(quantity.cells) > most_cells or not fewest <= len(quantity.words) <= most:
        raise BadFormula(f"{quantity}: wrong number of cells or words")
