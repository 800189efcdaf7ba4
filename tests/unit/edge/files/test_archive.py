"""Archives: good ones give the bundle, hostile ones are refused with the expected code."""

import gzip
import io
import os
import subprocess
import tarfile
import time
import tracemalloc
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.check.finding import Outcome
from kit.check.verify import verify
from kit.edge.files import archive, disk, safe_read
from kit.edge.files.archive import Compression
from kit.errors import BundleError, ExitCode
from tests.archives import (
    FILES,
    FOLDER,
    GOOD,
    HOSTILE,
    Hostile,
    bag_of,
    long_name,
    member,
    pax,
    with_window,
    written_by_tarfile,
    zstd_of,
)
from tests.factory import KNOWN

MEMORY_LIMIT_BYTES = safe_read.TOTAL_LIMIT_BYTES + 64 * 2**20
"""A bundle's bytes once, and what reading needs."""


def read(data: bytes) -> safe_read.Folder:
    return archive.read(io.BytesIO(data))


def read_at_a_peak(data: bytes) -> tuple[safe_read.Folder, int]:
    """Return what is read, and the peak of memory in bytes."""
    tracemalloc.start()
    try:
        return read(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compression", Compression)
def test_what_is_packed_reads_back(compression: Compression) -> None:
    packed = archive.pack(FILES, FOLDER, compression)
    assert read(packed) == safe_read.Folder(files=FILES, refused=())
    assert archive.pack(dict(reversed(FILES.items())), FOLDER, compression) == packed


@pytest.mark.parametrize("compression", Compression)
def test_others_read_what_is_packed(compression: Compression) -> None:
    packed = archive.pack(FILES, FOLDER, compression)
    with tarfile.open(fileobj=io.BytesIO(_inflated(packed, compression))) as tar:
        assert [one.name for one in tar] == [f"{FOLDER}/{name}" for name in sorted(FILES)]
        assert {(one.mode, one.mtime, one.uid, one.uname) for one in tar} == {(0o644, 0, 0, "")}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_others_pack_is_read(form: int) -> None:
    assert read(written_by_tarfile(FILES, form, "w:gz")) == safe_read.Folder(
        files=FILES, refused=()
    )


@pytest.mark.parametrize("place", [FOLDER, "."])
def test_what_the_command_packs_is_read(place: str, tmp_path: Path) -> None:
    disk.write_folder(tmp_path / FOLDER, FILES)
    inside = tmp_path if place == FOLDER else tmp_path / FOLDER
    subprocess.run(["tar", "-C", inside, "-czf", tmp_path / "x.tar.gz", place], check=True)
    assert archive.read_archive(tmp_path / "x.tar.gz") == safe_read.Folder(files=FILES, refused=())


LONG = "20261126T120000Z-" + "-".join(["a-model-of-a-long-name"] * 3)
"""As `kit bench --endpoint` names a bundle; files in it are longer than a plain header's name."""


@pytest.mark.parametrize("form", ["ustar", "gnu", "oldgnu", "posix"])
@pytest.mark.parametrize("folder", [FOLDER, LONG, "Bündel"])
def test_what_the_command_packs_in_any_form_is_read(form: str, folder: str, tmp_path: Path) -> None:
    disk.write_folder(tmp_path / folder, FILES)
    command = ["tar", "-C", tmp_path, f"--format={form}", "-czf", tmp_path / "x.tar.gz", folder]
    subprocess.run(command, check=True)
    assert archive.read_archive(tmp_path / "x.tar.gz") == safe_read.Folder(files=FILES, refused=())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", [FOLDER, LONG, "Bündel"])
def test_what_python_packs_of_a_folder_is_read(form: int, folder: str, tmp_path: Path) -> None:
    """Times on disk are fractions of a second, which Python writes as PAX records."""
    disk.write_folder(tmp_path / folder, FILES)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=form) as tar:
        tar.add(tmp_path / folder, folder)
    assert archive.read_archive(tmp_path / "x.tar.gz") == safe_read.Folder(files=FILES, refused=())


def test_what_bsdtar_notes_beside_a_file_is_passed_over() -> None:
    records = (("mtime", "1.5"), ("LIBARCHIVE.creationtime", "1"), ("SCHILY.xattr.com.x", "a=b\n"))
    text = b"".join(pax(records) + member(f"{FOLDER}/{name}", data) for name, data in FILES.items())
    assert read(zstd_of(text)) == safe_read.Folder(files=FILES, refused=())


@given(content=st.binary(max_size=60), kind=st.sampled_from([b"x", b"L"]))
@settings(max_examples=200, deadline=None)
def test_any_extension_is_read_or_refused(content: bytes, kind: bytes) -> None:
    found = read(zstd_of(member("x", content, type=kind), bag_of()))
    assert found.refused or found.files == FILES


NAMES = st.sampled_from([f"{FOLDER}/a", f"{FOLDER}/b/", f"./{FOLDER}/c", f"{FOLDER}/b/d", "é"])
EXTENSIONS = NAMES.map(lambda name: pax([("path", name)])) | NAMES.map(
    lambda name: long_name(name.encode() + b"\0")
)
MEMBERS = st.builds(member, NAMES, st.sampled_from([b"", b"x"])) | st.builds(
    lambda name, kind: member(name, type=kind), NAMES, st.sampled_from([b"0", b"\0", b"5"])
)


@given(pieces=st.lists(MEMBERS | EXTENSIONS | st.just(pax([("mtime", "1")])), max_size=6))
@settings(max_examples=500, deadline=None)
def test_what_is_read_is_what_others_read(pieces: list[bytes]) -> None:
    found = read(zstd_of(*pieces))
    if found.refused:
        return
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces) + bytes(1024))) as tar:
        others = {
            os.path.normpath(one.name): tar.extractfile(one).read()  # type: ignore[union-attr]
            for one in tar
            if one.isfile()
        }
    ours = found.files
    assert sorted(ours.values()) == sorted(others.values())
    assert all(any(name.endswith(own) for name in others) for own in ours)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda one: f"{one.name}-{one.code}")
def test_hostile_archives_are_refused_by_their_code(hostile: Hostile) -> None:
    data = hostile.make()
    start_s = time.monotonic()
    found, peak_bytes = read_at_a_peak(data)
    assert time.monotonic() - start_s < 60, "a hang, whatever else the host does"
    assert peak_bytes < MEMORY_LIMIT_BYTES
    assert hostile.code in {refusal.code for refusal in found.refused}
    verdict = verify("case", found.files, found.refused, KNOWN).verdict
    failed = {one.code for one in verdict.findings if one.outcome is Outcome.FAIL}
    assert hostile.code in failed
    assert verdict.exit_code is ExitCode.BUNDLE_INVALID


def test_codes_and_names_of_the_hostile_ones_are_many() -> None:
    assert len({one.name for one in HOSTILE}) == len(HOSTILE) > 50
    assert len({one.code for one in HOSTILE}) == 6


@pytest.mark.parametrize(
    ("name", "fields", "factor"),
    [("new", {}, 1), ("data/records.jsonl", {}, 0), ("../x", {}, 0), ("link", {"type": b"2"}, 0)],
    ids=["kept", "duplicate", "elsewhere", "link"],
)
def test_a_file_takes_its_memory_once_and_a_refused_one_none(
    name: str, fields: dict[str, object], factor: int
) -> None:
    data = zstd_of(bag_of(), member(f"{FOLDER}/{name}", bytes(2**26), **fields))
    found, peak_bytes = read_at_a_peak(data)
    assert len(found.refused) == 1 - factor
    assert peak_bytes < factor * 1.2 * 2**26 + 2**23


@pytest.mark.parametrize("blocking", [1, 20, 2048])
def test_the_last_record_of_a_tar_may_be_padded(blocking: int, tmp_path: Path) -> None:
    disk.write_folder(tmp_path / FOLDER, FILES)
    command = ["tar", "-C", tmp_path, "-b", str(blocking), "-czf", tmp_path / "x.tar.gz", FOLDER]
    subprocess.run(command, check=True)
    assert archive.read_archive(tmp_path / "x.tar.gz") == safe_read.Folder(files=FILES, refused=())


@pytest.mark.parametrize("log", [10, 23, 27])
def test_a_window_that_zstd_reads_unasked_is_read(log: int) -> None:
    """As of `tar -c BUNDLE | zstd -19 --long=27`, which does not know how much will come."""
    found = read(with_window(log))
    assert found == safe_read.Folder(files=FILES, refused=())


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_never_makes_another_bundle(place: float, value: int) -> None:
    data = bytearray(GOOD)
    data[int(place * len(data))] ^= value
    found = read(bytes(data))
    assert found.refused or found.files == FILES  # a bit of the frame's header may mean nothing


@given(place=st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, deadline=None)
def test_one_that_is_cut_off_is_refused(place: float) -> None:
    assert read(GOOD[: int(place * len(GOOD))]).refused


@given(block=st.binary(min_size=512, max_size=512), rest=st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_any_bytes_for_a_tar_never_raise(block: bytes, rest: bytes) -> None:
    found = read(zstd_of(block, rest))
    assert found.refused or not found.files  # 512 zeros begin the end of a tar


@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_name_stays_inside_or_is_refused(name: str) -> None:
    found = read(zstd_of(bag_of(), member(f"{FOLDER}/{name}", b"x")))
    inside = {os.path.normpath(f"/bag/{path}") for path in found.files}
    assert all(path.startswith("/bag/") for path in inside)
    assert len(inside) == len(found.files)


def test_an_archive_of_something_else_is_no_bundle() -> None:
    found = read(zstd_of(member("src/main.c", b"int main;")))
    assert found == safe_read.Folder(files={"main.c": b"int main;"}, refused=())
    verdict = verify("case", found.files, found.refused, KNOWN).verdict
    assert [one.code for one in verdict.findings] == ["integrity-bag"]


def test_links_pipes_and_devices_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("good.tar.zst")
    (tmp_path / "good.tar.zst").write_bytes(GOOD)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", Path("/dev/zero"), tmp_path / "nothing"):
        with pytest.raises(BundleError, match="no bundle at"):
            archive.read_archive(path)


def test_a_file_larger_than_a_bundle_is_not_opened_for_long(tmp_path: Path) -> None:
    with (tmp_path / "sparse.tar.zst").open("wb") as file:
        file.write(GOOD)
        file.truncate(safe_read.TOTAL_LIMIT_BYTES + 1)
    with pytest.raises(BundleError, match="larger than"):
        archive.read_archive(tmp_path / "sparse.tar.zst")


def _inflated(data: bytes, compression: Compression) -> bytes:
    return zstd.decompress(data) if compression is Compression.ZSTD else gzip.decompress(data)
