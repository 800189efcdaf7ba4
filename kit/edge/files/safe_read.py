"""Reads untrusted folders and files: no link is followed, no device is opened."""

import errno
import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

from kit.check.refusal import Refusal, Refused
from kit.errors import BundleError

ENTRY_LIMIT = 4096
"""Files and folders; a bundle of a thousand passes has about 2,000 metrics files."""

DEPTH_LIMIT = 16
TOTAL_LIMIT_BYTES = 128 * 2**20
FILE_LIMIT_BYTES = 64 * 2**20
"""Limit of each file, as stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """The regular files of a folder by relative path, and a refusal for every other entry."""

    files: Mapping[str, bytes]
    refused: tuple[Refusal, ...]


_Entry: TypeAlias = tuple[str, bytes | Refusal | None]


def read_folder(path: Path, total_limit_bytes: int = TOTAL_LIMIT_BYTES) -> Folder:
    """Read all regular files below `path`; other entries are refused.

    Raises `BundleError` where there is no such folder.
    """
    files: dict[str, bytes] = {}
    refused: list[Refusal] = []
    total_bytes = 0
    try:
        with _opened(path, None, os.O_DIRECTORY) as folder, closing(_entries(folder)) as entries:
            for name, content in islice(entries, ENTRY_LIMIT):
                match content:
                    case Refusal():
                        refused.append(content)
                    case bytes():
                        files[name] = content
                        total_bytes += len(content)
                if total_bytes > total_limit_bytes:
                    refused.append(_too_much(f"{total_limit_bytes} bytes", Refused.SIZE))
                    break
            else:
                if next(entries, None) is not None:
                    refused.append(_too_much(f"{ENTRY_LIMIT} entries", Refused.COUNT))
    except OSError as error:
        raise _no_folder(path, error) from error
    return Folder(files=files, refused=tuple(refused))


@contextmanager
def opened_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, without following a link.

    Raises `BundleError` where there is none, or it is larger than a bundle may be.
    """
    try:
        with _opened(path, None, os.O_NONBLOCK) as handle:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise _no_bundle(path, "it is neither a folder nor a regular file")
            if facts.st_size > TOTAL_LIMIT_BYTES:
                raise _no_bundle(path, f"it is larger than {TOTAL_LIMIT_BYTES} bytes")
            with os.fdopen(handle, "rb", closefd=False) as file:
                yield file
    except OSError as error:
        raise _no_folder(path, error) from error


def _entries(folder: int, prefix: str = "", depth: int = 1) -> Generator[_Entry, None, None]:
    """Yield every entry below an opened folder; a subfolder is yielded with None as content.

    Entries are opened relative to their opened parent, so that a parent that is replaced by a link
    in the meantime is not followed.
    """
    with os.scandir(folder) as listing:
        for entry in listing:
            name = f"{prefix}{_printable(entry.name)}"
            if not _is_text(entry.name):  # escaped, it could equal another name
                yield name, Refusal(name=name, reason="its name is not UTF-8")
            elif not entry.is_dir(follow_symlinks=False):
                yield name, _read(entry, folder, name)
            elif depth == DEPTH_LIMIT:
                reason = f"a folder more than {DEPTH_LIMIT} levels deep"
                yield name, Refusal(name=name, reason=reason, code=Refused.DEPTH)
            else:
                yield from _subfolder(entry.name, folder, name, depth)


def _subfolder(entry: str, parent: int, name: str, depth: int) -> Iterator[_Entry]:
    yield name, None
    try:
        with _opened(entry, parent, os.O_DIRECTORY) as folder:
            is_empty = True
            for inner in _entries(folder, f"{name}/", depth + 1):
                is_empty = False
                yield inner
        if is_empty:
            yield name, Refusal(name=name, reason="an empty folder")
    except OSError as error:
        yield name, Refusal(name=name, reason=_unreadable(error))


def _read(entry: os.DirEntry[str], folder: int, name: str) -> bytes | Refusal:
    if entry.is_symlink():
        return Refusal(name=name, reason="a link")
    if not entry.is_file(follow_symlinks=False):  # opening a device may have effects
        return Refusal(name=name, reason="not a regular file")
    try:
        with _opened(entry.name, folder, os.O_NONBLOCK) as handle:
            return _content(handle, name)
    except OSError as error:
        return Refusal(name=name, reason=_unreadable(error))


def _content(handle: int, name: str) -> bytes | Refusal:
    """Read an opened file; it is checked again, since it may not be the one that was listed."""
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        return Refusal(name=name, reason="not a regular file")
    if facts.st_size > FILE_LIMIT_BYTES:
        reason = f"larger than {FILE_LIMIT_BYTES} bytes"
        return Refusal(name=name, reason=reason, code=Refused.SIZE)
    data = os.read(handle, facts.st_size + 1)  # one more shows a file that has grown
    while len(data) < facts.st_size and (part := os.read(handle, facts.st_size - len(data))):
        data += part
    if len(data) != facts.st_size:
        return Refusal(name=name, reason="changed while it was read")
    return data


@contextmanager
def _opened(path: Path | str, folder: int | None, flags: int) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _too_much(what: str, code: Refused) -> Refusal:
    return Refusal(name=".", reason=f"holds more than {what}", code=code)


def _unreadable(error: OSError) -> str:
    if error.errno in (errno.ENXIO, errno.ENODEV):  # a socket, a device without a driver
        return "not a regular file"
    return f"cannot be read: {os.strerror(error.errno or 0)}"


def _is_text(name: str) -> bool:
    return _printable(name) == name


def _printable(name: str) -> str:
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _no_folder(path: Path, error: OSError) -> BundleError:
    match error.errno:
        case errno.ENOENT:
            kind = "no such path"
        case errno.ENOTDIR | errno.ELOOP:
            kind = f"it is {'a link' if path.is_symlink() else 'a file'}"
        case number:
            kind = os.strerror(number or 0)
    return _no_bundle(path, kind)


def _no_bundle(path: Path, kind: str) -> BundleError:
    return BundleError(
        f"no bundle at {path}: {kind}",
        "expected a folder with bagit.txt and data/, or a .tar.zst or .tar.gz of one",
        "ls results/local",
    )
