"""Metrics, read from what vLLM prints and from what no server should print."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.parse import vllm_metrics
from kit.parse.vllm_metrics import COUNTERS, read, totals

# As vLLM 0.17 prints it, shortened.
VLLM = b"""\
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{implementation="CPython",major="3",minor="11",version="3.11.7"} 1.0
# HELP process_virtual_memory_bytes Virtual memory size in bytes.
# TYPE process_virtual_memory_bytes gauge
process_virtual_memory_bytes 2.936930304e+09
# HELP vllm:prefix_cache_hits_total Prefix cache hits, in terms of number of cached tokens.
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="moe-mini"} 0.0
# TYPE vllm:prefix_cache_hits_created gauge
vllm:prefix_cache_hits_created{engine="0",model_name="moe-mini"} 1.7954764458876543e+09
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
vllm:prompt_tokens_total{engine="0",model_name="moe-mini"} 535.0
vllm:prompt_tokens_created{engine="0",model_name="moe-mini"} 1.7954764458878787e+09
vllm:prompt_tokens_by_source_total{engine="0",model_name="moe-mini",source="local_compute"} 535.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="moe-mini"} 960.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="moe-mini"} 5.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="moe-mini"} 5.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="moe-mini"} 15.137533187866211
"""


def one(text: bytes) -> float | None:
    return totals(text, ["tokens_total"]).get("tokens_total")


def test_what_vllm_prints() -> None:
    assert totals(VLLM, COUNTERS) == {
        vllm_metrics.GENERATION_TOKENS: 960.0,
        vllm_metrics.PROMPT_TOKENS: 535.0,
        vllm_metrics.PREFIX_CACHE_HITS: 0.0,
        vllm_metrics.E2E_LATENCY_SUM: 15.137533187866211,
        vllm_metrics.E2E_LATENCY_COUNT: 5.0,
    }


def test_a_sample_without_labels() -> None:
    name = "process_virtual_memory_bytes"
    assert totals(VLLM, [name]) == {name: 2936930304.0}


def test_what_is_not_there_is_not_zero() -> None:
    assert totals(VLLM, ["vllm:generation_tokens"]) == {}
    assert totals(b"", COUNTERS) == {}
    assert totals(VLLM, []) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"tokens_total 5", 5.0),
        (b"tokens_total\t5\r\n", 5.0),
        (b"tokens_total   5   1700000000000  ", 5.0),
        (b"tokens_total{} 5", 5.0),
        (b"tokens_total{}5", 5.0),
        (b'tokens_total {a="b"} 5', 5.0),
        (b'tokens_total{a="b",} 5 1700000000000', 5.0),
        (b'tokens_total{a="b c"} 5', 5.0),
        (b'tokens_total{a="{b}",c="}"} 5', 5.0),
        (b'tokens_total{a="} 7"} 5', 5.0),
        (b'tokens_total{a="\\"} 7\\""} 5', 5.0),
        (b'tokens_total{a="\\\\"} 5', 5.0),
        ('tokens_total{a="é"} 5'.encode(), 5.0),
        (b'tokens_total{a="b"} 5 # {trace="x"} 0.7 1700000000', 5.0),
        (b"tokens_total -5", -5.0),
        (b"tokens_total +.5e+1", 5.0),
        (b"tokens_total 5.", 5.0),
        (b"tokens_total 5E0", 5.0),
        (b"tokens_total 0", 0.0),
    ],
)
def test_one_line(text: bytes, value: float) -> None:
    assert one(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"# tokens_total 5",
        b"#tokens_total 5",
        b"tokens_total",
        b"tokens_total ",
        b"tokens_total{} ",
        b"tokens_total NaN",
        b"tokens_total +Inf",
        b"tokens_total -inf",
        b"tokens_total 1e999",
        b"tokens_total 1_000",
        b"tokens_total 0x10",
        b"tokens_total five",
        b"tokens_total 5tokens",
        b'tokens_total{a="b" 5',
        b'tokens_total{a="b} 5',
        b"tokens_total\xa05",
        b"tokens_totals 5",
        b"tokens_total_created 5",
        b"my_tokens_total 5",
        b"  tokens_total 5",
        b"tokens 5",
        b"tokens_total:rate 5",
        b"TOKENS_TOTAL 5",
    ],
)
def test_lines_that_say_nothing_of_it(text: bytes) -> None:
    assert one(text) is None


def test_label_sets_are_summed() -> None:
    assert one(b'tokens_total{e="0"} 5\nother 9\ntokens_total{e="1"} 7\n') == 12.0


@pytest.mark.parametrize("bad", [b"NaN", b"Inf", b"what", b""])
def test_half_a_sum_is_not_a_total(bad: bytes) -> None:
    assert one(b'tokens_total{e="0"} 5\ntokens_total{e="1"} ' + bad) is None


def test_a_sum_beyond_all_numbers_is_not_there() -> None:
    assert one(b'tokens_total{e="0"} 1e308\ntokens_total{e="1"} 1e308') is None


@given(st.binary(max_size=200))
def test_garbage_never_raises(garbage: bytes) -> None:
    assert one(garbage.replace(b"\n", b"") + b"\ntokens_total 5\n" + garbage[:0]) in (5.0, None)
    assert totals(garbage, ["x"]).keys() <= {"x"}


@given(st.binary(max_size=60).filter(lambda garbage: b"\n" not in garbage))
def test_garbage_behind_the_name_is_a_finite_number_or_nothing(garbage: bytes) -> None:
    value = one(b"tokens_total " + garbage)
    assert value is None or abs(value) < float("inf")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert one(f'tokens_total{{a="b"}} {value!r}\n'.encode()) == value


@pytest.mark.parametrize(("lines", "total"), [(1000, 5000.0), (1001, None)])
def test_nothing_is_read_of_too_many_lines(lines: int, total: float | None) -> None:
    assert one(b'tokens_total{e="0"} 5\n' * lines) == total


@pytest.mark.parametrize("piece", [b"tokens_total ", b"tokens_total{", b'tokens_total{a="'])
def test_a_long_line_takes_no_more_for_each_byte(piece: bytes) -> None:
    """With work that grows as the square of its length, this line would take an hour."""
    assert one(piece * 300_000) is None


def test_a_name_that_another_begins_with_is_told_apart() -> None:
    text = b"a 1\nab 2\nabc 3\nabd 4\nb 5\n"
    assert totals(text, ["a", "ab", "abc", "b"]) == {"a": 1.0, "ab": 2.0, "abc": 3.0, "b": 5.0}
    assert totals(text, ["abd"]) == {"abd": 4.0}


CONFIG = b"""# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="32",cache_dtype="auto",cpu_offload_params="set()"} 1.0
vllm:cache_config_info{block_size="64"} 1.0
"""


def test_labels_are_those_of_the_first_sample() -> None:
    expected = (("block_size", "32"), ("cache_dtype", "auto"), ("cpu_offload_params", "set()"))
    assert read(CONFIG).cache_config == expected
    assert read(CONFIG.replace(b"config_info", b"config")).cache_config == ()
    assert read(b"").cache_config == ()
    assert read(CONFIG[: CONFIG.index(b"32")]).cache_config == ()


def test_the_served_name_is_a_label_of_the_counters() -> None:
    line = b'vllm:generation_tokens_created{engine="0",model_name="moe-mini"} 1.79e+09\n'
    assert read(line).served_name == "moe-mini"
    assert read(VLLM).served_name == ""


@given(st.binary(max_size=200))
def test_anything_can_be_read(text: bytes) -> None:
    for name in (vllm_metrics.FINISHED, vllm_metrics.CACHE_CONFIG):
        metrics = read(name.encode() + b"{" + text)
        assert all(isinstance(word, str) for pair in metrics.cache_config for word in pair)
        assert all(0 <= count < math.inf for count in metrics.finished.values())


FINISHED = b"""# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="mini"} 1.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="mini"} 10.0
# HELP vllm:request_success_created Count of successfully processed requests.
vllm:request_success_created{engine="0",finished_reason="stop",model_name="mini"} 1.79e+09
"""


def test_requests_are_counted_by_their_finish_reason() -> None:
    assert read(FINISHED).finished == {"stop": 1.0, "length": 10.0}
    assert read(FINISHED + FINISHED.replace(b'"0"', b'"1"')).finished == {"stop": 2, "length": 20}


@pytest.mark.parametrize("count", [b"1.0.0", b"1e", b"1e999", b"1e+0+6", b"-1.0"])
def test_a_distribution_with_an_unreadable_count_is_empty(count: bytes) -> None:
    """A part of a distribution would be a wrong one."""
    assert read(FINISHED.replace(b" 10.0", b" " + count)).finished == {}
