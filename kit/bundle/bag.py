"""A bundle as a BagIt bag (RFC 8493) with everything observed of one cell.

`sha256sum -c manifest-sha256.txt` checks a bag without the kit. Tag files are derived from the
payload, so a verifier compares them byte by byte with its own. Nothing derived from records is
stored.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from kit.bundle.document import Document
from kit.bundle.record import Record
from kit.bundle.telemetry import Telemetry
from kit.format import canonical

DOCUMENT = "data/bundle.json"
RECORDS = "data/records.jsonl"
SERVER_LOG = "data/server.log.gz"
NCCL_LOG = "data/nccl.log.gz"
TELEMETRY = "data/telemetry.jsonl.gz"
HOST_FACTS = "data/host.json"
LOAD = "data/load.jsonl.gz"
LOGS = (SERVER_LOG, NCCL_LOG, TELEMETRY, LOAD)
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
BAG_INFO = "bag-info.txt"
BAGIT = "bagit.txt"
BAGIT_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAG_FILES = (BAGIT, BAG_INFO, MANIFEST)

METRICS = re.compile(
    r"data/metrics/(?P<phase>warmup|measured|stream)-(?P<number>0|[1-9][0-9]{0,3})"
    r"-(?P<moment>before|after)\.prom\.gz"
)

INFLATED_LIMIT_BYTES = 128 * 2**20

COMPRESSED_LIMIT_BYTES = 64 * 2**20
"""Of one gzip member; the kit seals less than this of a log, even uncompressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle that was read; `gpus` are the names of the GPUs in its `telemetry`.

    `queued_s` is the mean time that the server says a measured request waited in its queue.
    """

    id: str
    document: Document
    records: tuple[Record, ...]
    gpus: tuple[str, ...] = ()
    telemetry: Telemetry | None = None
    queued_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachments:
    """Files written by server, NCCL, sampler and host; None for one that does not exist.

    `telemetry` is from `kit.bundle.telemetry.from_start`; `host_facts` is a canonical
    `kit.bundle.host_facts.HostFacts`; `load` is of a run with agents.
    """

    server_log: bytes | None = None
    nccl_log: bytes | None = None
    telemetry: bytes | None = None
    host_facts: bytes | None = None
    load: bytes | None = None


class Oversized(ValueError):
    """Compressed data that is, or inflates to, more than the limit."""


def seal(payload: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return all files of the bag with this payload (paths below `data/`). Deterministic."""
    manifest = manifest_of(payload)
    info = bag_info(payload, manifest)
    tags = {BAGIT: BAGIT_TEXT, BAG_INFO: info, MANIFEST: manifest}
    return {**payload, **tags, TAG_MANIFEST: manifest_of(tags)}


def payload(
    document: Document,
    records: tuple[Record, ...],
    metrics: Mapping[str, bytes],
    attachments: Attachments,
) -> dict[str, bytes]:
    """Return the payload files; `metrics` maps `<phase>-<pass>-<moment>` to its text."""
    files = {DOCUMENT: canonical.encode(document), RECORDS: canonical.encode_lines(records)}
    for name, exposition in metrics.items():
        files[f"data/metrics/{name}.prom.gz"] = compress(exposition)
    logs = (
        (SERVER_LOG, attachments.server_log),
        (NCCL_LOG, attachments.nccl_log),
        (TELEMETRY, attachments.telemetry),
        (LOAD, attachments.load),
    )
    files |= {name: compress(text) for name, text in logs if text is not None}
    if attachments.host_facts is not None:
        files[HOST_FACTS] = attachments.host_facts
    return files


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of these files (see `manifest_from`)."""
    return manifest_from({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def manifest_from(digests: Mapping[str, str]) -> bytes:
    """Return a manifest in `sha256sum` form, sorted by path (RFC 8493, section 2.1.3)."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def bag_info(files: Mapping[str, bytes], manifest: bytes) -> bytes:
    """Return `bag-info.txt` (RFC 8493, section 2.2.2), derived from the payload alone."""
    payload_files = {name: data for name, data in files.items() if name.startswith("data/")}
    date, version = _sealing_facts(payload_files[DOCUMENT])
    size = sum(len(data) for data in payload_files.values())
    return (
        f"Bag-Software-Agent: kit {version}\n"
        f"Bagging-Date: {date}\n"
        f"External-Identifier: {identifier(manifest)}\n"
        f"Payload-Oxum: {size}.{len(payload_files)}\n"
    ).encode()


def identifier(manifest: bytes) -> str:
    """Return the bundle's id, the SHA-256 of its payload manifest."""
    return hashlib.sha256(manifest).hexdigest()


def is_payload_name(name: str) -> bool:
    """Return whether a bag may have a payload file of this name."""
    is_single = name in (DOCUMENT, RECORDS, HOST_FACTS, *LOGS)
    return is_single or METRICS.fullmatch(name) is not None


def is_plain_name(name: str) -> bool:
    """Return whether a name stays inside its folder and needs no escape in a manifest."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def compress(data: bytes) -> bytes:
    """Return one gzip member without a time stamp or a name (RFC 1952)."""
    deflate = zlib.compressobj(level=9, wbits=31)
    return deflate.compress(data) + deflate.flush()


def inflate(data: bytes, limit_bytes: int = INFLATED_LIMIT_BYTES) -> bytes:
    """Inflate one gzip member; raise ValueError for anything else, or above the limit."""
    if len(data) > COMPRESSED_LIMIT_BYTES:  # zlib copies input that it does not use
        raise Oversized(f"more than {COMPRESSED_LIMIT_BYTES} bytes, compressed")
    stream = zlib.decompressobj(wbits=31)
    try:
        inflated = stream.decompress(data, limit_bytes + 1)  # to zlib, 0 is no limit at all
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from error
    if len(inflated) > limit_bytes:
        raise Oversized(f"inflates to more than {limit_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise ValueError("a gzip member that is cut off, or data after it")
    return inflated


class _End(msgspec.Struct):
    """Time of sealing, not validated."""

    end_utc: str


class _SealingFacts(msgspec.Struct):
    """The fields of `bundle.json` that `bag-info.txt` repeats."""

    clock: _End
    kit_version: str


_SEALING_FACTS = msgspec.json.Decoder(_SealingFacts)


def _sealing_facts(document: bytes) -> tuple[str, str]:
    facts = _SEALING_FACTS.decode(document)
    return facts.clock.end_utc[:10], facts.kit_version
