"""Tells whether an environment is whole and made from today's inputs, in milliseconds.

An environment is built under another name and renamed when it is done; its stamp, a digest of
everything that it was made from, is inside. So a directory of the final name is whole, and the
stamp says whether it is also current.
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
    """Whether the environment carries the stamp and its Python is still there."""
    try:
        stamped = (environment / STAMP).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False
    # `exists` follows the link: false once the base Python has been removed.
    return stamped == expected and (environment / "bin" / "python").exists()


def write(environment: Path, value: str) -> None:
    """Mark an environment as whole; the last step of making it."""
    (environment / STAMP).write_text(value, encoding="ascii")
