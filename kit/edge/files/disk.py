"""Files and folders that the kit writes, whole or not at all, and files that its user names."""

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from kit.errors import MachineError

LOG_LIMIT_BYTES = 64 * 2**20


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return what is in a regular file, links followed: the user names it, not a bundle.

    Raises `OSError` where it cannot be read, and `ValueError` where it is a pipe or the like, is
    larger than `limit_bytes`, or has a name that no file can have.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would be waited for
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(limit_bytes + 1)
    finally:
        os.close(handle)
    if len(data) > limit_bytes:
        raise ValueError(f"larger than {limit_bytes} bytes")
    return data


def write_folder(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write `files` as a new folder, first under a temporary name, then renamed; return its path.

    Where `target` is taken by then, it is `target-2` and so on: nothing is ever replaced. Modes
    are the user's own umask's. Raises `MachineError` where the disk is full or the place cannot be
    written.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for path, data in files.items():
            place = temporary / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return _rename_to_unused(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_folder(folder: Path, into: Path) -> Path:
    """Move a folder into another one of the same file system, under its own name if unused."""
    try:
        return _rename_to_unused(folder, into / folder.name)
    except OSError as error:
        raise cannot_write(into, error) from error


def overwrite(path: Path, data: bytes) -> None:
    """Write one file, whole or not at all, over what was there."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        fresh.unlink(missing_ok=True)


def new_log(folder: Path, name: str) -> Path:
    """Create an empty log file, under a name that no other run has, and return its path."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in _numbered(folder, name, ".log"):
            with suppress(FileExistsError):
                path.touch(exist_ok=False)
                return path
    except OSError as error:
        raise cannot_write(folder, error) from error
    raise cannot_write(folder, OSError(errno.EEXIST, os.strerror(errno.EEXIST)))


def read_log(path: Path) -> bytes:
    """Return a log, or the start of one that is larger than a bundle may hold, saying so."""
    with path.open("rb") as file:
        text = file.read(min(path.stat().st_size, LOG_LIMIT_BYTES))
        left = path.stat().st_size - len(text)
    return text + f"\n[cut here by the kit: {left} more bytes]\n".encode() if left else text


def require_writable(folder: Path, needed_bytes: int) -> None:
    """Raise `MachineError` unless `folder` can be written and has this much room."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise cannot_write(folder, error) from error
    if free < needed_bytes:
        raise cannot_write(folder, OSError(errno.ENOSPC, f"only {free / 2**20:.0f} MiB are free"))


def cannot_write(place: Path, error: OSError) -> MachineError:
    """Word a failed write for the user."""
    full = error.errno == errno.ENOSPC
    return MachineError(
        f"cannot write {place}: {error.strerror}",
        "the disk is full" if full else "the folder must exist, or be creatable, and be yours",
        f"df -h {place.parent}" if full else f"ls -ld {place} {place.parent}",
    )


def _numbered(folder: Path, name: str, suffix: str) -> Iterator[Path]:
    """Yield the path of `name`, then of `name-2`, `name-3` and so on."""
    yield folder / f"{name}{suffix}"
    for number in range(2, 1000):
        yield folder / f"{name}-{number}{suffix}"


def _rename_to_unused(temporary: Path, target: Path) -> Path:
    for candidate in _numbered(target.parent, target.name, ""):
        if os.path.lexists(candidate):  # rename(2) would replace an empty folder
            continue
        try:
            return temporary.rename(candidate)
        except OSError as error:  # another run took the name just now
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
