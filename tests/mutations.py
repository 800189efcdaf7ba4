"""One mutation of a JSON value: a value somewhere in it is replaced, removed, or a field added."""

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
"""Values of every type, on both sides of every bound in the schemas."""


ADDED = ("x", "text", "schema_version", "")
ITEMS_MUTATED = 3
"""Items of an array that may be mutated, from the first on: the others are alike."""


def changed(whole: dict[str, Any], where: int, how: int) -> dict[str, Any]:
    """Return a mutated copy; `where` and `how`, from 0, choose the mutation."""
    other = copy.deepcopy(whole)
    paths = list(_paths(other))
    if not paths:
        return other
    *path, last = paths[where % len(paths)]
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


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value inside this one."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:ITEMS_MUTATED])
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))
