"""Whether a rate holds: the last part of a run that goes on for a time, beside the first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kit.bundle.record import Record
from kit.figures.intervals import FEWEST_PASSES
from kit.figures.throughput import Throughput
from kit.figures.window import Window

PART_S = 300.0
"""Five minutes; of a run of less than ten, its halves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sustained:
    """The windows' throughput in the first and in the last `part_s` of a run."""

    part_s: float
    first: Throughput
    last: Throughput

    @property
    def ratio(self) -> float:
        """The last part's tok/s over the first part's."""
        return self.last.tokens_per_s / self.first.tokens_per_s


def sustained(records: Sequence[Record], windows: Sequence[Window]) -> Sustained | None:
    """Compare the first part of the windows with the last; None where there are too few."""
    if len(windows) < FEWEST_PASSES:
        return None
    start_s, end_s = windows[0].start_s, windows[-1].end_s
    part_s = min(PART_S, (end_s - start_s) / 2)
    first = _between(records, windows, start_s, start_s + part_s)
    last = _between(records, windows, end_s - part_s, end_s)
    if not first.tokens or not last.tokens:
        return None
    return Sustained(part_s=part_s, first=first, last=last)


def _between(
    records: Sequence[Record], windows: Sequence[Window], start_s: float, end_s: float
) -> Throughput:
    """Return the throughput of the windows between two times."""
    spans = [
        (max(window.start_s, start_s), min(window.end_s, end_s))
        for window in windows
        if window.start_s < end_s and start_s < window.end_s
    ]
    tokens = sum(
        count
        for record in records
        for after_s, count in record.chunks or ()
        if any(low < record.sent_s + after_s <= high for low, high in spans)
    )
    return Throughput(tokens=tokens, seconds=math.fsum(high - low for low, high in spans))
