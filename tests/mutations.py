"""One change to a JSON value: something else, nothing, or one field too many, somewhere in it."""

import copy
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.0, 0.5, -0.5, 1e8, 1.1e8, 1e300, 9999, 10_000, 2**31 - 1, 2**31,
    2**53, 2**63, 2**64, 10**30, 65_536, 1001, "", "x", "x" * 101, "x" * 201, "x" * 1001, "a" * 64,
    "a" * 65, "a" * 32 + "\n", "0.1.0\n", "\n", "\x00", "é", "2026-03-06T12:00:00.000000Z",
    "2026-03-06T12:00:00.000000Z\n", "2026-03-06", [], [1], ["x"], [[]], [["a", "b", "c"]], {},
    {"x": 1}, {"x": "y"}, {"": "y"}, {"x" * 101: "y"}, {str(n): "" for n in range(101)}, [0] * 4097,
    "warmup", "stop", "kit", "none", "process", "x y", "-x", ".", "A" * 64, "A" * 65,
)  # fmt: skip
"""On both sides of every bound of the schemas, and of every type."""


ADDED = ("x", "text", "schema_version", "")
LOOKED_AT = 3
"""Items of an array that are changed: the others are like them."""


def changed(whole: dict[str, Any], where: int, how: int) -> dict[str, Any]:
    """Return another value; `where` and `how` may be any numbers from 0."""
    other = copy.deepcopy(whole)
    found = list(_places(other))
    if not found:
        return other
    *path, last = found[where % len(found)]
    holder: Any = other
    for key in path:
        holder = holder[key]
    kind, value = how % 5, how // 5
    if kind == 0:
        del holder[last]
    elif kind == 1 and isinstance(holder, dict):
        holder[ADDED[value % len(ADDED)]] = "x"
    else:
        holder[last] = VALUES[(value * 3 + kind) % len(VALUES)]
    return other


def _places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:LOOKED_AT])
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))
