"""Results that are kept for later: bundle after bundle says many things alike."""

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def kept(entries: int, longest: int) -> Callable[[F], F]:
    """Keep the last results of a pure function, of first arguments up to a length.

    What is longer is worked out each time, so that no bundle decides how much memory is taken.
    """

    def decorate(function: F) -> F:
        known = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def call(argument: bytes | tuple[object, ...], *others: Hashable) -> object:
            return (known if len(argument) <= longest else function)(argument, *others)

        return cast("F", call)

    return decorate
