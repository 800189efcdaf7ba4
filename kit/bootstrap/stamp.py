"""Stamps of environments: whether one was made from the current inputs.

An environment is built under a temporary name and renamed when complete. Its stamp is a digest of
all that it was made from.
"""

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path

STAMP = "kit-stamp"


def digest(inputs: Iterable[Path]) -> str:
    """Return the sha256 of this Python's exact version, the machine, and the inputs' bytes."""
    state = hashlib.sha256()
    facts = (platform.python_implementation(), platform.python_version(), platform.machine())
    state.update("\0".join(facts).encode())
    for path in sorted(inputs):
        content = path.read_bytes()
        state.update(f"\0{path.name}\0{len(content)}\0".encode())
        state.update(content)
    return state.hexdigest()


def is_current(environment: Path, expected: str) -> bool:
    """Return whether the environment has the expected stamp, and its Python still exists."""
    try:
        stamped = (environment / STAMP).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False
    # `exists` follows the link: false if the base Python was removed.
    return stamped == expected and (environment / "bin" / "python").exists()


def write(environment: Path, value: str) -> None:
    """Stamp an environment, as the last step of making it."""
    (environment / STAMP).write_text(value, encoding="ascii")
