"""Archives of bundles: read member by member, in memory, and written. Nothing is ever unpacked.

Reads what `kit pack` and a plain `tar` write: one zstd frame (RFC 8878) or one gzip member
(RFC 1952), and in it regular files and folders (POSIX.1-2017, pax, "ustar Interchange Format"). Of
extensions a member's name may be one (a PAX record, or GNU tar's long name), and what is of no
account beside it, such as times. All others (sizes, sparse maps, links) can tell two readers two
things, and are refused. So `tarfile` reads single headers here: its own walk follows them.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from backports import zstd

from kit import bundle
from kit.check.codes import Code
from kit.check.refusal import Refusal
from kit.edge import disk, tar_names
from kit.edge.disk import DEPTH_LIMIT, ENTRY_LIMIT, FILE_LIMIT_BYTES, TOTAL_LIMIT_BYTES, Folder

PIECE_BYTES = 2**20
HEADER_LIMIT = 3 * ENTRY_LIMIT
"""A member's own header, and two extensions before it."""

PADDING_LIMIT_BYTES = (HEADER_LIMIT + 20) * 2 * tarfile.BLOCKSIZE
"""What a tar holds besides its files: a header and up to a block of padding each, and its end."""

EXTENSION_LIMIT_BYTES = 64 * 2**10

PADDING_AFTER_LIMIT_BYTES = 2**20
"""Zeros after the end of a tar: GNU tar fills its last record, of 10 KiB unless told otherwise."""

WINDOW_LOG_LIMIT = 27
"""128 MiB, what `zstd -d` bears unasked (`ZSTD_WINDOWLOG_LIMIT_DEFAULT` in zstd.h)."""

LEVEL = 19
"""The highest of zstd's that keeps to a window of 8 MiB, what every decoder should bear (RFC 8878,
section 3.1.1.1.2)."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_END = bytes(tarfile.BLOCKSIZE)

_TYPE_AT = 156
"""Where a header tells what its member is (POSIX.1-2017, pax, "ustar Header Block")."""


class Compression(Enum):
    """How an archive is compressed, by the ending of its name."""

    ZSTD = ".tar.zst"
    GZIP = ".tar.gz"


class _Broken(Exception):
    """Why reading cannot go on."""

    def __init__(self, reason: str, code: Code = Code.INTEGRITY_ARCHIVE) -> None:
        super().__init__(reason)
        self.refusal = Refusal(name=".", reason=reason, code=code)


def compression_of(path: Path) -> Compression | None:
    """Return what the ending of an archive's name says; None where it is no archive's."""
    return next((one for one in Compression if path.name.endswith(one.value)), None)


def read_archive(path: Path) -> Folder:
    """Read the bundle in an archive, its paths from the bundle's own folder.

    Raises `BundleError` where there is no such file.
    """
    with disk.opened_file(path) as file:
        return read(file)


def read(file: BinaryIO, total_limit_bytes: int = TOTAL_LIMIT_BYTES) -> Folder:
    """Read the bundle in an opened archive: what is good of it, and all that is refused."""
    members = _Members(total_limit_bytes)
    try:
        members.read(_Inflated(file, total_limit_bytes + PADDING_LIMIT_BYTES))
    except _Broken as broken:
        members.refused.append(broken.refusal)
    return members.folder()


def pack(files: Mapping[str, bytes], folder: str, compression: Compression) -> bytes:
    """Return an archive of these files, in this folder. The same input gives the same bytes.

    At least by one release of the compressor; the bundle's id does not depend on it.
    """
    text = io.BytesIO()
    for name in sorted(files):
        header = tarfile.TarInfo(f"{folder}/{name}")
        header.size = len(files[name])
        text.write(header.tobuf(tarfile.USTAR_FORMAT))
        text.write(files[name] + bytes(-header.size % tarfile.BLOCKSIZE))
    text.write(_END * 2)
    match compression:
        case Compression.GZIP:
            return bundle.compress(text.getvalue())
        case Compression.ZSTD:
            parameter = zstd.CompressionParameter
            options: dict[int, int] = {
                parameter.compression_level: LEVEL,
                parameter.checksum_flag: 1,
            }
            return zstd.compress(text.getvalue(), options=options)


class _Members:
    """The members of one tar, as they come."""

    def __init__(self, total_limit_bytes: int) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self.refused: list[Refusal] = []
        self._left_bytes = total_limit_bytes
        self._entries = 0
        self._extended: dict[bytes, str | None] = {}

    def read(self, inflated: "_Inflated") -> None:
        """Read all members; raise `_Broken` where that cannot go on."""
        headers = 0
        while (block := inflated.read(tarfile.BLOCKSIZE)) != _END:
            headers += 1
            header = _header(block)
            self._entries += header.type not in tar_names.EXTENSIONS
            if self._entries > ENTRY_LIMIT or headers > HEADER_LIMIT:
                raise _Broken(f"holds more than {ENTRY_LIMIT} entries", Code.INTEGRITY_COUNT)
            self._left_bytes -= _checked_size(header)
            if self._left_bytes < 0:
                raise _Broken("holds more bytes than a bundle may", Code.INTEGRITY_SIZE)
            if header.type in tar_names.EXTENSIONS:
                self._extend(header, inflated)
            else:
                self._keep(header, inflated)
            inflated.skip(-header.size % tarfile.BLOCKSIZE)
        if self._extended:
            raise _Broken("a tar that ends in what belongs before a member")
        if inflated.read(tarfile.BLOCKSIZE) != _END:
            raise _Broken("a tar that ends in one empty block, not in two")
        inflated.expect_end()

    def folder(self) -> Folder:
        """Return what was read, its paths from the folder that is the bag."""
        roots = _roots([*self.files, *self.folders])
        if len(roots) > 1:
            reason = f"holds {len(roots)} bags: {', '.join(sorted(roots))}"
            refusal = Refusal(name=".", reason=reason, code=Code.INTEGRITY_ARCHIVE)
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

    def _keep(self, header: tarfile.TarInfo, inflated: "_Inflated") -> None:
        """Read a member, or pass it over: what is refused takes no memory."""
        name = self._name(header).removeprefix("./")
        if header.isdir() and name == ".":
            return
        refusal = _refused(header, name)
        if refusal is None and (name in self.files or name in self.folders):
            refusal = Refusal(name=name, reason="there twice")
        if refusal is not None:
            self.refused.append(refusal)
            inflated.skip(header.size)
        elif header.isdir():
            self.folders.add(name)
        else:
            self.files[name] = inflated.read(header.size)

    def _extend(self, header: tarfile.TarInfo, inflated: "_Inflated") -> None:
        """Take what an extension says of the next member."""
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
        """Return a member's name, by an extension or by its own header."""
        names = [name for name in self._extended.values() if name is not None]
        self._extended.clear()
        if len(names) > 1:
            raise _Broken(f"{_shown(header.name)} has two names")
        (name,) = names or [header.name]
        return name.removesuffix("/") if header.isdir() else name

    def _not_folders(self) -> Iterator[Refusal]:
        above = {str(parent) for name in self.files for parent in PurePosixPath(name).parents}
        for name in sorted(self.folders - above):
            yield Refusal(name=name, reason="an empty folder")
        for name in sorted(above & self.files.keys()):
            yield Refusal(name=name, reason="a file, and a folder of that name")


def _header(block: bytes) -> tarfile.TarInfo:
    """Read a header; of the oldest form, in which a folder is a file with a slash, files only."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _Broken(f"no header of tar where one should be: {error}") from error
    if header.isdir() and block[_TYPE_AT : _TYPE_AT + 1] != tarfile.DIRTYPE:
        raise _Broken(f"{_shown(header.name)} is a folder by its name alone")
    return header


def _checked_size(header: tarfile.TarInfo) -> int:
    if not 0 <= header.size <= FILE_LIMIT_BYTES:
        reason = f"{_shown(header.name)} is of {header.size} bytes"
        raise _Broken(reason, Code.INTEGRITY_SIZE)
    if header.size and header.isdir():
        raise _Broken(f"{_shown(header.name)} is a folder with content of its own")
    return header.size


def _refused(header: tarfile.TarInfo, name: str) -> Refusal | None:
    shown = _shown(name)
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        return Refusal(name=shown, reason=_KINDS.get(header.type, "of a kind that is not known"))
    if not bundle.is_plain_name(name):
        return Refusal(name=shown, reason="it leads elsewhere", code=Code.INTEGRITY_NAME)
    if name.count("/") >= DEPTH_LIMIT:
        reason = f"more than {DEPTH_LIMIT} levels deep"
        return Refusal(name=shown, reason=reason, code=Code.INTEGRITY_DEPTH)
    return None


_KINDS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.GNUTYPE_LONGNAME: "an extension of GNU tar: a long name",
    tarfile.GNUTYPE_LONGLINK: "an extension of GNU tar: a long link",
    tarfile.XHDTYPE: "PAX records",
    tarfile.XGLTYPE: "PAX records for all that follows",
    tarfile.SOLARIS_XHDTYPE: "PAX records",
}


def _roots(names: list[str]) -> set[str]:
    """Return the folder of each bag, with a slash; of none, what all names have in common."""
    found = {name.removesuffix(bundle.BAGIT) for name in names if name.endswith(bundle.BAGIT)}
    roots = {root for root in found if root in ("", "./") or root.find("/") == len(root) - 1}
    first = {name.partition("/")[0] for name in names}
    return roots or ({f"{first.pop()}/"} if len(first) == 1 else {""})


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Inflated:
    """What a compressed file holds, inflated as it is read, and never more than the limit."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._pieces = _pieces(file)
        self._piece = b""
        self._at = 0
        self._left_bytes = limit_bytes

    def read(self, size: int) -> bytes:
        """Return so many bytes; raise `_Broken` where there are fewer."""
        whole = io.BytesIO()  # joined parts would take the memory twice
        for part in self._parts(size):
            whole.write(part)
        return whole.getvalue()

    def skip(self, size: int) -> None:
        """Pass so many bytes over; raise `_Broken` where there are fewer."""
        for _ in self._parts(size):
            pass

    def _parts(self, size: int) -> Iterator[bytes]:
        while size:
            if self._at == len(self._piece) and not self._has_more():
                raise _Broken("the tar is cut off")
            part = self._piece[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            yield part

    def expect_end(self) -> None:
        """Raise `_Broken` if anything but padding is left, or more of that than a tar may have."""
        rest, padding_bytes = self._piece[self._at :], 0
        while not rest.strip(b"\0"):
            padding_bytes += len(rest)
            if padding_bytes > PADDING_AFTER_LIMIT_BYTES:
                reason = f"more than {PADDING_AFTER_LIMIT_BYTES} bytes after the end of the tar"
                raise _Broken(reason, Code.INTEGRITY_SIZE)
            if not self._has_more():
                return
            rest = self._piece
        raise _Broken("data after the end of the tar")

    def _has_more(self) -> bool:
        piece = next(self._pieces, None)
        self._piece, self._at = piece or b"", 0
        self._left_bytes -= len(self._piece)
        if self._left_bytes < 0:
            raise _Broken("inflates to more bytes than a bundle may have", Code.INTEGRITY_SIZE)
        return piece is not None


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    magic = file.read(len(_ZSTD_MAGIC))
    if magic == _ZSTD_MAGIC:
        yield from _from_zstd(magic, file)
    elif magic.startswith(_GZIP_MAGIC):
        yield from _from_gzip(magic, file)
    else:
        raise _Broken("neither zstd nor gzip")


def _from_zstd(data: bytes, file: BinaryIO) -> Iterator[bytes]:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_LIMIT}
    stream = zstd.ZstdDecompressor(options=options)
    try:
        while not stream.eof:
            yield stream.decompress(data, PIECE_BYTES)
            data = _more(file) if stream.needs_input and not stream.eof else b""
    except zstd.ZstdError as error:
        raise _Broken(str(error)) from error
    if stream.unused_data or file.read(1):
        raise _Broken("data after the zstd frame")


def _from_gzip(data: bytes, file: BinaryIO) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=31)
    try:
        while not stream.eof:
            piece = stream.decompress(data, PIECE_BYTES)
            yield piece
            data = stream.unconsumed_tail
            if not data and not stream.eof and len(piece) < PIECE_BYTES:
                data = _more(file)
    except zlib.error as error:
        raise _Broken(str(error)) from error
    if stream.unused_data or file.read(1):
        raise _Broken("data after the gzip member")


def _more(file: BinaryIO) -> bytes:
    data = file.read(PIECE_BYTES)
    if not data:
        raise _Broken("the compressed data is cut off")
    return data
