"""Validation of the checkout's own files, and the error of one that cannot be used."""

from typing import Annotated, TypeVar

import msgspec

from kit.errors import SpecError

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(ge=1)]


def checked(value: T) -> T:
    """Return a value whose fields have the types and ranges of their annotations, or raise."""
    return msgspec.convert(msgspec.to_builtins(value), type(value))


def bad(name: str, error: Exception) -> SpecError:
    """Return the error of a file of the checkout that cannot be used."""
    detail = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
    return SpecError(
        f"cannot use {name}: {detail}",
        "the file was edited, or belongs to another version of the kit",
        f"git diff -- {name}",
    )
