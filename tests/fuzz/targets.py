"""Targets of the fuzzer: a function of bytes for each parser of foreign bytes, and seeds.

A target raises for bugs only: the errors that a parser may raise for bad input are caught here.
Most also check a property, such as a limit, or that a second way to read gives the same.
"""

import io
import math
import tomllib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from backports import zstd

from kit.bundle import bag, telemetry
from kit.bundle.document import Document, Runtime
from kit.bundle.host_facts import HostFacts
from kit.bundle.record import Record
from kit.check.finding import Verdict
from kit.check.verify import verify
from kit.claims import formula, reference
from kit.claims.audit.audit import audit
from kit.claims.audit.raw_files import findings as data_file_findings
from kit.claims.audit.raw_format import COLUMNS
from kit.claims.formula import BadFormula
from kit.edge.files import archive, checkout, safe_read
from kit.errors import SpecError
from kit.format import canonical
from kit.format.canonical import NotCanonical
from kit.parse import chat, detokenizer, nccl_log, vllm_log, vllm_metrics
from kit.parse.sse import EventParser, EventTooLarge
from kit.plan.plan import Dialect
from kit.report.escape import printable
from tests.archives import FILES, GOOD, HOSTILE, LARGE, bag_of, gzip_of
from tests.factory import KNOWN, ROOT, Settings, draft
from tests.mutations import changed

LOGS = Path(__file__).parents[1] / "logs"
GPU_FILES = draft(
    Settings(passes=1, topology="tp2-pcie", model="moe", runtime=Runtime.DOCKER)
).seal()
NAMES = sorted(GPU_FILES)
JSON_FILES = (bag.DOCUMENT, bag.RECORDS, bag.TELEMETRY, bag.HOST_FACTS)
LINES = {
    name: (bag.inflate(text) if name.endswith(".gz") else text).splitlines()
    for name, text in GPU_FILES.items()
    if name in JSON_FILES
}
PUBLISHED, FACTS = checkout.references(), checkout.facts()
EDITS = 8
SMALL_BYTES = 16 * 2**10
SSE_LIMIT_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A function to feed, and the input to start from."""

    feed: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]


def _archive(data: bytes) -> None:
    _judge(archive.read(io.BytesIO(data)))


def _tar(data: bytes) -> None:
    """Feed the tar inside the compression, whose checksums would stop a fuzzer."""
    _judge(archive.read(io.BytesIO(zstd.compress(data, level=1))))


def _files(data: bytes) -> None:
    """Replace one file of a bundle by the input, and seal it again."""
    name, content = NAMES[data[0] % len(NAMES) if data else 0], data[1:]
    if name.endswith(".gz"):
        content = bag.compress(content)
    payload = {key: text for key, text in GPU_FILES.items() if key.startswith("data/")}
    if name in payload:
        payload[name] = content
    files = {**GPU_FILES, **payload, bag.MANIFEST: bag.manifest_of(payload)}
    if name not in payload:
        files[name] = content
    _judge(safe_read.Folder(files=files, refused=()))


def _fields(data: bytes) -> None:
    """Mutate values of the document, a record or a sample, and seal it again as canonical JSON."""
    name = JSON_FILES[data[0] % len(JSON_FILES) if data else 0]
    lines = [msgspec.json.decode(line) for line in LINES[name]]
    for at in range(1, min(len(data), 4 * EDITS), 4):
        line, where, how = data[at], int.from_bytes(data[at + 1 : at + 3], "big"), data[at + 3 :]
        lines[line % len(lines)] = changed(lines[line % len(lines)], where, how[0] if how else 0)
    content = canonical.encode_lines(lines)
    payload = {key: text for key, text in GPU_FILES.items() if key.startswith("data/")}
    payload[name] = bag.compress(content) if name.endswith(".gz") else content
    files = {**GPU_FILES, **payload, bag.MANIFEST: bag.manifest_of(payload)}
    _judge(safe_read.Folder(files=files, refused=()))


def _judge(folder: safe_read.Folder) -> None:
    for name in folder.files:
        assert bag.is_plain_name(name), name
    verdict = verify("case", folder.files, folder.refused, KNOWN).verdict
    assert not folder.refused or int(verdict.exit_code) == 6
    assert canonical.decode(canonical.encode(verdict), Verdict) == verdict
    assert all(printable(finding.observed).isprintable() for finding in verdict.findings)


def _json(data: bytes) -> None:
    for kind in (Document, Record, HostFacts):
        with suppress(NotCanonical):
            assert canonical.encode(canonical.decode(data, kind)) == data
    with suppress(NotCanonical):
        assert canonical.encode_lines(canonical.decode_lines(data, Record)) == data


def _exposition(data: bytes) -> None:
    metrics = vllm_metrics.read(data)
    assert all(math.isfinite(value) for value in metrics.totals.values())
    assert all(0 <= count < math.inf for count in metrics.finished.values())
    assert all(label and '"' not in value for label, value in metrics.cache_config)


def _server_log(data: bytes) -> None:
    log = vllm_log.read(data)
    assert len(log.arguments) <= vllm_log.DISTINCT_LIMIT


def _nccl_log(data: bytes) -> None:
    assert len(nccl_log.read(data).channels) <= nccl_log.DISTINCT_LIMIT


def _telemetry(data: bytes) -> None:
    with suppress(NotCanonical):
        samples = telemetry.read(data)
        assert telemetry.write(samples) == data
    with suppress(NotCanonical):
        telemetry.from_start(data, 1.5)
    telemetry.has_ended(data)


def _events(data: bytes) -> None:
    """Check that events do not depend on how the stream is split."""
    size = 1 + data[0] % 7 if data else 1
    stream = data[1:]
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert _read_events([stream]) == _read_events(pieces)


def _read_events(pieces: list[bytes]) -> list[str]:
    parser, seen = EventParser(SSE_LIMIT_BYTES), []
    with suppress(EventTooLarge):
        for piece in pieces:
            for event in parser.feed(piece):
                seen.append(event)  # one by one, to keep those before an error
    return seen


def _answers(data: bytes) -> None:
    for dialect in Dialect:
        chat.read_completion(data, dialect)
        chat.read_stream([(0.5, data[:9]), (1.0, data[9:])], dialect)


def _formula(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(BadFormula):
        tree = formula.parse(text)
        list(formula.parameters(tree))
        formula.cells(tree)
    with suppress(BadFormula):
        formula.parse_cell(text)


def _reference(data: bytes) -> None:
    for name in ("x.toml", "x.json"):
        with suppress(SpecError):
            parsed = reference.parse(data, name)
            reference.all_claims(parsed)
            audit(parsed, PUBLISHED, FACTS, {})


def _data_files(data: bytes) -> None:
    article = PUBLISHED["article-part-1"]
    for name in ("swarm-moe-tp1.csv", "bench-coding-results.json"):
        assert list(data_file_findings(article, PUBLISHED, None, {name: data}))


def _tokenizer(data: bytes) -> None:
    with suppress(SpecError):
        tokenizer = detokenizer.parse(data, "tokenizer.json")
        assert tokenizer.bytes_of([]) == b""
        tokenizer.bytes_of(range(len(tokenizer.pieces)))


def _references() -> Iterable[bytes]:
    for path in (ROOT / "results" / "published").glob("*.toml"):
        yield path.read_bytes()
        yield msgspec.json.encode(tomllib.loads(path.read_text()))


def _swarms() -> Iterable[bytes]:
    header = ",".join(COLUMNS).encode()
    yield header + b"\n1,1,a,1000,9.5,stop,9.5\n2,1,a,10,1,stop,4\n2,1,b,20,3,length,4\n"
    yield b'{"metadata":{"date":"2026-03-06"},"results":{"a":{"avg_tps":1.5,"gpu_mem_mb":[1]}}}'


def _formulas() -> Iterable[bytes]:
    for path in (ROOT / "results" / "published").glob("*.toml"):
        for claim in reference.all_claims(reference.parse(path.read_bytes(), path.name)):
            if claim.measure is not None:
                yield claim.measure.formula.encode()


def _tokenizers() -> Iterable[bytes]:
    yield (
        b'{"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"\xc4\xa0b":1}},'
        b'"added_tokens":[{"id":2,"content":"<x>","special":true}]}'
    )


def _good_files() -> Iterable[bytes]:
    for number, name in enumerate(NAMES):
        text = GPU_FILES[name]
        yield bytes([number]) + (bag.inflate(text) if name.endswith(".gz") else text)


def _lines(name: str) -> Iterable[bytes]:
    text = GPU_FILES[name]
    yield bag.inflate(text) if name.endswith(".gz") else text


def _metrics() -> Iterable[bytes]:
    return _lines("data/metrics/measured-1-after.prom.gz")


def _chat_seeds() -> Iterable[bytes]:
    usage = b'"usage":{"prompt_tokens":2,"completion_tokens":1,"prompt_tokens_details":null}'
    yield (
        b'{"prompt_token_ids":[1,2],"choices":[{"index":0,"message":{"content":"x"},'
        b'"finish_reason":"stop","token_ids":[3]}],' + usage + b"}"
    )
    yield (
        b'data: {"choices":[{"delta":{"content":"x"},"token_ids":[3],"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],' + usage + b"}\n\ndata: [DONE]\n\n"
    )


def _small_archives() -> Iterable[bytes]:
    yield from (GOOD, gzip_of(bag_of()))
    yield from (hostile.make() for hostile in HOSTILE if hostile.name not in LARGE)


def _small_tars() -> Iterable[bytes]:
    yield bag_of({name: data for name, data in FILES.items() if len(data) < SMALL_BYTES}) + bytes(
        1024
    )
    for data in _small_archives():
        with suppress(zstd.ZstdError):
            yield zstd.decompress(data)


TARGETS = {
    "archive": Target(feed=_archive, seeds=_small_archives),
    "tar": Target(feed=_tar, seeds=_small_tars),
    "files": Target(feed=_files, seeds=_good_files),
    "fields": Target(feed=_fields, seeds=lambda: [bytes(range(n, n + 20)) for n in range(8)]),
    "json": Target(feed=_json, seeds=lambda: [*_lines(bag.DOCUMENT), *_lines(bag.RECORDS)]),
    "exposition": Target(feed=_exposition, seeds=_metrics),
    "server-log": Target(
        feed=_server_log, seeds=lambda: [path.read_bytes() for path in LOGS.glob("server-*.log")]
    ),
    "nccl-log": Target(
        feed=_nccl_log, seeds=lambda: [path.read_bytes() for path in LOGS.glob("nccl-*.log")]
    ),
    "telemetry": Target(feed=_telemetry, seeds=lambda: _lines(bag.TELEMETRY)),
    "events": Target(feed=_events, seeds=lambda: [b"\2: x\r\ndata: a\ndata:b\n\nid: 1\n\n"]),
    "formula": Target(feed=_formula, seeds=_formulas),
    "reference": Target(feed=_reference, seeds=_references),
    "data-files": Target(feed=_data_files, seeds=_swarms),
    "tokenizer": Target(feed=_tokenizer, seeds=_tokenizers),
    "answers": Target(feed=_answers, seeds=_chat_seeds),
}
