"""Counters out of a Prometheus text exposition (format 0.0.4).

Only the samples asked for are read; the rest of a server's few hundred lines is skipped unparsed,
which is what lets a verifier read hundreds of bundles a second.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeAlias, TypeVar

import msgspec
from ahocorasick_rs import BytesAhoCorasick, MatchKind

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
PREFILL_SUM = "vllm:request_prefill_time_seconds_sum"
INFERENCE_SUM = "vllm:request_inference_time_seconds_sum"
BUDGETS_SUM = "vllm:request_params_max_tokens_sum"
HTTP_SUM = "http_request_duration_highr_seconds_sum"
HTTP_BY_HANDLER_SUM = "http_request_duration_seconds_sum"
"""Of each handler that was asked: there is none before the first request, and that is 0."""
HTTP_COUNT = "http_request_duration_highr_seconds_count"

STARTED = "vllm:generation_tokens_created"
"""When the engine made its counters, by the UTC clock: no other start has made them just then."""

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
"""Samples of vLLM 0.17 that do not move while nothing is asked of it: the engine counts a response
before it is sent."""

WITNESSES = (*STEADY, HTTP_SUM, HTTP_COUNT, HTTP_BY_HANDLER_SUM, STARTED)
"""The samples that the checks hold against the client's records. Those of HTTP are counted once a
response has been sent (prometheus-fastapi-instrumentator), and so may come a moment late."""

FINISHED = "vllm:request_success_total"
"""Requests that went through, by why they ended."""

CACHE_CONFIG = "vllm:cache_config_info"
"""Its labels tell how the engine's KV cache was set up."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value) of each label."""

E2E_BOUNDS_S = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0, math.inf,
)  # fmt: skip
"""Upper bounds of the buckets that vLLM 0.17 counts requests in, by their latency from end to end
(vllm/v1/metrics/loggers.py)."""

_Of = TypeVar("_Of", str, float)

LINES_LIMIT = 1000
"""Lines of the samples asked for; each of a server's engines has one of each."""

_REST_OF_LINE = re.compile(
    rb"(?=[ \t{\r\n]|\Z)"  # where the name ends
    rb"(?:[ \t]*+"
    rb'(?:\{[^"}\n]*+(?:"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"[^"}\n]*+)*+\}[ \t]*+|(?<=[ \t]))'
    rb"([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)(?=[ \t\r\n]|\Z))?"
)
"""What follows a name: labels with quoted values, number; a timestamp or an exemplar may follow."""


_E2E = b"vllm:e2e_request_latency_seconds"
_GAPS = b"vllm:inter_token_latency_seconds"
_BUCKET = re.compile(rb'le="([0-9]{1,6}\.[0-9]{1,6}|\+Inf)"[^}\n]{0,256}\} ([0-9][0-9.e+]{0,20})\n')
_BUCKETS_LIMIT_BYTES = 16 * 2**10

_REASON = re.compile(
    rb'\n[a-z:_]{1,64}\{[^}\n]{0,256}finished_reason="([a-z]{1,20})"[^}\n]{0,256}\} '
    rb"([0-9][0-9.e+]{0,20})"
)
_FINISHED_LIMIT_BYTES = 4 * 2**10

_LABEL = re.compile(rb'[{,]([a-z_]{1,64})="([^"\\\n]{0,256})"')


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks read of an exposition.

    `totals` are those of `WITNESSES`, `latency_counts` the requests by `E2E_BOUNDS_S`, `gap_counts`
    the gaps between tokens up to each bound in seconds, and `finished` the requests by why they
    ended, in vLLM's words (`stop`, `length` and others);
    `served_name` is the name that the model is served under, empty if not told, and `cache_config`
    the labels of `CACHE_CONFIG`.
    """

    totals: Mapping[str, float]
    latency_counts: tuple[float, ...]
    gap_counts: Mapping[float, float]
    finished: Mapping[str, float]
    served_name: str
    cache_config: Labels


class Reader:
    """Reads a server's expositions, one after another.

    Between two passes nothing moves but what a server's process tells of itself, before all else:
    what follows is then the same, and not read twice.
    """

    def __init__(self) -> None:
        self._last: tuple[bytes, Told] | None = None

    def read(self, exposition: bytes) -> Told:
        """Return what an exposition tells."""
        rest = _without_process(exposition)
        if self._last is None or rest is None or rest != self._last[0]:
            told = _told(exposition)
            self._last = None if rest is None else (rest, told)
            return told
        return self._last[1]


def _without_process(exposition: bytes) -> bytes | None:
    """Return an exposition from the engine's first sample on; None if another is before it."""
    begun = exposition.find(b"\nvllm:")
    is_usual = exposition.startswith(b"#") and begun > 0
    return exposition[begun:] if is_usual and b"\nhttp_" not in exposition[:begun] else None


def _told(exposition: bytes) -> Told:
    return Told(
        totals=totals(exposition, WITNESSES),
        latency_counts=latency_counts(exposition),
        gap_counts=gap_counts(exposition),
        finished=finished(exposition),
        served_name=dict(labels(exposition, STARTED)).get("model_name", ""),
        cache_config=labels(exposition, CACHE_CONFIG),
    )


def totals(exposition: bytes, names: Iterable[str]) -> dict[str, float]:
    """Return, for each sample in `names`, its sum over all label sets; a missing one is absent.

    So is one of which a line cannot be read, or holds a value that is not finite: half a sum would
    be a wrong figure, not an absent one. Of too many lines nothing is read. A line begins with its
    sample's name, right after the line before: the format allows blanks, and no server writes them.
    """
    wanted = tuple(names)
    is_usual = exposition.startswith(b"#") and exposition.endswith(b"\n")
    lines = exposition if is_usual else b"\n%s\n" % exposition
    begun = _finder(wanted).find_matches_as_indexes(lines)
    if len(begun) > LINES_LIMIT:
        return {}
    found: defaultdict[str, float] = defaultdict(float)
    for number, _, end in begun:
        value = _value(lines[end : lines.index(b"\n", end)])
        if value is not None:
            found[wanted[number]] += value
    return {name: total for name, total in found.items() if math.isfinite(total)}


def labels(exposition: bytes, name: str) -> Labels:
    """Return the labels of the first sample of this name; none where there is no such sample.

    Values with an escape in them are left out: nothing that is asked for has any.
    """
    begun = exposition.find(b"\n%s{" % name.encode())
    end = exposition.find(b"\n", begun + 1)
    return () if begun < 0 or end < 0 else _labels(exposition[begun:end])


def _labels(line: bytes) -> Labels:
    return tuple(
        (name.decode(), value.decode("utf-8", "replace")) for name, value in _LABEL.findall(line)
    )


def finished(exposition: bytes) -> Mapping[str, float]:
    """Return how many requests ended by each reason; nothing of more lines than there are reasons.

    A comment follows the last of them.
    """
    begun = exposition.find(b"\n%s{" % FINISHED.encode())
    end = exposition.find(b"\n#", begun, begun + _FINISHED_LIMIT_BYTES)
    return _by_reason(exposition[begun:end]) if 0 <= begun < end else {}


def _by_reason(block: bytes) -> Mapping[str, float]:
    return _read((reason.decode(), count) for reason, count in _REASON.findall(block))


def latency_counts(exposition: bytes) -> tuple[float, ...]:
    """Return how many requests took no longer than each of `E2E_BOUNDS_S`; none if not told.

    Of more lines than a histogram has, or of other bounds, nothing is read.
    """
    told = _counts(_buckets(exposition, _E2E))
    return tuple(told.values()) if tuple(told) == E2E_BOUNDS_S else ()


def gap_counts(exposition: bytes) -> Mapping[float, float]:
    """Return how many gaps between tokens were no longer than each bound in seconds."""
    return _counts(_buckets(exposition, _GAPS))


def _buckets(exposition: bytes, name: bytes) -> bytes:
    """Return the lines of a histogram's buckets; none of more bytes than it can have."""
    begun = exposition.find(b"\n%s_bucket{" % name)
    end = exposition.find(b"\n%s_count" % name, begun, begun + _BUCKETS_LIMIT_BYTES) + 1
    return exposition[begun:end] if 0 <= begun < end else b""


def _counts(block: bytes) -> Mapping[float, float]:
    return _read((float(bound), count) for bound, count in _BUCKET.findall(block))


def _read(counts: Iterable[tuple[_Of, bytes]]) -> Mapping[_Of, float]:
    """Read counts, which are spelled `1e+06` from a million on; none if one of them is no count."""
    try:
        told = {of: float(count) for of, count in counts}
    except ValueError:
        return {}
    return told if all(map(math.isfinite, told.values())) else {}


def _value(rest: bytes) -> float | None:
    """Read what follows a name; NaN for what cannot be read, None if the name goes on."""
    read = _REST_OF_LINE.match(rest)
    return None if read is None else float(read[1] or math.nan)


@cache
def _finder(names: tuple[str, ...]) -> BytesAhoCorasick:
    """Return what finds lines by these names, in one pass; of names alike, by the longest."""
    return BytesAhoCorasick(
        [b"\n" + name.encode() for name in names], matchkind=MatchKind.LeftmostLongest
    )
