"""Time to first token and inter-token latency of streamed responses."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from kit.bundle.record import Chunk, Record
from kit.plan.schedule import Phase

P90_SAMPLES, P99_SAMPLES = 64, 662
"""The fewest for 99 % confidence (MLPerf, `docs/early_stopping.md` of mlcommons/endpoints)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencySummary:
    """Seconds: arithmetic mean, median, 90th and 99th percentile (linear interpolation).

    A percentile is None where there are too few samples for 99 % confidence in it.
    """

    mean_s: float
    median_s: float
    p90_s: float | None
    p99_s: float | None


def times_to_first_token(records: Iterable[Record]) -> tuple[float, ...]:
    """Return, for each streamed request, the seconds from sending to the first token."""
    return tuple(arrivals[0][0] for arrivals in _token_arrivals(records))


def inter_token_latencies(records: Iterable[Record]) -> tuple[float, ...]:
    """Return the seconds between tokens; the gap before a chunk of k tokens is divided by k."""
    return tuple(
        (later - earlier) / tokens
        for arrivals in _token_arrivals(records)
        for (earlier, _), (later, tokens) in pairwise(arrivals)
        for _ in range(tokens)
    )


def latency_summary(seconds: Sequence[float]) -> LatencySummary | None:
    """Summarise latencies; None if there are none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return LatencySummary(
        mean_s=fmean(ordered),
        median_s=_quantile(ordered, 0.5),
        p90_s=_quantile(ordered, 0.9) if len(ordered) >= P90_SAMPLES else None,
        p99_s=_quantile(ordered, 0.99) if len(ordered) >= P99_SAMPLES else None,
    )


def geometric_mean(seconds: Sequence[float]) -> float:
    """Return the geometric mean of positive latencies, in seconds."""
    return math.exp(fmean(map(math.log, seconds)))


def _token_arrivals(records: Iterable[Record]) -> Iterator[Sequence[Chunk]]:
    for record in records:
        if record.phase is not Phase.WARMUP and record.error is None:
            arrivals = [chunk for chunk in record.chunks or () if chunk[1] > 0]
            if arrivals:
                yield arrivals


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
