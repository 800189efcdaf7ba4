"""Reads archives of bundles in memory, member by member, and writes them; nothing is unpacked.

Accepted is what `kit pack` and `tar` write: one zstd frame (RFC 8878) or one gzip member
(RFC 1952) with regular files and folders (POSIX.1-2017, pax, "ustar Interchange Format"). An
extension may give a member's name (PAX record, GNU long name) or ignored metadata, such as times.
Other extensions (sizes, sparse maps, links) may be read differently by two readers and are refused.
`tarfile` would follow them, so only its parser for single headers is used.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from backports import zstd

from kit.bundle import bag
from kit.check.refusal import Refusal, Refused
from kit.edge.files import safe_read, tar_names
from kit.edge.files.inflate import Broken, Inflated
from kit.edge.files.safe_read import (
    DEPTH_LIMIT,
    ENTRY_LIMIT,
    FILE_LIMIT_BYTES,
    TOTAL_LIMIT_BYTES,
    Folder,
)

HEADER_LIMIT = 3 * ENTRY_LIMIT
"""A member's own header, and two extensions before it."""

PADDING_LIMIT_BYTES = (HEADER_LIMIT + 20) * 2 * tarfile.BLOCKSIZE
"""Bytes of a tar beside its files' content: headers, padding to blocks, and the end."""

EXTENSION_LIMIT_BYTES = 64 * 2**10

LEVEL = 19
"""zstd's highest level with a window of at most 8 MiB, which every decoder should support
(RFC 8878, section 3.1.1.1.2)."""

_END = bytes(tarfile.BLOCKSIZE)

_TYPE_AT = 156
"""Offset of a header's type (POSIX.1-2017, pax, "ustar Header Block")."""


class Compression(Enum):
    """An archive's compression, by the suffix of its name."""

    ZSTD = ".tar.zst"
    GZIP = ".tar.gz"


def compression_of(path: Path) -> Compression | None:
    """Return the compression by a path's suffix; None where it has neither."""
    return next((it for it in Compression if path.name.endswith(it.value)), None)


def read_archive(path: Path) -> Folder:
    """Read the bundle in an archive; paths are relative to the bundle's folder.

    Raises `BundleError` where there is no such file.
    """
    with safe_read.opened_file(path) as file:
        return read(file)


def read(file: BinaryIO) -> Folder:
    """Read the bundle in an opened archive: accepted files, and refusals."""
    members = _Members()
    try:
        members.read(Inflated(file, TOTAL_LIMIT_BYTES + PADDING_LIMIT_BYTES))
    except Broken as broken:
        members.refused.append(broken.refusal)
    return members.folder()


def pack(files: Mapping[str, bytes], folder: str, compression: Compression) -> bytes:
    """Return an archive of files in a folder.

    Equal input gives equal bytes with one release of the compressor; a bundle's id does not depend
    on them.
    """
    tar = io.BytesIO()
    for name in sorted(files):
        header = tarfile.TarInfo(f"{folder}/{name}")
        header.size = len(files[name])
        tar.write(header.tobuf(tarfile.USTAR_FORMAT))
        tar.write(files[name] + bytes(-header.size % tarfile.BLOCKSIZE))
    tar.write(_END * 2)
    match compression:
        case Compression.GZIP:
            return bag.compress(tar.getvalue())
        case Compression.ZSTD:
            parameter = zstd.CompressionParameter
            options: dict[int, int] = {
                parameter.compression_level: LEVEL,
                parameter.checksum_flag: 1,
            }
            return zstd.compress(tar.getvalue(), options=options)


class _Members:
    """The members of one tar, in their order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.refused: list[Refusal] = []
        self._left_bytes = TOTAL_LIMIT_BYTES
        self._entries = 0
        self._extended: dict[bytes, str | None] = {}

    def read(self, inflated: Inflated) -> None:
        """Read all members; raise `Broken` where reading cannot continue."""
        headers = 0
        while (block := inflated.read(tarfile.BLOCKSIZE)) != _END:
            headers += 1
            header = _header(block)
            self._entries += header.type not in tar_names.EXTENSIONS
            if self._entries > ENTRY_LIMIT or headers > HEADER_LIMIT:
                raise Broken(f"holds more than {ENTRY_LIMIT} entries", Refused.COUNT)
            self._left_bytes -= _checked_size(header)
            if self._left_bytes < 0:
                raise Broken("holds more bytes than a bundle may", Refused.SIZE)
            if header.type in tar_names.EXTENSIONS:
                self._extend(header, inflated)
            else:
                self._keep(header, inflated)
            inflated.skip(-header.size % tarfile.BLOCKSIZE)
        if self._extended:
            raise Broken("the tar ends in an extension without a member")
        if inflated.read(tarfile.BLOCKSIZE) != _END:
            raise Broken("the tar ends in one empty block instead of two")
        inflated.expect_end()

    def folder(self) -> Folder:
        """Return the accepted files, with paths relative to the bag's folder, and the refusals."""
        roots = _roots([*self.files, *self.folders])
        if len(roots) > 1:
            reason = f"holds {len(roots)} bags: {', '.join(sorted(roots))}"
            refusal = Refusal(name=".", reason=reason, code=Refused.ARCHIVE)
            return Folder(files={}, refused=(refusal, *self.refused))
        (root,) = roots
        files = {}
        refused = [*self.refused, *self._not_folders()]
        for name, content in self.files.items():
            if name.startswith(root):
                files[name.removeprefix(root)] = content
            else:
                refused.append(Refusal(name=name, reason="outside the bag's folder"))
        return Folder(files=files, refused=tuple(refused))

    def _keep(self, header: tarfile.TarInfo, inflated: Inflated) -> None:
        """Read a member, or skip it: a refused one uses no memory."""
        name = self._name(header).removeprefix("./")
        if header.isdir() and name == ".":
            return
        refusal = _refused(header, name)
        if refusal is None and (name in self.files or name in self.folders):
            refusal = Refusal(name=name, reason="occurs twice")
        if refusal is not None:
            self.refused.append(refusal)
            inflated.skip(header.size)
        elif header.isdir():
            self.folders.add(name)
        else:
            self.files[name] = inflated.read(header.size)

    def _extend(self, header: tarfile.TarInfo, inflated: Inflated) -> None:
        """Read an extension, which applies to the next member."""
        refusal = Refusal(name=_shown(header.name), reason=_KINDS[header.type])
        if header.type in self._extended or header.size > EXTENSION_LIMIT_BYTES:
            self.refused.append(refusal)
            inflated.skip(header.size)
            return
        content = inflated.read(header.size)
        try:
            self._extended[header.type] = tar_names.EXTENSIONS[header.type](content)
        except ValueError:
            self.refused.append(refusal)

    def _name(self, header: tarfile.TarInfo) -> str:
        """Return a member's name from an extension, or from its own header."""
        names = [name for name in self._extended.values() if name is not None]
        self._extended.clear()
        if len(names) > 1:
            raise Broken(f"{_shown(header.name)} has two names")
        (name,) = names or [header.name]
        return name.removesuffix("/") if header.isdir() else name

    def _not_folders(self) -> Iterator[Refusal]:
        above = {str(parent) for name in self.files for parent in PurePosixPath(name).parents}
        for name in sorted(self.folders - above):
            yield Refusal(name=name, reason="an empty folder")
        for name in sorted(above & self.files.keys()):
            yield Refusal(name=name, reason="both a file and a folder")


def _header(block: bytes) -> tarfile.TarInfo:
    """Read a header; refuse the oldest form of a folder: a file whose name ends in a slash."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise Broken(f"not a tar header: {error}") from error
    if header.isdir() and block[_TYPE_AT : _TYPE_AT + 1] != tarfile.DIRTYPE:
        raise Broken(f"{_shown(header.name)} has the name of a folder and the type of a file")
    return header


def _checked_size(header: tarfile.TarInfo) -> int:
    if not 0 <= header.size <= FILE_LIMIT_BYTES:
        reason = f"{_shown(header.name)} has {header.size} bytes"
        raise Broken(reason, Refused.SIZE)
    if header.size and header.isdir():
        raise Broken(f"{_shown(header.name)} is a folder with content")
    return header.size


def _refused(header: tarfile.TarInfo, name: str) -> Refusal | None:
    shown = _shown(name)
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        return Refusal(name=shown, reason=_KINDS.get(header.type, "an unknown type of member"))
    if not bag.is_plain_name(name):
        return Refusal(name=shown, reason="not a plain relative path", code=Refused.NAME)
    if name.count("/") >= DEPTH_LIMIT:
        reason = f"more than {DEPTH_LIMIT} levels deep"
        return Refusal(name=shown, reason=reason, code=Refused.DEPTH)
    return None


_KINDS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.GNUTYPE_LONGNAME: "GNU tar's extension for long names",
    tarfile.GNUTYPE_LONGLINK: "GNU tar's extension for long links",
    tarfile.XHDTYPE: "PAX records",
    tarfile.XGLTYPE: "global PAX records",
    tarfile.SOLARIS_XHDTYPE: "PAX records",
}


def _roots(names: list[str]) -> set[str]:
    """Return the folder of each bag, with a slash; without a bag, the folder of all names."""
    bags = {name.removesuffix(bag.BAGIT) for name in names if name.endswith(bag.BAGIT)}
    roots = {root for root in bags if root in ("", "./") or root.find("/") == len(root) - 1}
    first = {name.partition("/")[0] for name in names}
    return roots or ({f"{first.pop()}/"} if len(first) == 1 else {""})


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
