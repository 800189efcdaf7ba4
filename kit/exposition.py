"""Counters out of a Prometheus text exposition (format 0.0.4).

Only the samples asked for are read; the rest of a server's few hundred lines is skipped unparsed,
which is what lets a verifier read hundreds of bundles a second.
"""

import math
import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby, takewhile

GENERATION_TOKENS = "vllm:generation_tokens_total"
PROMPT_TOKENS = "vllm:prompt_tokens_total"
PREFIX_CACHE_HITS = "vllm:prefix_cache_hits_total"
FINISHED_GENERATION_TOKENS = "vllm:request_generation_tokens_sum"
FINISHED_PROMPT_TOKENS = "vllm:request_prompt_tokens_sum"
E2E_LATENCY_SUM = "vllm:e2e_request_latency_seconds_sum"
E2E_LATENCY_COUNT = "vllm:e2e_request_latency_seconds_count"
FIRST_TOKEN_SUM = "vllm:time_to_first_token_seconds_sum"
BETWEEN_TOKENS_SUM = "vllm:inter_token_latency_seconds_sum"
HTTP_SUM = "http_request_duration_highr_seconds_sum"
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
)
"""Samples of vLLM 0.17 that do not move while nothing is asked of it: the engine counts a response
before it is sent."""

WITNESSES = (*STEADY, HTTP_SUM, HTTP_COUNT, STARTED)
"""The samples that the checks hold against the client's records. Those of HTTP are counted once a
response has been sent (prometheus-fastapi-instrumentator), and so may come a moment late."""

LINE_LIMIT_BYTES = 4096
"""A sample's line; vLLM's longest takes about 200."""

LINES_LIMIT = 1000
"""Lines of the samples asked for; each of a server's engines has one of each."""

_VALUE = (
    r"[ \t]*+"
    r'(?:\{(?:[^"}\n]++|"(?:[^"\\\n]++|\\[^\n])*+")*+\}[ \t]*+|(?<=[ \t]))'
    r"(?P<value>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?=[ \t\r\n]|\Z)"
)
"""What follows a name: labels with quoted values, number; a timestamp or an exemplar may follow."""


def totals(exposition: bytes, names: Iterable[str]) -> dict[str, float]:
    """Return each named sample summed over its label sets; a sample that is not there is left out.

    So is one of which a line cannot be read, or holds a value that is not finite: half a sum would
    be a wrong figure, not an absent one. Of too many lines nothing is read.
    """
    found: dict[bytes, float] = {}
    for number, line in enumerate(_lines_of(tuple(names)).finditer(b"\n" + exposition)):
        if number == LINES_LIMIT:
            return {}
        name, value = line.groups()
        is_read = value is not None and line.end() - line.start() <= LINE_LIMIT_BYTES
        found[name] = found.get(name, 0.0) + (float(value) if is_read else math.nan)
    return {name.decode(): total for name, total in found.items() if math.isfinite(total)}


@cache
def _lines_of(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return what finds the lines that begin with one of these names, in one pass over a text."""
    either = _either(frozenset(names)) if names else "(?!)"
    end_of_name = r"(?=[ \t{\r\n]|\Z)"
    return re.compile(rf"\n[ \t]*+(?P<name>{either}){end_of_name}(?:{_VALUE})?[^\n]*+".encode())


def _either(names: frozenset[str]) -> str:
    """Return a pattern of all names that looks at what they have in common only once."""
    first, last = min(names), max(names)  # what these have in common, all between them have
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shared = "".join(letter for letter, _ in pairs)
    rests = {name.removeprefix(shared) for name in names}
    if rests == {""}:
        return re.escape(shared)
    by_letter = groupby(sorted(rests), key=lambda rest: rest[:1])
    branches = (_either(frozenset(group)) for _, group in by_letter)
    return f"{re.escape(shared)}(?:{'|'.join(branches)})"
