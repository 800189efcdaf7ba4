"""Counters out of a Prometheus text exposition (format 0.0.4).

Only the samples asked for are read; the rest of a server's few hundred lines is skipped unparsed,
which is what lets a verifier read hundreds of bundles a second.
"""

import math
import re
from collections.abc import Iterable, Iterator

GENERATION_TOKENS = "vllm:generation_tokens_total"
PROMPT_TOKENS = "vllm:prompt_tokens_total"
PREFIX_CACHE_HITS = "vllm:prefix_cache_hits_total"
E2E_LATENCY_SUM = "vllm:e2e_request_latency_seconds_sum"
E2E_LATENCY_COUNT = "vllm:e2e_request_latency_seconds_count"

WITNESSES = (
    GENERATION_TOKENS,
    PROMPT_TOKENS,
    PREFIX_CACHE_HITS,
    E2E_LATENCY_SUM,
    E2E_LATENCY_COUNT,
)
"""The samples of vLLM 0.17 that the checks hold against the client's records."""


LINE_LIMIT_BYTES = 4096
"""A sample's line; vLLM's longest takes about 200."""

_SAMPLE = re.compile(
    rb"[ \t]*[^ \t{]+[ \t]*"
    rb'(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}[ \t]*|[ \t])'
    rb"(?P<value>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?:[ \t\r]|$)"
)
"""Name, labels with quoted values, number; a timestamp or an exemplar may follow."""

_AFTER_A_NAME = (b"", b"\n", b"\r", b" ", b"\t", b"{")


def totals(exposition: bytes, names: Iterable[str]) -> dict[str, float]:
    """Return each named sample summed over its label sets; a sample that is not there is left out.

    So is one of which a line cannot be read, or holds a value that is not finite: half a sum would
    be a wrong figure, not an absent one.
    """
    found: dict[str, float] = {}
    for name in names:
        for line in _lines_of(name.encode(), exposition):
            found[name] = found.get(name, 0.0) + _value(line)
    return {name: total for name, total in found.items() if math.isfinite(total)}


def _lines_of(name: bytes, exposition: bytes) -> Iterator[bytes]:
    """Yield the lines that begin with a sample's name; `find` passes over all others at once."""
    end = 0
    while (place := exposition.find(name, end)) >= 0:
        start = exposition.rfind(b"\n", end, place) + 1 or end
        after = exposition[place + len(name) : place + len(name) + 1]
        end = exposition.find(b"\n", place)
        end = len(exposition) if end < 0 else end
        if not exposition[start:place].strip(b" \t") and after in _AFTER_A_NAME:
            yield exposition[start:end]


def _value(line: bytes) -> float:
    """Return a sample's value, NaN where it cannot be read."""
    sample = _SAMPLE.match(line) if len(line) <= LINE_LIMIT_BYTES else None
    return float(sample["value"]) if sample else math.nan
