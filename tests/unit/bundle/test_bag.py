"""Bundles: bags that other tools accept, the same bytes each time, and safe to unpack."""

import gzip
import hashlib
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle import bag
from kit.bundle.bag import Attachments, Oversized
from kit.bundle.document import (
    SCHEMA_VERSION,
    Clock,
    Document,
    EngineIdentity,
    Host,
    Runtime,
    Status,
)
from kit.bundle.record import Record
from kit.format import canonical
from kit.plan.plan import Choices, Dialect, plan_endpoint
from kit.plan.schedule import Phase
from kit.plan.suite import Prompt, Suite, SuiteMode

SUITE = Suite(
    id="small",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=(Prompt(id="impl", text="Schreibe einen Kellerspeicher: süß."),),
)
PLAN = plan_endpoint("m", SUITE, Choices(passes=1), Dialect.VLLM, 16)
DOCUMENT = Document(
    schema_version=SCHEMA_VERSION,
    kit_version="0.1.0",
    status=Status.COMPLETE,
    runtime=Runtime.ENDPOINT,
    host_id="ab" * 16,
    plan=PLAN,
    plan_digest=PLAN.digest(),
    clock=Clock(
        start_utc="2026-03-06T23:59:59.000000Z", end_utc="2026-03-07T00:00:09.000000Z", end_s=10.0
    ),
    engine=EngineIdentity(),
    host=Host(system="Linux", kernel="6.1", machine="x86_64", python="3.11.7", cpu_count=2),
    packages={},
    absent={bag.SERVER_LOG: "somebody else's server"},
)
RECORDS = tuple(
    Record(phase=phase, pass_number=number, prompt_id="impl", seed=1, sent_s=0.0, wall_s=1.0)
    for phase, number in ((Phase.WARMUP, 0), (Phase.MEASURED, 1))
)
METRICS = {"warmup-0-before": b"a 1\n", "warmup-0-after": b"a 2\n"}
PAYLOAD = bag.payload(DOCUMENT, RECORDS, METRICS, Attachments(server_log=b"INFO ready\n"))


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def sha256sum(folder: Path, manifest: str) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--strict", "-c", manifest]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def is_valid_to_bagit(folder: Path) -> bool:
    checked = bagit.Bag(str(folder))
    return bool(checked.is_valid())


def test_the_payload_is_what_was_observed() -> None:
    assert set(PAYLOAD) == {
        "data/bundle.json",
        "data/records.jsonl",
        "data/server.log.gz",
        "data/metrics/warmup-0-before.prom.gz",
        "data/metrics/warmup-0-after.prom.gz",
    }
    assert gzip.decompress(PAYLOAD["data/server.log.gz"]) == b"INFO ready\n"
    assert all(bag.is_payload_name(name) for name in PAYLOAD)


def test_without_a_log_there_is_no_file_for_it() -> None:
    assert set(bag.payload(DOCUMENT, (), {}, Attachments())) == {bag.DOCUMENT, bag.RECORDS}


def test_logs_of_the_gpus_have_files_of_their_own() -> None:
    files = bag.payload(DOCUMENT, (), {}, Attachments(nccl_log=b"a\n", telemetry=b"b\n"))
    assert gzip.decompress(files["data/nccl.log.gz"]) == b"a\n"
    assert gzip.decompress(files["data/telemetry.jsonl.gz"]) == b"b\n"
    assert all(bag.is_payload_name(name) for name in files)


def test_sealed_and_read_again() -> None:
    files = bag.seal(PAYLOAD)
    assert canonical.decode(files[bag.DOCUMENT], Document) == DOCUMENT
    assert canonical.decode_lines(files[bag.RECORDS], Record) == RECORDS
    assert (
        bag.identifier(files[bag.MANIFEST])
        == hashlib.sha256(files["manifest-sha256.txt"]).hexdigest()
    )


def test_sha256sum_accepts_it(tmp_path: Path) -> None:
    write(bag.seal(PAYLOAD), tmp_path)
    for manifest, count in ((bag.MANIFEST, len(PAYLOAD)), (bag.TAG_MANIFEST, 3)):
        checked = sha256sum(tmp_path, manifest)
        assert (checked.returncode, checked.stderr) == (0, "")
        assert checked.stdout.count(": OK\n") == count


def test_bagit_accepts_it(tmp_path: Path) -> None:
    folder = write(bag.seal(PAYLOAD), tmp_path)
    assert is_valid_to_bagit(folder)
    info = bagit.Bag(str(folder)).info
    assert info["Bagging-Date"] == "2026-03-07"
    assert info["Payload-Oxum"] == f"{sum(map(len, PAYLOAD.values()))}.{len(PAYLOAD)}"
    assert info["External-Identifier"] == bag.identifier(bag.seal(PAYLOAD)[bag.MANIFEST])


@pytest.mark.parametrize("name", sorted(bag.seal(PAYLOAD)))
def test_others_see_a_byte_that_was_changed(name: str, tmp_path: Path) -> None:
    files = bag.seal(PAYLOAD)
    folder = write({**files, name: files[name].replace(files[name][-2:], b"!\n")}, tmp_path)
    codes = [sha256sum(folder, manifest).returncode for manifest in bag.TAG_FILES[2:]]
    codes.append(sha256sum(folder, bag.TAG_MANIFEST).returncode)
    assert any(codes)


def test_bagit_sees_a_file_that_is_gone_or_too_many(tmp_path: Path) -> None:
    folder = write(bag.seal(PAYLOAD), tmp_path)
    (folder / "data" / "extra").write_bytes(b"")
    assert not is_valid_to_bagit(folder)
    (folder / "data" / "extra").unlink()
    assert is_valid_to_bagit(folder)
    (folder / bag.RECORDS).unlink()
    assert not is_valid_to_bagit(folder)


def test_the_same_input_gives_the_same_bytes() -> None:
    again = bag.payload(
        DOCUMENT, RECORDS, dict(reversed(METRICS.items())), Attachments(server_log=b"INFO ready\n")
    )
    assert bag.seal(dict(reversed(again.items()))) == bag.seal(PAYLOAD)


def test_another_payload_has_another_id() -> None:
    other = bag.payload(DOCUMENT, RECORDS, METRICS, Attachments(server_log=b"INFO ready!\n"))
    assert bag.identifier(bag.seal(other)[bag.MANIFEST]) != bag.identifier(
        bag.seal(PAYLOAD)[bag.MANIFEST]
    )


def test_tag_files_follow_from_the_payload_alone() -> None:
    files = bag.seal(PAYLOAD)
    assert files[bag.MANIFEST] == bag.manifest_of(PAYLOAD)
    assert files[bag.BAG_INFO] == bag.bag_info(files, files[bag.MANIFEST])
    tags = {name: files[name] for name in bag.TAG_FILES}
    assert files[bag.TAG_MANIFEST] == bag.manifest_of(tags)


def test_a_manifest_is_sorted_and_spelled_as_sha256sum_does() -> None:
    empty = hashlib.sha256(b"").hexdigest()
    assert bag.manifest_of({"data/b": b"", "data/a": b""}) == (
        f"{empty}  data/a\n{empty}  data/b\n".encode()
    )


@pytest.mark.parametrize(
    "name",
    [
        "data/metrics/warmup-0-before.prom.gz",
        "data/metrics/measured-1-after.prom.gz",
        "data/metrics/stream-9999-after.prom.gz",
    ],
)
def test_names_of_metrics(name: str) -> None:
    assert bag.is_payload_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "bundle.json",
        "data/other.json",
        "data/../bundle.json",
        "/data/bundle.json",
        "data//bundle.json",
        "data/bundle.json\n",
        "data/server.log",
        "data/nccl.log",
        "data/telemetry.jsonl",
        "data/metrics/measured-01-after.prom.gz",
        "data/metrics/measured-10000-after.prom.gz",
        "data/metrics/measured-1٣-after.prom.gz",
        "data/metrics/measured--1-after.prom.gz",
        "data/metrics/cooldown-1-after.prom.gz",
        "data/metrics/measured-1-after.prom.gz\n",
        "data/metrics/../measured-1-after.prom.gz",
        "manifest-sha256.txt",
        "fetch.txt",
        "",
    ],
)
def test_names_that_a_payload_does_not_have(name: str) -> None:
    assert not bag.is_payload_name(name)


@given(st.binary(max_size=5000))
def test_what_was_compressed_is_inflated(data: bytes) -> None:
    packed = bag.compress(data)
    assert bag.inflate(packed) == data
    assert gzip.decompress(packed) == data
    assert bag.inflate(packed, len(data)) == data


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 4999))
def test_a_limit_is_kept_to_the_byte(data: bytes, limit: int) -> None:
    packed = bag.compress(data)
    if len(data) <= limit:
        assert bag.inflate(packed, limit) == data
    else:
        with pytest.raises(Oversized):
            bag.inflate(packed, limit)


def test_a_gzip_file_tells_neither_time_nor_name() -> None:
    header = bag.compress(b"x")[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"  # no optional field
    assert header[4:8] == b"\0\0\0\0"  # no time


@pytest.mark.parametrize("size", [0, 1, 5, 17, -8, -1])
def test_a_member_that_is_cut_off(size: int) -> None:
    packed = bag.compress(b"some text that is long enough to cut")
    with pytest.raises(ValueError, match="cut off"):
        bag.inflate(packed[:size])


@pytest.mark.parametrize("extra", [b"\0", b"x", bag.compress(b""), bag.compress(b"more")])
def test_data_after_the_member(extra: bytes) -> None:
    with pytest.raises(ValueError, match="data after it"):
        bag.inflate(bag.compress(b"text") + extra)


@pytest.mark.parametrize(
    "data",
    [b"plain text", b"\x1f\x8b\x08\xff" + b"\xff" * 30, zlib.compress(b"x")],
)
def test_what_is_not_gzip(data: bytes) -> None:
    with pytest.raises(ValueError, match="gzip"):
        bag.inflate(data)


def test_a_wrong_checksum_is_seen() -> None:
    packed = bytearray(bag.compress(b"text"))
    packed[-5] ^= 1
    with pytest.raises(ValueError, match="not gzip"):
        bag.inflate(bytes(packed))


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = bag.compress(b"\0" * 64 * 2**20)
    assert len(bomb) < 2**17
    tracemalloc.start()
    try:
        with pytest.raises(Oversized, match="more than 1048576 bytes"):
            bag.inflate(bomb, 2**20)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * 2**20


@pytest.mark.parametrize("begin", [b"plain text", bag.compress(b"text"), b"\x1f\x8b\x08"])
def test_a_member_that_is_too_large_is_not_begun(begin: bytes) -> None:
    data = begin.ljust(bag.COMPRESSED_LIMIT_BYTES + 1, b"\0")
    tracemalloc.start()
    try:
        with pytest.raises(Oversized, match="compressed"):
            bag.inflate(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2**20


DAMAGED = bag.compress(b"a text that repeats, a text that repeats, and one that ends")


@given(
    st.integers(0, len(DAMAGED) - 1),
    st.integers(0, len(DAMAGED)),
    st.binary(max_size=4),
    st.integers(1, 80),
)
def test_a_damaged_member_is_read_as_zlib_reads_it(
    cut_from: int, cut_to: int, put: bytes, limit_bytes: int
) -> None:
    """Whoever unpacks a bundle by another program must not see another text."""
    data = DAMAGED[:cut_from] + put + DAMAGED[cut_to:]
    stream = zlib.decompressobj(wbits=31)
    try:
        expected = stream.decompress(data, limit_bytes + 1)
        is_whole = stream.eof and not stream.unused_data and len(expected) <= limit_bytes
    except zlib.error:
        is_whole = False
    if is_whole:
        assert bag.inflate(data, limit_bytes) == expected
    else:
        with pytest.raises(ValueError, match=r".+"):
            bag.inflate(data, limit_bytes)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        bag.inflate(b"\x1f\x8b" + garbage)
