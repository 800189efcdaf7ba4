"""Any byte matters, and nothing that a bundle holds makes the verifier raise."""

import functools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.bundle import bag
from kit.check.finding import Outcome, Verdict
from kit.check.refusal import Refusal
from kit.check.verify import verify
from kit.errors import ExitCode
from tests.factory import KNOWN, Settings, draft, judge
from tests.fake_server import QUEUED_S

GOOD = draft(Settings(passes=1)).seal()
GPU = Settings(passes=1, topology="tp2-pcie", model="moe")
NAMES = sorted(GOOD)
PARSED = (bag.DOCUMENT, bag.RECORDS)

places = st.tuples(st.sampled_from(NAMES), st.floats(0, 1, exclude_max=True))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(place=places, value=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_seen(place: tuple[str, float], value: int) -> None:
    name, position = _position(place)
    data = bytearray(GOOD[name])
    data[position] ^= value
    assert _judge_with(name, bytes(data)).exit_code is ExitCode.BUNDLE_INVALID


@given(place=places)
@settings(max_examples=100, deadline=None)
def test_a_removed_byte_is_seen(place: tuple[str, float]) -> None:
    name, position = _position(place)
    data = GOOD[name][:position] + GOOD[name][position + 1 :]
    assert _judge_with(name, data).exit_code is ExitCode.BUNDLE_INVALID


@given(place=places, value=st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_an_inserted_byte_is_seen(place: tuple[str, float], value: int) -> None:
    name, position = _position(place)
    data = GOOD[name][:position] + bytes([value]) + GOOD[name][position:]
    assert _judge_with(name, data).exit_code is ExitCode.BUNDLE_INVALID


@pytest.mark.parametrize("name", NAMES)
def test_an_emptied_or_missing_file_is_seen(name: str) -> None:
    assert _judge_with(name, b"").exit_code is ExitCode.BUNDLE_INVALID
    rest = {key: data for key, data in GOOD.items() if key != name}
    assert judge(rest).exit_code is ExitCode.BUNDLE_INVALID


@given(name=st.sampled_from(NAMES), data=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_garbage_in_a_file_never_raises(name: str, data: bytes) -> None:
    assert _judge_with(name, data).exit_code is ExitCode.BUNDLE_INVALID


@given(name=st.sampled_from(PARSED), value=json_values)
@settings(max_examples=150, deadline=None)
def test_any_json_in_a_file_never_raises(name: str, value: object) -> None:
    assert _judge_with(name, json.dumps(value).encode()).exit_code is ExitCode.BUNDLE_INVALID


@given(data=st.data(), value=json_values)
@settings(max_examples=200, deadline=None)
def test_any_json_in_a_field_never_raises(data: st.DataObject, value: object) -> None:
    """The hashes fit: what is looked at is how far a hostile value gets."""
    document = json.loads(GOOD[bag.DOCUMENT])
    holder = data.draw(st.sampled_from([document, document["plan"], document["clock"]]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    payload = {name: text for name, text in GOOD.items() if name.startswith("data/")}
    payload[bag.DOCUMENT] = json.dumps(document, sort_keys=True).encode()
    manifest = bag.manifest_of(payload)
    assert judge({**GOOD, **payload, bag.MANIFEST: manifest}).id == bag.identifier(manifest)


@given(text=st.text())
@settings(max_examples=150, deadline=None)
def test_any_exposition_never_raises(text: str) -> None:
    made = draft(Settings(passes=1))
    made.metrics["measured-1-after"] = text.encode("utf-8", "replace")
    assert judge(made.seal()).exit_code is ExitCode.BUNDLE_INVALID


@given(log=st.sampled_from(["server_log", "nccl_log"]), text=st.binary())
@settings(max_examples=100, deadline=None)
def test_any_log_never_raises(log: str, text: bytes) -> None:
    made = draft(GPU)
    setattr(made, log, text)
    # Invalid where the text tells, as of a request that was answered, what the records do not.
    assert judge(made.seal()).exit_code in (ExitCode.DONE, ExitCode.BUNDLE_INVALID)


@given(text=st.binary())
@settings(max_examples=100, deadline=None)
def test_any_telemetry_never_raises(text: bytes) -> None:
    files = draft(GPU).seal()
    payload = {name: data for name, data in files.items() if name.startswith("data/")}
    payload[bag.TELEMETRY] = bag.compress(text)
    failed = judge(bag.seal(payload)).findings
    assert [one.code for one in failed if one.outcome is Outcome.FAIL] == ["topology-telemetry"]


@given(
    place=st.sampled_from([b'"t_s":0.0', b'"index":0', b'"interval_s":0.1', b'"power_w":349.25']),
    value=json_values,
)
@settings(max_examples=150, deadline=None)
def test_any_value_in_telemetry_never_raises(place: bytes, value: object) -> None:
    made = draft(GPU)
    assert made.telemetry is not None
    files = made.seal()
    text = bag.inflate(files[bag.TELEMETRY])
    assert place in text
    name = place.partition(b":")[0]
    changed = text.replace(place, name + b":" + json.dumps(value).encode(), 1)
    payload = {name: data for name, data in files.items() if name.startswith("data/")}
    payload[bag.TELEMETRY] = bag.compress(changed)
    assert judge(bag.seal(payload)).id is not None


@pytest.mark.parametrize("value", ["1e308", "-1e308", "NaN", "+Inf", "x", "", "1_0", "0x1p3"])
@pytest.mark.parametrize("counter", ["generation_tokens_total", "e2e_request_latency_seconds_sum"])
def test_odd_counter_values_never_pass(counter: str, value: str) -> None:
    made = draft(Settings(passes=1))
    line = f'vllm:{counter}{{engine="1"}} {value}\n'.encode()
    text = made.metrics["measured-1-after"]
    kept = b"".join(row for row in text.splitlines(True) if counter.encode() not in row)
    made.metrics["measured-1-after"] = kept + line + line
    assert judge(made.seal()).exit_code is ExitCode.BUNDLE_INVALID


@given(name=st.text(st.characters(), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_file_name_never_raises(name: str) -> None:
    prefixed = verify("case", {**GOOD, f"data/{name}": b"x"}, (), KNOWN).verdict
    assert prefixed.exit_code is ExitCode.BUNDLE_INVALID
    assert (
        verify("case", GOOD, [Refusal(name=name, reason=name)], KNOWN).verdict.exit_code
        is ExitCode.BUNDLE_INVALID
    )


@functools.cache
def _good_exit_code() -> ExitCode:
    return judge(GOOD).exit_code


def test_the_bundle_that_these_tests_change_is_good() -> None:
    assert _good_exit_code() is ExitCode.DONE


def _position(place: tuple[str, float]) -> tuple[str, int]:
    name, share = place
    return name, int(share * len(GOOD[name]))


def _judge_with(name: str, data: bytes) -> Verdict:
    return judge({**GOOD, name: data})


def test_a_bundle_says_how_long_requests_waited_in_the_servers_queue() -> None:
    bundle = verify("case", GOOD, (), KNOWN).bundle
    assert bundle is not None
    assert bundle.queued_s == pytest.approx(QUEUED_S)
