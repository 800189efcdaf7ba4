"""Writes files and folders, complete or not at all; reads files that the user names."""

import errno
import hashlib
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
    """Return the content of a regular file; links are followed, since the user names the path.

    Raises `OSError` where it cannot be read, and `ValueError` for a pipe or the like, more than
    `limit_bytes`, or an impossible name.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # else a pipe would block
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


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_folder(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write `files` as a new folder, under a temporary name that is then renamed; return its path.

    Nothing is replaced: where `target` exists, the path is `target-2` and so on. Modes follow the
    umask. Raises `MachineError` where the disk is full or the folder cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for path, data in files.items():
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return _rename_to_unused(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_folder(folder: Path, into: Path) -> Path:
    """Move a folder into another one of the same file system; rename it where its name is used."""
    try:
        return _rename_to_unused(folder, into / folder.name)
    except OSError as error:
        raise cannot_write(into, error) from error


def overwrite(path: Path, data: bytes) -> None:
    """Write one file, complete or not at all, over an existing one."""
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
    """Create an empty log file under an unused name, and return its path."""
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
    """Return a log, cut at `LOG_LIMIT_BYTES` with a note of how much is missing."""
    with path.open("rb") as file:
        text = file.read(min(path.stat().st_size, LOG_LIMIT_BYTES))
        return cut_log(text, path.stat().st_size)


def cut_log(text: bytes, size_bytes: int) -> bytes:
    """Return the start of a log of `size_bytes`, cut and noted as `read_log` does."""
    kept = text[:LOG_LIMIT_BYTES]
    cut_bytes = size_bytes - len(kept)
    return (
        kept + f"\n[cut here by the kit: {cut_bytes} more bytes]\n".encode() if cut_bytes else kept
    )


def require_writable(folder: Path, needed_bytes: int) -> None:
    """Raise `MachineError` unless `folder` can be written and has this much free space."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise cannot_write(folder, error) from error
    if free < needed_bytes:
        raise cannot_write(folder, OSError(errno.ENOSPC, f"only {free / 2**20:.0f} MiB are free"))


def cannot_write(path: Path, error: OSError) -> MachineError:
    """Return the error for a failed write."""
    full = error.errno == errno.ENOSPC
    return MachineError(
        f"cannot write {path}: {error.strerror}",
        "the disk is full" if full else "the folder does not exist, or this user may not write it",
        f"df -h {path.parent}" if full else f"ls -ld {path} {path.parent}",
    )


def _numbered(folder: Path, name: str, suffix: str) -> Iterator[Path]:
    """Yield the path of `name`, `name-2`, `name-3` and so on."""
    yield folder / f"{name}{suffix}"
    for number in range(2, 1000):
        yield folder / f"{name}-{number}{suffix}"


def _rename_to_unused(temporary: Path, target: Path) -> Path:
    for candidate in _numbered(target.parent, target.name, ""):
        if os.path.lexists(candidate):  # rename(2) would replace an empty folder
            continue
        try:
            return temporary.rename(candidate)
        except OSError as error:  # another run has just used the name
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
