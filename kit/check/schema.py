"""Tier 1, schema: shape, types, ranges, spelling and version of the document and the records.

Big arrays and texts of records are checked in one pass of code: JSON Schema would take 50 times as
long.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from kit.bundle import bag
from kit.bundle.document import SCHEMA_VERSION, Document
from kit.bundle.host_facts import HostFacts
from kit.bundle.limits import (
    DOCUMENT_LIMIT_BYTES,
    LINE_LIMIT_BYTES,
    RECORD_LIMIT,
    RECORDS_LIMIT_BYTES,
)
from kit.bundle.record import Record
from kit.check import answers
from kit.check.answers import Sizes
from kit.check.check import Check, Problem, fail
from kit.check.decoding import (
    ARRAYS,
    CANONICAL,
    JSON,
    LARGE_FIELDS,
    SHAPE,
    Form,
    Problems,
    Validators,
    decoded,
)
from kit.check.submission import Reading, Submission
from kit.format import canonical
from kit.plan.plan import Plan

T = TypeVar("T")


_DOCUMENT = Form(decoder=msgspec.json.Decoder(Document), schema="schemas/bundle.schema.json")
_RECORD = Form(
    decoder=msgspec.json.Decoder(Record),
    schema="schemas/record.schema.json",
    large_fields=LARGE_FIELDS,
)


VERSION, LIMITS, ANSWER = "schema-version", "schema-limits", "schema-answer"


def read(files: Mapping[str, bytes], validators: Validators) -> Reading:
    """Read `bundle.json` and `records.jsonl`; a missing file is the next tier's."""
    problems: Problems = defaultdict(list)
    data = files.get(bag.DOCUMENT)
    version_problem = _version(data)
    if version_problem is not None:
        return Reading(
            document=None,
            records=None,
            host_facts=None,
            problems={VERSION: [version_problem]},
            is_other_version=True,
        )
    document = None if data is None else _document(data, validators, problems)
    lines = files.get(bag.RECORDS)
    records = None if lines is None else _records(lines, validators, problems)
    facts = _host_facts(files.get(bag.HOST_FACTS), problems)
    return Reading(
        document=document,
        records=records,
        host_facts=facts,
        problems=problems,
    )


class _Versioned(msgspec.Struct):
    """All that can be asked of a document of another version."""

    schema_version: int
    kit_version: str = "unknown"


_VERSIONED = msgspec.json.Decoder(_Versioned)


def _version(data: bytes | None) -> Problem | None:
    """Return a problem if `schema_version` can be read and is not ours."""
    try:
        found = _VERSIONED.decode(data or b"")
    except canonical.UNREADABLE:
        return None
    if found.schema_version == SCHEMA_VERSION:
        return None
    made_by = found.kit_version[:40]
    newer = found.schema_version > SCHEMA_VERSION
    advice = f"use kit {made_by} or newer" if newer else f"use kit {made_by}, which made the bundle"
    return fail(
        bag.DOCUMENT,
        f"schema version {found.schema_version} ({'newer' if newer else 'older'})",
        f"schema version {SCHEMA_VERSION}",
        advice,
    )


def _document(data: bytes, validators: Validators, problems: Problems) -> Document | None:
    if _is_too_large(bag.DOCUMENT, data, DOCUMENT_LIMIT_BYTES, problems):
        return None
    document = decoded(bag.DOCUMENT, data, _DOCUMENT, lambda: validators.document, problems)
    if document is None:
        return None
    planned = _planned_requests(document.plan)
    if planned > RECORD_LIMIT:
        problems[LIMITS].append(
            fail(bag.DOCUMENT, f"{planned} requests planned", f"at most {RECORD_LIMIT}")
        )
        return None
    return document


def _host_facts(data: bytes | None, problems: Problems) -> HostFacts | None:
    if data is None or _is_too_large(bag.HOST_FACTS, data, DOCUMENT_LIMIT_BYTES, problems):
        return None
    try:
        return canonical.decode(data, HostFacts)
    except canonical.NotCanonical as error:
        expected = "the host's facts, spelled canonically"
        problems[SHAPE].append(fail(bag.HOST_FACTS, str(error), expected))
        return None


def _is_too_large(name: str, data: bytes, limit_bytes: int, problems: Problems) -> bool:
    """Tell whether data is over a limit, and add that to the problems."""
    if len(data) <= limit_bytes:
        return False
    problems[LIMITS].append(fail(name, f"{len(data)} bytes", f"at most {limit_bytes} bytes"))
    return True


def _planned_requests(plan: Plan) -> int:
    passes = plan.warmup_passes + plan.measured_passes + plan.stream_passes
    return passes * len(plan.prompts)


def _records(data: bytes, validators: Validators, problems: Problems) -> tuple[Record, ...] | None:
    if _is_too_large(bag.RECORDS, data, RECORDS_LIMIT_BYTES, problems):
        return None
    count = data.count(b"\n")
    if count > RECORD_LIMIT:
        problems[LIMITS].append(fail(bag.RECORDS, f"{count} records", f"at most {RECORD_LIMIT}"))
        return None
    if data and not data.endswith(b"\n"):
        problems[CANONICAL].append(
            fail(bag.RECORDS, "the last line has no newline", "a newline after each record")
        )
    records, sizes = [], Sizes()
    for record in _each(data, validators, problems):
        records.append(record)
        too_much = None if record is None else sizes.add(record)
        if too_much is not None:
            problems[LIMITS].append(too_much)
            return None
    whole = tuple(filter(None, records))
    problems[ARRAYS] += answers.bad_arrays(whole)
    problems[ANSWER] += answers.incomplete(whole)
    return whole if len(whole) == len(records) else None


def _each(data: bytes, validators: Validators, problems: Problems) -> Iterator[Record | None]:
    """Yield each record, and None for one that something is wrong with."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    for number, line in enumerate(lines, start=1):
        yield _record(f"{bag.RECORDS}:{number}", line, validators, problems)


def _record(place: str, line: bytes, validators: Validators, problems: Problems) -> Record | None:
    if _is_too_large(place, line, LINE_LIMIT_BYTES, problems):
        return None
    return decoded(place, line + b"\n", _RECORD, lambda: validators.record, problems)


def _problems(check_id: str) -> Callable[[Submission], Sequence[Problem]]:
    return lambda submission: submission.reading.problems.get(check_id, ())


def _of_this_version(check_id: str, holds: str, hint: str) -> Check[Submission]:
    return Check(
        id=check_id,
        holds=holds,
        hint=hint,
        look=_problems(check_id),
        applies=lambda submission: not submission.reading.is_other_version,
    )


CHECKS: tuple[Check[Submission], ...] = (
    Check(
        id=VERSION,
        holds="the bundle has the schema version that this kit reads",
        hint="check the bundle with the version of the kit that made it",
        look=_problems(VERSION),
    ),
    _of_this_version(
        JSON,
        holds="`bundle.json` and every line of `records.jsonl` are JSON",
        hint="ask the sender for the original; a sealed bundle is never edited",
    ),
    _of_this_version(
        SHAPE,
        holds="`bundle.json` and every record match their JSON Schema: fields, types, ranges",
        hint="compare the file with the schemas in schemas/",
    ),
    _of_this_version(
        CANONICAL,
        holds="JSON is spelled canonically: sorted keys, no spaces, no repeated key, shortest "
        "numbers",
        hint="ask for the original: the kit writes canonical JSON, so another program wrote this",
    ),
    _of_this_version(
        LIMITS,
        holds="sizes and counts are within the limits of the format",
        hint="nothing that the kit runs comes near these limits; do not trust the bundle",
    ),
    _of_this_version(
        ARRAYS,
        holds="token ids are below 2^31; chunks arrive in order and before the response is "
        "complete",
        hint="ask for the original: the client writes no such arrays",
    ),
    _of_this_version(
        ANSWER,
        holds="a record without an error has usage, finish reason and text, and chunks if streamed",
        hint="ask for the original: the client marks an answer that lacks these as an error",
    ),
)
