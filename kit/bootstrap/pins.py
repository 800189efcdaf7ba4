"""Pins of models: `docker/models/<model>.json`, read with the standard library alone.

`kit.plan.models` writes them, and reads them where the kit's own environment is there.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import SpecError

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a pin."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """What `docker/models/<model>.json` says."""

    model: str
    repository: str
    revision: str
    files: tuple[File, ...]


def read_pin(path: Path) -> Pin:
    """Read a pin; raise `SpecError` where there is none yet, or not a whole one."""
    try:
        document = json.loads(path.read_bytes())
        files = tuple(_file(entry) for entry in document["files"])
        pin = Pin(
            model=path.stem,
            repository=_held(document["repository"], rf"{_NAME}/{_NAME}"),
            revision=_held(document["revision"], r"[0-9a-f]{40}"),
            files=files,
        )
        if not files or len({file.name for file in files}) < len(files):
            raise ValueError("no file, or one twice")
    except FileNotFoundError as error:
        raise SpecError(
            f"the model {path.stem} is not pinned yet: there is no {path}",
            "without its files' digests, downloads cannot be verified",
            f"kit lock-models {path.stem}",
        ) from error
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {path}: {type(error).__name__}: {error}",
            "it was edited, or belongs to another version of the kit",
            f"git diff -- {path}; kit lock-models {path.stem}",
        ) from error
    return pin


def _file(entry: Any) -> File:  # noqa: ANN401  # JSON
    size = entry["size_bytes"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"size_bytes {size!r}")
    return File(
        name=_held(entry["name"], rf"{_NAME}(/{_NAME})*"),
        size_bytes=size,
        sha256=_held(entry["sha256"], r"[0-9a-f]{64}"),
    )


def _held(text: Any, pattern: str) -> str:  # noqa: ANN401  # JSON
    """Return a text that is what it must be: names become paths and addresses."""
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise ValueError(repr(text))
    return text
