"""JSON texts by their types, and by JSON Schema where something is wrong with them.

The only module that knows JSON Schema. What decodes into the types, whose bounds are the schemas',
and is spelled canonically needs none: that takes a fiftieth of the time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from kit.check.check import SHOWN, Problem, clip, fail
from kit.format import canonical

T = TypeVar("T")

JSON, SHAPE = "schema-json", "schema-shape"
CANONICAL, ARRAYS = "schema-canonical", "schema-arrays"


LARGE_FIELDS = ("prompt_token_ids", "token_ids", "text", "chunks")
"""Fields of a record that JSON Schema describes and code checks."""


_ANY = msgspec.json.Decoder()


class Validator(Protocol):
    """A compiled JSON Schema."""

    def iter_errors(self, instance: object) -> Iterator[Any]:
        """Yield an error with `json_path` and `message` for each violation."""


class Validators:
    """The schemas of what a bundle holds, each compiled when something is wrong for the first time.

    Nothing is ever fetched.
    """

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._schemas = schemas

    @cached_property
    def document(self) -> Validator:
        return _compiled(self._schemas["bundle"])

    @cached_property
    def record(self) -> Validator:
        return _compiled(self._schemas["record"])


def _compiled(schema: Mapping[str, Any]) -> Validator:
    # Imported here: jsonschema takes longer to import than a good bundle takes to check.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    offline: Registry[Any] = Registry()
    return Draft202012Validator(schema, registry=offline)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form(Generic[T]):
    """A kind of JSON text: its type, its schema, and the fields that are not validated by it."""

    decoder: msgspec.json.Decoder[T]
    schema: str
    large_fields: Sequence[str] = ()


Problems = defaultdict[str, list[Problem]]
"""By the id of the check that names them."""


def decoded(
    place: str,
    text: bytes,
    form: Form[T],
    validator: Callable[[], Validator],
    problems: Problems,
) -> T | None:
    """Return what a text holds, or None; the schema is asked only where something is wrong."""
    value, fault = None, None
    try:
        value = form.decoder.decode(text)
        if canonical.encode(value) == text:
            return value
    except canonical.UNREADABLE as error:
        fault = error
    try:
        raw = _ANY.decode(text)
    except canonical.UNREADABLE as error:
        problems[JSON].append(fail(place, clip(error), "a JSON document"))
        return None
    shape = list(_violations(place, raw, form, validator()))
    problems[SHAPE] += shape
    if fault is not None and not shape:
        problems[_code_of(fault, form)].append(fail(place, clip(fault), form.schema))
    if fault is not None or shape:
        return None
    problems[CANONICAL].append(
        fail(place, "another spelling", "sorted keys, no spaces, shortest numbers")
    )
    return value


def _code_of(fault: Exception, form: Form[T]) -> str:
    """Tell a number out of range in a large field from a value of the wrong type (msgspec)."""
    is_range = bool(form.large_fields) and ", got " not in str(fault)
    return ARRAYS if is_range else SHAPE


def _violations(place: str, raw: object, form: Form[T], validator: Validator) -> Iterator[Problem]:
    small = raw
    if isinstance(raw, dict):
        small = {name: value for name, value in raw.items() if name not in form.large_fields}
    try:
        for error in islice(validator.iter_errors(small), SHOWN):
            yield fail(place, clip(f"{clip(error.json_path)}: {error.message}"), form.schema)
    except RecursionError:  # a message quotes the value, however deeply nested
        yield fail(place, "nested too deeply", form.schema)
