"""Lets one set-up at a time run in a checkout; a second one waits."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.bootstrap.progress import say


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file; the kernel frees it when the process ends."""
    with path.open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running in this checkout; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
