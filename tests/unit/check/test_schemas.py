"""The hand-written JSON Schemas and the types say the same."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kit.bundle.document import Document, Status
from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.bundle.telemetry import End, Header, Sample
from kit.check.finding import Finding, Outcome, Tier, Verdict
from kit.check.schema import LARGE_FIELDS
from kit.claims.audit.finding import AuditDocument
from kit.claims.reference import Reference
from kit.claims.verdict import VerdictDocument, as_document
from kit.format import canonical
from kit.plan.schedule import Phase
from tests.factory import Settings, draft, judge, schemas

SCHEMAS = schemas()
TYPES = {
    "audit": AuditDocument,
    "bundle": Document,
    "record": Record,
    "reference": Reference,
    "verdict": VerdictDocument,
}
LINES = {"facts": Header, "sample": Sample, "end": End}
"""The lines of telemetry, by what they say that they are."""

BOUNDED = ("bundle", "record")
"""Whose types stand in for the schema, so that their bounds must be the same."""

LENGTHS: dict[type[msgspec.inspect.Type], tuple[str, str]] = {
    msgspec.inspect.VarTupleType: ("minItems", "maxItems"),
    msgspec.inspect.DictType: ("minProperties", "maxProperties"),
}
"""The schema's words for the length of what is not a string."""

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


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_object_is_closed_and_every_field_described(name: str) -> None:
    for key, value in _walk(SCHEMAS[name]):
        if key == "properties":
            assert all("description" in _resolve(SCHEMAS[name], field) for field in value.values())
        if isinstance(value, dict) and "properties" in value:
            assert value["additionalProperties"] is False


@pytest.mark.parametrize("name", TYPES)
def test_types_and_schema_have_the_same_fields(name: str) -> None:
    _compare(msgspec.inspect.type_info(TYPES[name]), SCHEMAS[name], SCHEMAS[name], name)


@pytest.mark.parametrize("kind", LINES)
def test_lines_of_telemetry_and_their_schema_have_the_same_fields(kind: str) -> None:
    schema = SCHEMAS["telemetry"]
    assert {"$ref": f"#/$defs/{kind}"} in schema["oneOf"]
    assert schema["$defs"][kind]["properties"]["kind"]["const"] == kind
    _compare(msgspec.inspect.type_info(LINES[kind]), schema["$defs"][kind], schema, kind)


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


def _compare(
    kind: msgspec.inspect.Type, schema: Mapping[str, Any], root: Mapping[str, Any], place: str
) -> None:
    schema = _resolve(root, schema)
    match kind:
        case msgspec.inspect.UnionType():
            others = [one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)]
            if len(others) == 1:
                _compare(others[0], schema, root, place)
            else:
                _compare_tagged(others, schema, root, place)
        case msgspec.inspect.StructType() | msgspec.inspect.DataclassType():
            properties = schema["properties"]
            tag = {getattr(kind, "tag_field", None)} - {None}
            assert {field.encode_name for field in kind.fields} | tag == set(properties), place
            required = {field.encode_name for field in kind.fields if field.required}
            assert required | tag == set(schema["required"]), place
            for field in kind.fields:
                inner = f"{place}.{field.encode_name}"
                _compare(field.type, properties[field.encode_name], root, inner)
        case msgspec.inspect.VarTupleType():
            assert schema["type"] == "array", place
            _compare_bounds(kind, schema, place)
            _compare(kind.item_type, schema["items"], root, f"{place}[]")
        case msgspec.inspect.TupleType():
            assert schema["minItems"] == len(kind.item_types), place
            assert schema["items"] is False, place
            for item, inner in zip(kind.item_types, schema["prefixItems"], strict=True):
                _compare(item, inner, root, f"{place}[]")
        case msgspec.inspect.DictType():
            _compare_bounds(kind, schema, place)
            if "propertyNames" in schema:
                _compare(kind.key_type, schema["propertyNames"], root, f"{place} key")
            _compare(kind.value_type, schema["additionalProperties"], root, f"{place}{{}}")
        case _:
            _compare_leaf(kind, schema, place)


def _compare_tagged(
    kinds: Sequence[msgspec.inspect.Type],
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    place: str,
) -> None:
    """Compare structs that are told apart by their tags, each of the name of its definition."""
    by_tag = {kind.tag: kind for kind in kinds if isinstance(kind, msgspec.inspect.StructType)}
    assert {one["$ref"] for one in schema["oneOf"]} == {f"#/$defs/{tag}" for tag in by_tag}, place
    for tag, kind in by_tag.items():
        inner = root["$defs"][tag]
        assert inner["properties"][kind.tag_field]["const"] == tag, place
        _compare(kind, inner, root, f"{place}.{tag}")


def _compare_bounds(kind: msgspec.inspect.Type, schema: Mapping[str, Any], place: str) -> None:
    """Hold the bounds of a type against the schema's: what decodes is not asked of the schema."""
    whole, *fields = place.partition("[")[0].split(".")
    is_large = whole == "record" and bool(set(fields) & set(LARGE_FIELDS))
    if whole not in BOUNDED or (is_large and not isinstance(kind, msgspec.inspect.IntType)):
        return  # how long arrays and texts are, and when chunks came, code looks at
    lengths = LENGTHS.get(type(kind), ("minLength", "maxLength"))
    low, high = schema.get("minimum"), schema.get("maximum")
    pattern = schema.get("pattern")
    if "const" in schema:
        low = high = schema["const"]
    if "not" in schema:
        assert schema["not"] == {"pattern": r"\s"}, place
        pattern = pattern.removesuffix("$") + r"\Z"  # `$` also comes before a last line feed
    bounds = (
        ("ge", low),
        ("le", high),
        ("pattern", pattern),
        ("min_length", schema.get(lengths[0])),
        ("max_length", schema.get(lengths[1])),
    )
    for name, wanted in bounds:
        assert getattr(kind, name, None) == wanted, f"{place}: {name}"


def _compare_leaf(kind: msgspec.inspect.Type, schema: Mapping[str, Any], place: str) -> None:
    _compare_bounds(kind, schema, place)
    match kind:
        case msgspec.inspect.EnumType():
            assert set(schema["enum"]) - {None} == {one.value for one in kind.cls}, place
        case msgspec.inspect.IntType():
            assert schema["type"] == "integer", place
        case msgspec.inspect.FloatType():
            assert "number" in schema["type"], place
        case msgspec.inspect.BoolType():
            assert schema["type"] == "boolean", place
        case msgspec.inspect.StrType():
            assert "string" in schema["type"], place
        case _:
            raise AssertionError(f"{place}: {kind} is not compared")


def _resolve(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Follow one reference; a description beside it wins."""
    if "$ref" not in schema:
        return dict(schema)
    name = schema["$ref"].removeprefix("#/$defs/")
    return {**root["$defs"][name], **schema}


def _walk(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
