"""Edits of the metrics that a draft's server returned before and after each pass.

Each takes the draft first and changes it in place.
"""

import re
from collections.abc import Callable, Collection, Iterable
from itertools import accumulate

from kit.parse import vllm_metrics
from tests.factory import Draft

SUMS = frozenset(
    {
        vllm_metrics.E2E_LATENCY_SUM,
        vllm_metrics.FIRST_TOKEN_SUM,
        vllm_metrics.BETWEEN_TOKENS_SUM,
        vllm_metrics.DECODE_SUM,
        vllm_metrics.PREFILL_SUM,
        vllm_metrics.INFERENCE_SUM,
        vllm_metrics.HTTP_SUM,
        vllm_metrics.HTTP_BY_HANDLER_SUM,
    }
)
"""The metrics that add up seconds."""


def each_exposition(draft: Draft, change: Callable[[bytes], bytes]) -> None:
    """Change the metrics of every moment."""
    draft.metrics = {name: change(text) for name, text in draft.metrics.items()}


def edit_metrics(draft: Draft, old: bytes, new: bytes) -> None:
    """Replace some bytes, which the metrics of every moment must have."""
    assert all(old in text for text in draft.metrics.values())
    each_exposition(draft, lambda text: text.replace(old, new))


def append_metrics(draft: Draft, line: bytes, *, since: str) -> None:
    """Add a line to the metrics from one moment on, such as `measured-2-after`."""
    for moment in moments_since(draft, since):
        draft.metrics[moment] += line


def moments_since(draft: Draft, since: str) -> list[str]:
    """Return the names of one moment, such as `measured-2-after`, and of all later ones."""
    names = list(draft.metrics)
    return names[names.index(since) :]


def add_to_metric(draft: Draft, name: str, more: float, moments: Iterable[str]) -> None:
    """Add a number to a metric's samples at some moments."""
    for moment in moments:
        text = draft.metrics[moment]
        draft.metrics[moment] = _changed(text, {name}, lambda value: value + more)


def drop_metric(draft: Draft, name: str) -> None:
    """Remove every sample of a metric."""
    pattern = rb"(?m)^" + name.encode() + rb".*\n"
    each_exposition(draft, lambda text: re.sub(pattern, b"", text))


def divide_sums(draft: Draft, factor: float, sums: Collection[str] = SUMS) -> None:
    """Divide sums of seconds, or another metric, by a factor."""
    each_exposition(draft, lambda text: _changed(text, sums, lambda value: value / factor))


def _changed(text: bytes, names: Collection[str], change: Callable[[float], float]) -> bytes:
    lines = []
    for line in text.decode().splitlines():
        name, _, value = line.rpartition(" ")
        is_named = name.partition("{")[0] in names
        lines.append(f"{name} {change(float(value))}" if is_named else line)
    return ("\n".join(lines) + "\n").encode()


def recount_cache_hits(draft: Draft) -> None:
    """Let the counter of cache hits agree with the records, pass by pass."""
    passes = list(dict.fromkeys((record.phase, record.pass_number) for record in draft.records))
    hits = [
        sum(
            record.cached_tokens or 0
            for record in draft.records
            if (record.phase, record.pass_number) == key
        )
        for key in passes
    ]
    totals = list(accumulate(hits, initial=0))
    for (phase, number), before, after in zip(passes, totals, totals[1:], strict=False):
        for moment, total in (("before", before), ("after", after)):
            name = f"{phase.value}-{number}-{moment}"
            draft.metrics[name] = with_value(
                draft.metrics[name], vllm_metrics.PREFIX_CACHE_HITS, float(total)
            )


def with_value(text: bytes, name: str, value: float) -> bytes:
    """Return one moment's metrics with another value of one metric."""
    pattern = rf"(?m)^({name}\S*) .*$"
    return re.sub(pattern, rf"\g<1> {value}", text.decode()).encode()
