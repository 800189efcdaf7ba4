"""Canonical JSON: what is written reads back as itself, and nothing else is taken for it."""

import hashlib
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.format.canonical import NotCanonical, decode, decode_lines, digest, encode, encode_lines
from kit.plan.schedule import Phase

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
COUNTS = st.none() | st.integers(0, 2**31 - 1)
IDS = st.none() | st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)
SECONDS = st.floats(0, 1e6)
RECORDS = st.builds(
    Record,
    phase=st.sampled_from(Phase),
    pass_number=st.integers(0, 9999),
    prompt_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    seed=st.integers(0, 2**31 - 1),
    sent_s=SECONDS,
    wall_s=SECONDS,
    prompt_tokens=COUNTS,
    cached_tokens=COUNTS,
    completion_tokens=COUNTS,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    prompt_token_ids=IDS,
    token_ids=IDS,
    text=st.none() | TEXT,
    chunks=st.none() | st.lists(st.tuples(SECONDS, st.integers(0, 99)), max_size=3).map(tuple),
    error=st.none() | st.sampled_from(ErrorCode),
)
RECORD = Record(
    phase=Phase.MEASURED,
    pass_number=2,
    prompt_id="impl",
    seed=7,
    sent_s=5.0,
    wall_s=0.25,
    completion_tokens=3,
    text="é\u2028\x7f\n",
)


class Measure(msgspec.Struct):
    seconds: float


@given(VALUES)
def test_any_value_reads_back_as_itself(value: object) -> None:
    assert decode(encode(value), object) == value


@given(VALUES)
def test_another_parser_reads_the_same(value: object) -> None:
    assert json.loads(encode(value)) == value


@given(st.dictionaries(TEXT, st.integers(), max_size=6))
def test_the_order_of_insertion_does_not_show(value: dict[str, int]) -> None:
    assert encode(dict(reversed(value.items()))) == encode(value)


@given(FLOATS)
def test_a_float_keeps_every_bit(value: float) -> None:
    again = decode(encode(Measure(seconds=value)), Measure).seconds
    assert (again, math.copysign(1, again)) == (value, math.copysign(1, value))


@given(st.lists(RECORDS, max_size=4).map(tuple))
def test_records_read_back_as_themselves(records: tuple[Record, ...]) -> None:
    assert decode_lines(encode_lines(records), Record) == records


PROMPT = replace(RECORD, prompt_token_ids=(5, 12, 7), token_ids=(1, 2, 3))


@pytest.mark.parametrize(
    "ids",
    [
        b"null",
        b"5",
        b"[5,12,7",
        b"[5,12,7]]",
        b"[5, 12,7]",
        b"[5,12,7],",
        b"[5,12.0,7]",
        b"[5,012,7]",
        b"[-5,12,7]",
        b"[5,2147483648,7]",
        b'[5,"12",7]',
        b'[5,12,7],"prompt_token_ids":[5,12,7]',
        b"[" * 10_000 + b"]" * 10_000,
        b"[\xff]",
        b"",
    ],
)
def test_a_prompts_ids_in_another_spelling_are_not_read(ids: bytes) -> None:
    data = encode_lines((PROMPT, PROMPT)).replace(b"[5,12,7]", ids, 1)
    with pytest.raises(NotCanonical):
        decode_lines(data, Record)


@given(RECORDS, st.data())
def test_no_byte_of_a_record_can_be_dropped(record: Record, data: st.DataObject) -> None:
    line = encode(record)
    place = data.draw(st.integers(0, len(line) - 1))
    changed = line[:place] + line[place + 1 :]
    try:
        assert decode(changed, Record) != record
    except NotCanonical:
        assert changed != line


def test_the_spelling_of_a_record_is_pinned() -> None:
    assert encode(RECORD) == (
        b'{"completion_tokens":3,"pass":2,"phase":"measured","prompt_id":"impl","seed":7,'
        b'"sent_s":5.0,"text":"\xc3\xa9\xe2\x80\xa8\x7f\\n","wall_s":0.25}\n'
    )


def test_keys_are_sorted_as_another_tool_sorts_them() -> None:
    value = {"é": 1, "z": 2, "𝄞": 3, "a": {"b": 1, "B": 2}, "\uffff": 4}
    other = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert encode(value) == other.encode() + b"\n"


def test_digest_is_the_hash_of_the_line() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}\n').hexdigest()


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b'{"b":1,"a":2}\n', "canonical form"),
        (b'{"a":1,"a":1}\n', "canonical form"),
        (b'{"a": 1}\n', "canonical form"),
        (b'{"a":1}', "canonical form"),
        (b'{"a":1}\r\n', "canonical form"),
        (b'{"a":1}\n\n', "canonical form"),
        (b' {"a":1}\n', "canonical form"),
        (b'{"a":1}\n{"a":1}\n', "trailing"),
        (b'{"a":1}x\n', "trailing"),
        (b'"\\u0041"\n', "canonical form"),
        (b'"\\/"\n', "canonical form"),
        (b'"\\ud800"\n', "truncated"),
        (b'"\xff"\n', "(?i)utf-8"),
        (b"\xef\xbb\xbf1\n", "malformed"),
        (b"NaN\n", "malformed"),
        (b"-Infinity\n", "malformed"),
        (b"1e400\n", "out of range"),
        (b"-0\n", "canonical form"),
        (b"1.00\n", "canonical form"),
        (b"1E5\n", "canonical form"),
        (b"", "truncated"),
        (b"\n", "truncated"),
        (b"[" * 100_000, "recursion"),
        (b"[" * 5_000 + b"]" * 5_000 + b"\n", "recursion"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"\n", "recursion"),
    ],
)
def test_other_spellings_are_refused(data: bytes, because: str) -> None:
    with pytest.raises(NotCanonical, match=because):
        decode(data, object)


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_canonical(data: bytes) -> None:
    try:
        value = decode(data, object)
    except NotCanonical:
        return
    assert encode(value) == data


@pytest.mark.parametrize("depth", [10, 400, 700, 900, 990, 1000, 1010, 1100])
def test_no_depth_of_nesting_is_a_traceback(depth: int) -> None:
    """Reading and writing have limits of their own, and not the same one."""
    data = b"[" * depth + b"]" * depth + b"\n"
    try:
        value: Any = decode(data, object)
    except NotCanonical:
        return
    for _ in range(depth - 1):
        (value,) = value
    assert value == []


def test_a_whole_number_in_a_float_field_has_a_fraction() -> None:
    assert encode(Measure(seconds=5.0)) == b'{"seconds":5.0}\n'
    assert decode(b'{"seconds":5.0}\n', Measure) == Measure(seconds=5.0)
    with pytest.raises(NotCanonical):
        decode(b'{"seconds":5}\n', Measure)


def test_what_is_not_a_number_is_never_read_as_one() -> None:
    written = encode(Measure(seconds=math.nan))
    with pytest.raises(NotCanonical, match="float"):
        decode(written, Measure)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"pass":2', b'"pass":2.0'),
        (b'"pass":2', b'"pass":"2"'),
        (b'"pass":2', b'"pass":true'),
        (b'"pass":2', b'"pass":null'),
        (b'"pass":2', b'"pass_number":2'),
        (b'"measured"', b'"cooldown"'),
        (b'"wall_s":0.25', b'"wall_s":0.250'),
        (b'"wall_s":0.25', b'"wall_s":2.5e-1'),
        (b'"sent_s":5.0', b'"sent_s":5'),
        (b',"wall_s":0.25', b""),
        (b'"seed":7', b'"seed":7,"spin":1'),
        (b'{"completion', b'{"cached_tokens":null,"completion'),
        (b'"seed":7', b'"seed":7,"seed":7'),
        (b'"completion_tokens":3', b'"chunks":[[0.5,1,1]],"completion_tokens":3'),
        (b'"completion_tokens":3', b'"chunks":[[0.5,1.0]],"completion_tokens":3'),
    ],
)
def test_one_thing_wrong_in_a_record(old: bytes, new: bytes) -> None:
    good = encode(RECORD)
    assert good.count(old) == 1
    with pytest.raises(NotCanonical):
        decode(good.replace(old, new), Record)


def test_numbers_beyond_64_bits_keep_every_digit() -> None:
    assert decode(b"1" * 300 + b"\n", object) == int("1" * 300)


def test_lines_name_the_first_bad_one() -> None:
    good = encode(RECORD)
    with pytest.raises(NotCanonical, match="line 2: "):
        decode_lines(good + b"{}\n" + good, Record)
    with pytest.raises(NotCanonical, match="line 2: "):
        decode_lines(good + b"\n" + good, Record)
    with pytest.raises(NotCanonical, match="line 1: "):
        decode_lines(good.replace(b"\n", b"\r\n"), Record)
    with pytest.raises(NotCanonical, match="no newline"):
        decode_lines(good[:-1], Record)


def test_no_bytes_are_no_lines() -> None:
    assert decode_lines(b"", Record) == ()
    assert encode_lines([]) == b""
