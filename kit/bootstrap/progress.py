"""Prints the steps of the set-up on standard error, a plain line each."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print one line."""
    print(f"set-up: {line}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print `what` now and, if it succeeds, once more with the seconds it took."""
    say(f"{what} ...")
    start_s = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - start_s:.1f} s")
