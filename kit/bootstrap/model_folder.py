"""The folder of a model: a file has its name there only once its bytes are verified.

Standard library alone, as `fetch_model`, which fills the folder.
"""

import hashlib
import os
import shutil
from pathlib import Path

from kit.bootstrap.pins import File, Pin
from kit.errors import MachineError

_FRESH = ".fresh"


def require_nothing_else(pin: Pin, target: Path) -> None:
    """Raise `MachineError` where the target has a file that is not the model's."""
    names = {file.name for file in pin.files}
    for leftover in target.rglob(f".*{_FRESH}"):  # of a killed process
        leftover.unlink()
    for path in sorted(target.rglob("*")):
        name = str(path.relative_to(target))
        if not path.is_dir() and name not in names:
            raise MachineError(
                f"{target} holds {name}, which is not a file of the model {pin.model}",
                "an engine reads the whole folder, so that it may hold nothing else",
                f"rm {path}",
            )


def put(path: Path, target: Path, file: File) -> None:
    """Copy a file into the target under a temporary name, verify it, and rename it."""
    final = target / file.name
    fresh = final.with_name(f".{final.name}{_FRESH}")
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, fresh)
        if not is_pinned(fresh, file):
            raise MachineError(
                f"{file.name} is not the pinned file: SHA-256 {sha256(fresh)}",
                f"expected {file.sha256}; the copy was removed, {path} was not changed",
                f"sha256sum {path}",
            )
        fresh.replace(final)
    finally:
        fresh.unlink(missing_ok=True)


def move(path: Path, target: Path, file: File) -> None:
    """Move a downloaded file into the target, which may be on another file system."""
    if path.stat().st_dev == target.stat().st_dev:
        (target / file.name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(target / file.name)
    else:
        put(path, target, file)
        path.unlink()


def open_to_all(pin: Pin, target: Path) -> None:
    """Let all users read, since another one serves; set one time, so that layers are equal."""
    paths = {target / file.name for file in pin.files}
    folders = {target} | {path.parent for path in paths}
    for path in sorted(paths | folders, key=lambda path: -len(path.parts)):
        path.chmod(0o755 if path in folders else 0o644)
        os.utime(path, (0, 0))


def is_pinned(path: Path, file: File) -> bool:
    """Return whether a file has the pinned bytes."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    return sha256(path) == file.sha256


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
