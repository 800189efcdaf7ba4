"""Decompresses an archive in pieces, as it is read, up to a limit.

One zstd frame (RFC 8878) or one gzip member (RFC 1952), recognised by its first bytes.
"""

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from backports import zstd

from kit.check.refusal import Refusal, Refused

PIECE_BYTES = 2**20

PADDING_AFTER_LIMIT_BYTES = 2**20
"""Zeros after the end of a tar: GNU tar fills its last record, of 10 KiB by default."""

WINDOW_LOG_LIMIT = 27
"""128 MiB, the default limit of `zstd -d` (`ZSTD_WINDOWLOG_LIMIT_DEFAULT` in zstd.h)."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Broken(Exception):
    """Reading cannot continue; `refusal` has the reason."""

    def __init__(self, reason: str, code: Refused = Refused.ARCHIVE) -> None:
        super().__init__(reason)
        self.refusal = Refusal(name=".", reason=reason, code=code)


class Inflated:
    """The decompressed content of a file, read in order, up to a limit."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._pieces = _pieces(file)
        self._piece = b""
        self._at = 0
        self._left_bytes = limit_bytes

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; raise `Broken` where there are fewer."""
        whole = io.BytesIO()  # joining parts would need twice the memory
        for part in self._parts(size):
            whole.write(part)
        return whole.getvalue()

    def skip(self, size: int) -> None:
        """Skip the next `size` bytes; raise `Broken` where there are fewer."""
        for _ in self._parts(size):
            pass

    def _parts(self, size: int) -> Iterator[bytes]:
        while size:
            if self._at == len(self._piece) and not self._has_more():
                raise Broken("the tar is truncated")
            part = self._piece[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            yield part

    def expect_end(self) -> None:
        """Raise `Broken` unless only zeros follow, at most `PADDING_AFTER_LIMIT_BYTES`."""
        rest, padding_bytes = self._piece[self._at :], 0
        while not rest.strip(b"\0"):
            padding_bytes += len(rest)
            if padding_bytes > PADDING_AFTER_LIMIT_BYTES:
                reason = f"more than {PADDING_AFTER_LIMIT_BYTES} bytes after the end of the tar"
                raise Broken(reason, Refused.SIZE)
            if not self._has_more():
                return
            rest = self._piece
        raise Broken("data after the end of the tar")

    def _has_more(self) -> bool:
        piece = next(self._pieces, None)
        self._piece, self._at = piece or b"", 0
        self._left_bytes -= len(self._piece)
        if self._left_bytes < 0:
            raise Broken("decompresses to more bytes than a bundle may have", Refused.SIZE)
        return piece is not None


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    magic = file.read(len(_ZSTD_MAGIC))
    if magic == _ZSTD_MAGIC:
        yield from _from_zstd(magic, file)
    elif magic.startswith(_GZIP_MAGIC):
        yield from _from_gzip(magic, file)
    else:
        raise Broken("neither zstd nor gzip")


def _from_zstd(data: bytes, file: BinaryIO) -> Iterator[bytes]:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_LIMIT}
    stream = zstd.ZstdDecompressor(options=options)
    try:
        while not stream.eof:
            yield stream.decompress(data, PIECE_BYTES)
            data = _more(file) if stream.needs_input and not stream.eof else b""
    except zstd.ZstdError as error:
        raise Broken(str(error)) from error
    if stream.unused_data or file.read(1):
        raise Broken("data after the zstd frame")


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
        raise Broken(str(error)) from error
    if stream.unused_data or file.read(1):
        raise Broken("data after the gzip member")


def _more(file: BinaryIO) -> bytes:
    data = file.read(PIECE_BYTES)
    if not data:
        raise Broken("the compressed data is truncated")
    return data
