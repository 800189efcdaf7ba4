"""Counters and histograms of a vLLM server, from its `/metrics` (Prometheus text format 0.0.4).

Of the few hundred lines that a server writes, only those of the samples named here are parsed.
"""

import io
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

GENERATION_TOKENS = "vllm:generation_tokens_total"
PROMPT_TOKENS = "vllm:prompt_tokens_total"
PREFIX_CACHE_HITS = "vllm:prefix_cache_hits_total"
FINISHED_GENERATION_TOKENS = "vllm:request_generation_tokens_sum"
FINISHED_PROMPT_TOKENS = "vllm:request_prompt_tokens_sum"
E2E_LATENCY_SUM = "vllm:e2e_request_latency_seconds_sum"
E2E_LATENCY_COUNT = "vllm:e2e_request_latency_seconds_count"
FIRST_TOKEN_SUM = "vllm:time_to_first_token_seconds_sum"
BETWEEN_TOKENS_SUM = "vllm:inter_token_latency_seconds_sum"
BETWEEN_TOKENS_COUNT = "vllm:inter_token_latency_seconds_count"
DECODE_SUM = "vllm:request_decode_time_seconds_sum"
QUEUE_SUM = "vllm:request_queue_time_seconds_sum"
PREFILL_SUM = "vllm:request_prefill_time_seconds_sum"
INFERENCE_SUM = "vllm:request_inference_time_seconds_sum"
BUDGETS_SUM = "vllm:request_params_max_tokens_sum"
HTTP_SUM = "http_request_duration_highr_seconds_sum"
HTTP_BY_HANDLER_SUM = "http_request_duration_seconds_sum"
"""One for each HTTP handler. It is absent before the first request, which counts as 0."""
HTTP_COUNT = "http_request_duration_highr_seconds_count"

STARTED = "vllm:generation_tokens_created"
"""UTC time at which the engine created its counters: identifies one start of a server."""

STEADY = (
    GENERATION_TOKENS,
    PROMPT_TOKENS,
    PREFIX_CACHE_HITS,
    FINISHED_GENERATION_TOKENS,
    FINISHED_PROMPT_TOKENS,
    E2E_LATENCY_SUM,
    E2E_LATENCY_COUNT,
    FIRST_TOKEN_SUM,
    BETWEEN_TOKENS_SUM,
    BETWEEN_TOKENS_COUNT,
    DECODE_SUM,
    PREFILL_SUM,
    INFERENCE_SUM,
    BUDGETS_SUM,
)
"""Samples that do not change while a vLLM 0.17 server is idle: the engine counts a response before
it is sent."""

COUNTERS = (*STEADY, QUEUE_SUM, HTTP_SUM, HTTP_COUNT, HTTP_BY_HANDLER_SUM, STARTED)
"""The samples that checks compare with the client's records. Those of HTTP are counted after a
response was sent (prometheus-fastapi-instrumentator), so they may lag by a moment."""

FINISHED = "vllm:request_success_total"
"""Finished requests, labelled with `finished_reason`."""

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
PREEMPTIONS = "vllm:num_preemptions_total"
KV_CACHE_RATIO = "vllm:kv_cache_usage_perc"
"""From 0 to 1, whatever its name says."""

LOAD = (RUNNING, WAITING, PREEMPTIONS, KV_CACHE_RATIO)
"""Gauges and a counter that tell how busy the server is."""

CACHE_CONFIG = "vllm:cache_config_info"
"""Its labels are the configuration of the KV cache."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) of each label."""

LINES_LIMIT = 1000
"""Lines of the samples that are read; each of a server's engines writes about 70."""

_NAMES = (*COUNTERS, FINISHED, CACHE_CONFIG)

_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_REST_OF_LINE = re.compile(
    rb"[ \t]*+"
    rb'(?P<labels>\{[^"}\n]*+(?:"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"[^"}\n]*+)*+\})?+[ \t]*+'
    rb"(?:(?<=[ \t}])(?P<value>"
    rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)(?=[ \t\r\n]|\Z))?"
)
"""What follows a name: labels with quoted values and a number; a timestamp may follow."""

_LABEL = re.compile(rb'[{,]([a-z_]{1,64})="([^"\\\n]{0,256})"')
_REASON = re.compile(rb'[{,]finished_reason="([a-z]{1,20})"')


class _Sample(NamedTuple):
    """One line: its labels in braces, and its value, NaN if it cannot be read."""

    labels: bytes
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks use of one exposition.

    `totals` are the values of `COUNTERS`, `finished` the requests by vLLM's finish reason (`stop`,
    `length`, ...). `served_name` is the served model name, empty if absent, and `cache_config` the
    labels of `CACHE_CONFIG`.
    """

    totals: Mapping[str, float]
    finished: Mapping[str, float]
    served_name: str
    cache_config: Labels


def read(exposition: bytes) -> Metrics:
    """Read an exposition; what is absent or cannot be read is empty."""
    samples = _samples(exposition, _NAMES)
    return Metrics(
        totals=_totals({name: samples[name] for name in COUNTERS}),
        finished=_by_label(samples[FINISHED], _REASON),
        served_name=dict(_first_labels(samples[STARTED])).get("model_name", ""),
        cache_config=_first_labels(samples[CACHE_CONFIG]),
    )


def totals(exposition: bytes, names: Collection[str]) -> dict[str, float]:
    """Return, for each sample in `names`, its sum over all label sets.

    A sample is absent if there is none, or if a value cannot be read or is not finite: half a sum
    would be a wrong figure.
    """
    return _totals(_samples(exposition, names))


def _samples(exposition: bytes, names: Collection[str]) -> defaultdict[str, list[_Sample]]:
    """Return the samples of these names; none at all if they take more than `LINES_LIMIT` lines.

    A line must begin with the name: the format allows blanks before it, and no server writes them.
    """
    encoded = {name.encode(): name for name in names}
    samples: defaultdict[str, list[_Sample]] = defaultdict(list)
    count = 0
    for line in io.BytesIO(exposition):
        match = _NAME.match(line)
        if match is None or match[0] not in encoded:
            continue
        count += 1
        if count > LINES_LIMIT:
            return defaultdict(list)
        rest = _REST_OF_LINE.match(line, match.end())
        assert rest is not None  # every part of it is optional
        sample = _Sample(rest["labels"] or b"", float(rest["value"] or math.nan))
        samples[encoded[match[0]]].append(sample)
    return samples


def _totals(samples: Mapping[str, Sequence[_Sample]]) -> dict[str, float]:
    sums = {name: sum(line.value for line in lines) for name, lines in samples.items() if lines}
    return {name: total for name, total in sums.items() if math.isfinite(total)}


def _by_label(samples: Iterable[_Sample], label: re.Pattern[bytes]) -> Mapping[str, float]:
    """Return sums by a label's value; empty if one is no count, for a part would be wrong."""
    counts: defaultdict[str, float] = defaultdict(float)
    for sample in samples:
        if match := label.search(sample.labels):
            counts[match[1].decode()] += sample.value
    return counts if all(0 <= count < math.inf for count in counts.values()) else {}


def _first_labels(samples: Sequence[_Sample]) -> Labels:
    return _labels(samples[0]) if samples else ()


def _labels(sample: _Sample) -> Labels:
    """Return (name, value) of each label, but of those whose value has an escape in it."""
    labels = _LABEL.findall(sample.labels)
    return tuple((name.decode(), value.decode("utf-8", "replace")) for name, value in labels)
