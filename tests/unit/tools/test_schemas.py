"""The JSON Schemas are those of the types, and accept what the types write."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kit.bundle.document import Status
from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.check.finding import Finding, Outcome, Tier, Verdict
from kit.check.schema import LARGE_FIELDS
from kit.claims.verdict import as_document
from kit.format import canonical
from kit.plan.schedule import Phase
from kit.tools import schemas as generator
from tests.factory import ROOT, Settings, draft, judge, schemas

SCHEMAS = schemas()
CLOSED = ("bundle", "record", "reference", "telemetry")
"""Formats that are read back: an unknown field is an error in them."""

counts = st.integers(0, 2**31 - 1)
seconds = st.floats(0, 1e8)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
records = st.builds(
    Record,
    phase=st.sampled_from(Phase),
    pass_number=st.integers(0, 9999),
    prompt_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
    seed=counts,
    sent_s=seconds,
    wall_s=seconds,
    prompt_tokens=st.none() | counts,
    cached_tokens=st.none() | counts,
    completion_tokens=st.none() | counts,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    prompt_token_ids=st.none() | st.lists(counts).map(tuple),
    token_ids=st.none() | st.lists(counts).map(tuple),
    text=st.none() | texts,
    chunks=st.none() | st.lists(st.tuples(seconds, counts)).map(tuple),
    error=st.none() | st.sampled_from(ErrorCode),
)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_valid_and_stay_at_home(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:llm-serving-repro-kit:schema:{name}:1"
    references = [value for key, value in _walk(schema) if key == "$ref"]
    assert all(reference.startswith("#/$defs/") for reference in references)


def test_the_files_are_generated_from_the_types() -> None:
    written = {path.name: path.read_bytes() for path in (ROOT / "schemas").iterdir()}
    assert written == dict(generator.files()), "make pages"


@pytest.mark.parametrize("name", CLOSED)
def test_no_object_has_other_fields_and_none_is_null(name: str) -> None:
    for key, value in _walk(SCHEMAS[name]):
        if isinstance(value, dict) and "properties" in value:
            assert value["additionalProperties"] is False
        assert (key, value) != ("type", "null")


@pytest.mark.parametrize("name", SCHEMAS)
def test_patterns_are_those_of_every_language(name: str) -> None:
    patterns = [value for key, value in _walk(SCHEMAS[name]) if key == "pattern"]
    assert not any(r"\Z" in pattern for pattern in patterns if isinstance(pattern, str))


def test_a_line_feed_after_a_version_is_refused() -> None:
    pattern = SCHEMAS["bundle"]["properties"]["kit_version"]["pattern"]
    assert re.search(pattern, "0.1.0")
    assert not re.search(pattern, "0.1.0\n")


def test_lines_of_telemetry_pass_the_schema() -> None:
    validator = Draft202012Validator(SCHEMAS["telemetry"])
    told = draft(Settings(topology="tp2-pcie", model="moe")).telemetry
    assert told is not None
    for line in (told.header, told.samples[0], told.end):
        assert list(validator.iter_errors(msgspec.json.decode(canonical.encode(line)))) == []
    assert list(validator.iter_errors({"kind": "end", "t_s": 1.0})) != []


@given(record=records)
def test_a_record_of_the_type_passes_the_schema(record: Record) -> None:
    validator = Draft202012Validator(SCHEMAS["record"])
    assert list(validator.iter_errors(msgspec.json.decode(canonical.encode(record)))) == []


@pytest.mark.parametrize("settings", [Settings(), Settings(stop_after=2)])
def test_a_document_of_the_type_passes_the_schema(settings: Settings) -> None:
    validator = Draft202012Validator(SCHEMAS["bundle"])
    document = msgspec.json.decode(canonical.encode(draft(settings).document))
    assert list(validator.iter_errors(document)) == []


def test_a_verdict_passes_the_schema() -> None:
    failing = Finding(
        code="integrity-digest",
        tier=Tier.INTEGRITY,
        outcome=Outcome.FAIL,
        subject="\x1b[2J",
        observed="=1+1",
        expected="<b>",
        hint="",
    )
    verdicts = [
        judge(draft().seal()),
        judge({}),
        Verdict(path="x", id=None, status=Status.PARTIAL, findings=(failing,)),
    ]
    document = msgspec.json.decode(canonical.encode(as_document(verdicts)))
    validator = Draft202012Validator(SCHEMAS["verdict"])
    assert list(validator.iter_errors(document)) == []
    assert document["judged"] == []
    assert document["exit_code"] == 6
    assert [one["exit_code"] for one in document["bundles"]] == [0, 6, 6]
    assert {finding["bundle"] for finding in document["findings"]} == {"case", "x"}


def test_large_fields_are_fields_of_a_record() -> None:
    assert set(LARGE_FIELDS) <= set(SCHEMAS["record"]["properties"])


def _walk(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
