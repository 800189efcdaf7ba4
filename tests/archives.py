"""Hostile archives, each with the code that must refuse it.

All are made from a valid bundle. `tests/unit/edge/files/test_archive.py` reads each of them, and
the fuzzer starts from them.
"""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from backports import zstd

from kit.edge.files.archive import HEADER_LIMIT, Compression, pack
from kit.edge.files.safe_read import DEPTH_LIMIT, ENTRY_LIMIT, FILE_LIMIT_BYTES
from tests.factory import draft
from tests.settings import Settings

FILES = draft(Settings(passes=1)).seal()
FOLDER = "bundle-1"
GOOD = pack(FILES, FOLDER, Compression.ZSTD)
END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hostile:
    """One archive, and the code that must refuse it."""

    name: str
    code: str
    make: Callable[[], bytes]


def member(name: str, data: bytes = b"", **fields: object) -> bytes:
    """Return one member: its header, with some fields of the tar header set, and its data."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for field, value in fields.items():
        setattr(header, field, value)
    return header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def patched(block: bytes, at: int, value: bytes) -> bytes:
    """Return a header with other bytes at one offset, and its checksum renewed."""
    block = block[:at] + value + block[at + len(value) :]
    head = block[:148] + b" " * 8 + block[156:512]
    return head[:148] + b"%06o\0 " % sum(head) + head[156:] + block[512:]


def bag_of(files: Mapping[str, bytes] = FILES, folder: str = FOLDER) -> bytes:
    """Return the members of a bundle, without the end of an archive."""
    return b"".join(member(f"{folder}/{name}", data) for name, data in sorted(files.items()))


def zstd_of(*members: bytes, end: bytes = END) -> bytes:
    return zstd.compress(b"".join(members) + end)


def gzip_of(*members: bytes, end: bytes = END) -> bytes:
    return gzip.compress(b"".join(members) + end)


def pax(records: Iterable[tuple[str, str]], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Return a member of PAX records, each with its length in front (POSIX.1-2001, pax)."""
    text = b""
    for key, value in records:
        line = f" {key}={value}\n".encode()
        length = len(line) + 1
        length += len(str(length + len(str(length)))) - 1
        text += str(length).encode() + line
    return member("PaxHeaders/x", text, type=kind)


def long_name(text: bytes) -> bytes:
    """Return the member in which GNU tar writes the name of the next one."""
    return member("././@LongLink", text, type=tarfile.GNUTYPE_LONGNAME)


def _bomb() -> bytes:
    """Return about 30 KiB that inflate to three files of the largest size, of zeros alone."""
    header = member(f"{FOLDER}/data/records.jsonl")
    size = b"%011o\0" % FILE_LIMIT_BYTES
    compressor = zstd.ZstdCompressor(level=1)
    parts = []
    for _ in range(3):
        parts.append(compressor.compress(patched(header, 124, size)))
        parts += [compressor.compress(bytes(2**20)) for _ in range(FILE_LIMIT_BYTES // 2**20)]
    return b"".join([*parts, compressor.flush()])


def _padding_bomb() -> bytes:
    """Return a valid bundle with 600 MiB of zeros after its end, which other readers skip."""
    compressor = zstd.ZstdCompressor(level=1)
    parts = [compressor.compress(bag_of() + END)]
    parts += [compressor.compress(bytes(2**20)) for _ in range(600)]
    return b"".join([*parts, compressor.flush()])


def with_window(log: int) -> bytes:
    """Return a valid bundle in a Zstandard frame whose window is 2**log bytes."""
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {
        parameter.window_log: log,
        parameter.enable_long_distance_matching: 1,
    }
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(bag_of() + END) + compressor.flush()


def _old_sparse() -> bytes:
    header = member(f"{FOLDER}/data/records.jsonl", type=tarfile.GNUTYPE_SPARSE)
    return patched(header, 257, b"ustar  \0")


def _linked(kind: bytes, target: str) -> bytes:
    return member(f"{FOLDER}/data/server.log.gz", type=kind, linkname=target)


WITHOUT_LOG = {name: data for name, data in FILES.items() if name != "data/server.log.gz"}
TAKEN = f"{FOLDER}/data/records.jsonl"
DEEP = f"{FOLDER}/{'d/' * DEPTH_LIMIT}f"

ENTRY, NAME, ARCHIVE = "integrity-entry", "integrity-name", "integrity-archive"
SIZE, COUNT, DEPTH = "integrity-size", "integrity-count", "integrity-depth"

_MAKERS: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("symbolic-link", ENTRY, lambda: zstd_of(bag_of(WITHOUT_LOG), _linked(b"2", "/etc/passwd"))),
    ("hard-link", ENTRY, lambda: zstd_of(bag_of(WITHOUT_LOG), _linked(b"1", "/etc/passwd"))),
    ("link-to-a-folder", ENTRY, lambda: zstd_of(member("x", type=b"2", linkname="/"), bag_of())),
    ("character-device", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", type=b"3"))),
    ("block-device", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", type=b"4"))),
    ("pipe", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", type=b"6"))),
    ("contiguous-file", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", type=b"7"))),
    ("unknown-kind", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", b"x", type=b"Z"))),
    ("sparse-file", ENTRY, lambda: zstd_of(bag_of(WITHOUT_LOG), _old_sparse())),
    ("sparse-by-pax", ENTRY, lambda: zstd_of(pax([("GNU.sparse.major", "1")]), bag_of())),
    ("pax-path", NAME, lambda: zstd_of(pax([("path", "/etc/passwd")]), bag_of())),
    ("pax-path-of-control", NAME, lambda: zstd_of(pax([("path", f"{FOLDER}/\x1b[2J")]), bag_of())),
    ("pax-path-twice", ENTRY, lambda: zstd_of(pax([("path", "a"), ("path", "b")]), bag_of())),
    ("pax-path-of-nothing", ENTRY, lambda: zstd_of(pax([("path", "")]), bag_of())),
    ("pax-path-with-an-end", ENTRY, lambda: zstd_of(pax([("path", f"{FOLDER}/a\0b")]), bag_of())),
    ("pax-path-too-long", ENTRY, lambda: zstd_of(pax([("path", "a" * 1024)]), bag_of())),
    ("pax-path-of-another", ENTRY, lambda: zstd_of(bag_of(), pax([("path", TAKEN)]), member("x"))),
    ("pax-link", ENTRY, lambda: zstd_of(pax([("linkpath", "/etc/passwd")]), bag_of())),
    ("pax-charset", ENTRY, lambda: zstd_of(pax([("hdrcharset", "BINARY")]), bag_of())),
    ("pax-of-a-vendor", ENTRY, lambda: zstd_of(pax([("SCHILY.realsize", "9")]), bag_of())),
    ("pax-twice", ENTRY, lambda: zstd_of(pax([("mtime", "1")]), pax([("mtime", "2")]), bag_of())),
    ("pax-too-large", ENTRY, lambda: zstd_of(pax([("comment", "x" * 2**16)]), bag_of())),
    ("pax-length", ENTRY, lambda: zstd_of(member("x", b"99 mtime=1\n", type=b"x"), bag_of())),
    ("pax-length-short", ENTRY, lambda: zstd_of(member("x", b"4 mtime=1\n", type=b"x"), bag_of())),
    ("pax-key-not-utf-8", ENTRY, lambda: zstd_of(member("x", b"7 \xff=1\n", type=b"x"), bag_of())),
    (
        "pax-and-long-name",
        ARCHIVE,
        lambda: zstd_of(pax([("path", "a")]), long_name(b"b\0"), bag_of()),
    ),
    ("pax-of-no-member", ARCHIVE, lambda: zstd_of(bag_of(), pax([("mtime", "1")]))),
    ("pax-size", ENTRY, lambda: zstd_of(pax([("size", "9" * 30)]), bag_of())),
    ("pax-for-all", ENTRY, lambda: zstd_of(pax([("comment", "x")], b"g"), bag_of())),
    (
        "pax-of-nothing",
        ENTRY,
        lambda: zstd_of(member("x", b"9" * 2**20 + b"\n", type=b"x"), bag_of()),
    ),
    ("long-name", NAME, lambda: zstd_of(long_name(b"/etc/passwd\0"), bag_of())),
    ("long-name-not-utf-8", ENTRY, lambda: zstd_of(long_name(b"\xff\0"), bag_of())),
    ("long-name-without-end", ENTRY, lambda: zstd_of(long_name(b"a"), bag_of())),
    ("long-name-with-more", ENTRY, lambda: zstd_of(long_name(b"a\0b\0"), bag_of())),
    ("long-name-of-nothing", ENTRY, lambda: zstd_of(long_name(b"\0"), bag_of())),
    ("long-name-of-no-member", ARCHIVE, lambda: zstd_of(bag_of(), long_name(b"a\0"))),
    ("long-link", ENTRY, lambda: zstd_of(member("x", b"/etc/passwd\0", type=b"K"), bag_of())),
    (
        "duplicate",
        ENTRY,
        lambda: zstd_of(bag_of(), member(f"{FOLDER}/data/records.jsonl", b"{}\n")),
    ),
    ("duplicate-with-dot", ENTRY, lambda: zstd_of(bag_of(), member(f"./{FOLDER}/bagit.txt", b""))),
    ("file-and-folder", ENTRY, lambda: zstd_of(member(f"{FOLDER}/data", b"x"), bag_of())),
    ("empty-folder", ENTRY, lambda: zstd_of(bag_of(), member(f"{FOLDER}/d", type=b"5"))),
    ("beside-the-bag", ENTRY, lambda: zstd_of(bag_of(), member("other/README", b"x"))),
    ("dot-dot", NAME, lambda: zstd_of(bag_of(), member(f"{FOLDER}/../../etc/passwd", b"x"))),
    ("dot-dot-first", NAME, lambda: zstd_of(bag_of(), member("../bagit.txt", b"x"))),
    ("absolute", NAME, lambda: zstd_of(bag_of(), member("/etc/passwd", b"x"))),
    ("backslash", NAME, lambda: zstd_of(bag_of(), member(f"{FOLDER}\\..\\x", b"x"))),
    ("control-character", NAME, lambda: zstd_of(bag_of(), member(f"{FOLDER}/\x1b[2J", b"x"))),
    ("no-name", NAME, lambda: zstd_of(bag_of(), member("", b"x"))),
    ("not-utf-8", NAME, lambda: zstd_of(bag_of(), patched(member("aaa"), 0, b"\xff\xfe\xfd"))),
    ("empty", ARCHIVE, lambda: b""),
    ("wrong-magic", ARCHIVE, lambda: b"PK\3\4" + GOOD),
    ("bare-tar", ARCHIVE, lambda: bag_of() + END),
    ("skippable-frame", ARCHIVE, lambda: b"\x50\x2a\x4d\x18\4\0\0\0abcd" + GOOD),
    ("cut-off-frame", ARCHIVE, lambda: GOOD[:-7]),
    ("cut-off-member", ARCHIVE, lambda: gzip_of(bag_of())[:-9]),
    ("cut-off-tar", ARCHIVE, lambda: zstd_of(bag_of()[:-512], end=b"")),
    ("no-end", ARCHIVE, lambda: zstd_of(bag_of(), end=b"")),
    ("half-an-end", ARCHIVE, lambda: zstd_of(bag_of(), bytes(512), member("x"))),
    ("after-the-tar", ARCHIVE, lambda: zstd_of(bag_of(), end=END + bytes(512) + member("x", b"x"))),
    ("after-the-frame", ARCHIVE, lambda: GOOD + b"x"),
    ("two-frames", ARCHIVE, lambda: GOOD + GOOD),
    ("two-gzip-members", ARCHIVE, lambda: gzip_of(bag_of()) + gzip_of(bag_of())),
    ("after-the-gzip", ARCHIVE, lambda: gzip_of(bag_of()) + bytes(512)),
    ("changed-byte", ARCHIVE, lambda: GOOD[:99] + bytes([GOOD[99] ^ 255]) + GOOD[100:]),
    ("bad-checksum", ARCHIVE, lambda: zstd_of(b"x" + bag_of()[1:])),
    ("two-bags", ARCHIVE, lambda: zstd_of(bag_of(), bag_of(folder="bundle-2"))),
    ("bag-in-a-bag", ARCHIVE, lambda: zstd_of(bag_of(folder="."), bag_of())),
    ("folder-with-content", ARCHIVE, lambda: zstd_of(bag_of(), member("d", b"x", type=b"5"))),
    ("folder-by-its-name", ARCHIVE, lambda: zstd_of(member(f"{FOLDER}/", type=b"\0"), bag_of())),
    ("window", ARCHIVE, lambda: with_window(28)),
    ("largest-window", ARCHIVE, lambda: with_window(31)),
    ("huge-size", SIZE, lambda: zstd_of(patched(member(f"{FOLDER}/f"), 124, b"7" * 11 + b"\0"))),
    ("negative-size", SIZE, lambda: zstd_of(patched(member(f"{FOLDER}/f"), 124, b"\xff" * 12))),
    ("endless-size", SIZE, lambda: zstd_of(patched(member("f"), 124, b"\x80" + b"\x7f" * 11))),
    ("bomb", SIZE, _bomb),
    ("padding-bomb", SIZE, _padding_bomb),
    ("padding", SIZE, lambda: zstd_of(bag_of(), end=END + bytes(2**21))),
    ("too-many", COUNT, lambda: zstd_of(*(member(str(n)) for n in range(ENTRY_LIMIT + 1)))),
    (
        "too-many-names",
        COUNT,
        lambda: zstd_of(*(long_name(b"x\0") for _ in range(HEADER_LIMIT + 1))),
    ),
    ("too-deep", DEPTH, lambda: zstd_of(bag_of(), member(DEEP, b"x"))),
)

LARGE = ("bomb", "padding-bomb", "padding", "too-many", "too-many-names", "pax-of-nothing")
"""Names of archives that are large, or slow to make."""

HOSTILE = tuple(Hostile(name=name, code=code, make=make) for name, code, make in _MAKERS)


def written_by_tarfile(files: Mapping[str, bytes], form: int, mode: str) -> bytes:
    """Return an archive of files and folders as the standard library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for name in ("data", "data/metrics"):
            folder = tarfile.TarInfo(f"{FOLDER}/{name}")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
        for name, data in files.items():
            header = tarfile.TarInfo(f"{FOLDER}/{name}")
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return out.getvalue()
