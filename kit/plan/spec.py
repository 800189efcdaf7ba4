"""What all files of the checkout have in common: validation by type, and the error of a bad one."""

from typing import Annotated, TypeVar

import msgspec

from kit.errors import SpecError

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(ge=1)]


def checked(value: T) -> T:
    """Hold the kinds and ranges of a value's fields against their annotations."""
    return msgspec.convert(msgspec.to_builtins(value), type(value))


def bad(name: str, error: Exception) -> SpecError:
    """Word why a file of the checkout cannot be used."""
    detail = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
    return SpecError(
        f"cannot use {name}: {detail}",
        "the file was edited, or belongs to another version of the kit",
        f"git diff -- {name}",
    )
