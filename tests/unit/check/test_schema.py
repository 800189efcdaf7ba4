"""Shape and spelling: versions, lines, and what a tier above gets to see."""

import subprocess
import sys
import tracemalloc

import pytest
from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.limits import LINE_LIMIT_BYTES
from kit.bundle.record import Record
from kit.check import answers, schema
from kit.check.check import SHOWN
from kit.check.finding import Finding, Outcome, Verdict
from kit.format import canonical
from kit.plan.schedule import Phase
from tests.factory import ROOT, draft, judge


def _only(verdict: Verdict, code: str) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.code == code]


@pytest.mark.parametrize(
    ("version", "observed", "hint"),
    [
        (b"2", "schema version 2 (newer)", "use kit 0.1.0 or newer"),
        (b"0", "schema version 0 (older)", "use kit 0.1.0, which made the bundle"),
    ],
)
def test_another_version_is_told_with_the_kit_to_use(
    version: bytes, observed: str, hint: str
) -> None:
    files = draft().seal()
    old = files[bag.DOCUMENT]
    files[bag.DOCUMENT] = old.replace(b'"schema_version":1', b'"schema_version":' + version)
    verdict = judge(files)
    (finding,) = _only(verdict, "schema-version")
    assert (finding.observed, finding.hint) == (observed, hint)
    assert _only(verdict, "schema-shape") == []
    assert _only(verdict, "protocol-tier")[0].outcome is Outcome.COULD_NOT_CHECK


def test_a_bad_line_is_named_by_its_number() -> None:
    files = draft().seal()
    lines = files[bag.RECORDS].split(b"\n")
    lines[2] = b"{"
    files[bag.RECORDS] = b"\n".join(lines)
    verdict = judge(files)
    assert [found.subject for found in _only(verdict, "schema-json")] == ["data/records.jsonl:3"]
    assert _only(verdict, "arithmetic-tier")[0].outcome is Outcome.COULD_NOT_CHECK
    assert _only(verdict, "arithmetic-overlap") == []


def test_one_bad_line_does_not_stop_the_rest() -> None:
    files = draft().seal()
    files[bag.RECORDS] = b"{\n" * 50
    assert len(_only(judge(files), "schema-json")) == SHOWN + 1


def test_records_are_read_although_the_document_is_not() -> None:
    files = draft().seal()
    files[bag.DOCUMENT] = b"{}\n"
    verdict = judge(files)
    assert verdict.status is None
    assert "required property" in _only(verdict, "schema-shape")[0].observed
    assert _only(verdict, "schema-arrays")[0].outcome is Outcome.PASS


def test_a_long_hostile_value_is_cut() -> None:
    files = draft().seal()
    huge = b'"status":"' + b"x" * 10_000 + b'"'
    files[bag.DOCUMENT] = files[bag.DOCUMENT].replace(b'"status":"complete"', huge)
    assert all(len(found.observed) <= 200 for found in judge(files).findings)


def test_importing_the_checks_does_not_import_json_schema() -> None:
    """`kit --help` answers in a quarter of a second; jsonschema alone takes most of that."""
    code = (
        "import sys, kit.check.verify;"
        "sys.exit('jsonschema' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_record_longer_than_any_response_is_not_decoded() -> None:
    files = draft().seal()
    files[bag.RECORDS] += b'{"text":"' + b"x" * LINE_LIMIT_BYTES + b'"}\n'
    found = [one.code for one in judge(files).findings if one.outcome is Outcome.FAIL]
    assert "schema-limits" in found


def _with_records(*records: Record) -> Verdict:
    return judge({**draft().seal(), bag.RECORDS: canonical.encode_lines(records)})


def _failed(verdict: Verdict) -> set[str]:
    return {one.code for one in verdict.findings if one.outcome is Outcome.FAIL}


STREAMED = next(one for one in draft().records if one.phase is Phase.STREAM)


@pytest.mark.parametrize("records", [1, 11])
def test_chunks_are_counted_over_all_records(records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHUNK_LIMIT", 100 * records - 1)
    one = replace(STREAMED, chunks=((0.0, 1),) * 100)
    verdict = _with_records(*[one] * records)
    (found,) = _only(verdict, "schema-limits")
    assert found.observed.startswith("more chunks")
    (tier,) = _only(verdict, "physics-tier")
    assert tier.outcome is Outcome.COULD_NOT_CHECK  # nothing that takes long is asked of them
    assert "schema-limits" not in _failed(_with_records(*[one] * (records - 1)))


def test_token_ids_are_counted_over_all_records(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(draft().records[0], prompt_token_ids=(1,) * 60, token_ids=(2,) * 40)
    monkeypatch.setattr(answers, "TOKEN_ID_LIMIT", 299)
    (found,) = _only(_with_records(one, one, one), "schema-limits")
    assert found.observed.startswith("more token ids")
    assert "schema-limits" not in _failed(_with_records(one, one))


def test_an_array_of_ids_has_the_limit_of_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ARRAY_LIMIT", 99)
    one = draft().records[0]
    for field in ("prompt_token_ids", "token_ids"):
        (found,) = _only(_with_records(replace(one, **{field: (1,) * 100})), "schema-limits")
        assert found.observed.startswith("more token ids in one array")


def test_records_are_given_up_where_there_are_too_many_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever comes after them is not decoded: sixty megabytes of chunks take a gigabyte."""
    monkeypatch.setattr(schema, "LINE_LIMIT_BYTES", 2**20)
    monkeypatch.setattr(answers, "CHUNK_LIMIT", 100_000)
    one = replace(STREAMED, chunks=((0.0, 1),) * 50_000)
    files = {**draft().seal(), bag.RECORDS: canonical.encode_lines([one] * 100)}
    tracemalloc.start()
    try:
        verdict = judge(files)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "schema-limits" in _failed(verdict)
    assert peak_bytes < 3 * 50_000 * 130 + 2 * len(files[bag.RECORDS])
