"""Goodput: what of a level's load is served as fast as somebody wants it to be."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kit.bundle.record import Record
from kit.figures.window import Window

ENOUGH = 0.95
"""The share of requests that a level must serve within its objectives to hold them."""

_UNITS = {"s": 1.0, "ms": 1e-3}
_TERM = re.compile(r"(?P<name>ttft|tpot|e2e)=(?P<value>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s)")


class BadObjectives(ValueError):
    """Text that does not name objectives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Objectives:
    """Service level objectives of one request, in seconds; None for one that is not set.

    `ttft_s`: to its first token. `tpot_s`: of each token after it, on average. `e2e_s`: to its end.
    """

    text: str
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Goodput:
    """The share of requests within all objectives, and the tok/s of these requests in a window."""

    share: float
    tokens_per_s: float


def parse(text: str) -> Objectives:
    """Read `ttft=1s,tpot=20ms`; raise `BadObjectives`."""
    limits_s: dict[str, float] = {}
    for term in text.split(","):
        match = _TERM.fullmatch(term.strip())
        if match is None or match["name"] in limits_s:
            raise BadObjectives(f"not an objective such as ttft=1s or tpot=20ms: {term!r}")
        limits_s[match["name"]] = float(match["value"]) * _UNITS[match["unit"]]
    return Objectives(
        text=text,
        ttft_s=limits_s.get("ttft"),
        tpot_s=limits_s.get("tpot"),
        e2e_s=limits_s.get("e2e"),
    )


def goodput(
    records: Iterable[Record], windows: Sequence[Window], objectives: Objectives
) -> Goodput | None:
    """Return the goodput of the requests that were sent and ended within a window.

    Failures count against; what the end of a window cuts off does not count. None without any.
    """
    within = [
        record
        for record in records
        if any(
            window.start_s <= record.sent_s and record.sent_s + record.wall_s <= window.end_s
            for window in windows
        )
    ]
    if not within:
        return None
    good = [record for record in within if is_good(record, objectives)]
    tokens = sum(record.completion_tokens or 0 for record in good)
    seconds = sum(window.end_s - window.start_s for window in windows)
    return Goodput(share=len(good) / len(within), tokens_per_s=tokens / seconds)


def is_good(record: Record, objectives: Objectives) -> bool:
    """Tell whether a request met every objective; one of a single token has no time a token."""
    arrivals = [at_s for at_s, tokens in record.chunks or () if tokens > 0]
    if record.error is not None or not arrivals:
        return False
    tokens = record.completion_tokens or 0
    pairs = (
        (arrivals[0], objectives.ttft_s),
        ((arrivals[-1] - arrivals[0]) / (tokens - 1) if tokens > 1 else 0.0, objectives.tpot_s),
        (record.wall_s, objectives.e2e_s),
    )
    return all(limit_s is None or observed_s <= limit_s for observed_s, limit_s in pairs)
