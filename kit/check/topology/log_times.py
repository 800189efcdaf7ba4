"""What times and rates the server's log bears, held against the records of a run that went through.

Times are by a clock of some time zone, to a second. Zones differ by whole quarters of an hour, so
that what is known of a moment is where it lies within one; lines follow each other.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from kit.bundle.bag import SERVER_LOG
from kit.bundle.record import Record
from kit.check import clocks
from kit.check.evidence import Evidence, span_s, subject_of
from kit.check.problem import Problem, fail, unchecked
from kit.parse.vllm_log import ServerLog
from kit.plan.schedule import Phase

QUARTER_S = 900

STALL_S = 5
"""What a busy host may hold a line up by, or a client."""

INTERVAL_S = 10
"""vLLM tells its throughput each ten seconds in which it has any (`VLLM_LOG_STATS_INTERVAL`): what
it tells is of that long, or of all the time since it told the last."""

MISSED_S = 60
"""Of silence, after which the log tells too little: it is silent while it reads a prompt."""

LEAST_RATIO = 0.01
"""Of the fewest tokens that the log can tell: it waits its whole interval before each line."""

TOLD_RATIO = 0.05
"""Of the tokens that the log tells: its seconds are whole, and its rates have one decimal."""


def problems(evidence: Evidence, log: ServerLog) -> Iterator[Problem]:
    """Yield where the log was written at other times than the records, or tells other rates.

    Nothing is said of a host whose clock was set in mid-run, of which the arithmetic tier tells,
    nor where lines may lie a quarter of an hour apart.
    """
    longest_s = _longest_s(evidence.records)
    if clocks.utc_apart_s(evidence.document.clock) > clocks.TOLERANCE_S:
        yield unchecked(SERVER_LOG, "the host's clock was set in mid-run", "times of this run")
        return
    if longest_s > QUARTER_S - 2 * STALL_S:
        observed = f"{longest_s:.0f} s in which no request began or ended"
        yield unchecked(SERVER_LOG, observed, "lines that follow each other sooner")
        return
    yield from _throughput(evidence, log.throughput)
    if len(log.completed) == len(evidence.answered):
        yield from _completed(evidence, log.completed)


def _completed(evidence: Evidence, completed: Sequence[str]) -> Iterator[Problem]:
    """Hold when the server answered each request: a streamed one when it begins to, or later."""
    for record, at_s in zip(evidence.answered, _placed(evidence, completed), strict=True):
        end_s = record.sent_s + record.wall_s
        begin_s = record.sent_s if record.phase is Phase.STREAM else end_s
        if not begin_s - STALL_S <= at_s <= end_s + STALL_S:
            observed = f"answered after {at_s:.0f} s, by the server's log"
            yield fail(subject_of(record), observed, f"after {end_s:.0f} s, when it was complete")


def _throughput(evidence: Evidence, told: Sequence[tuple[str, float]]) -> Iterator[Problem]:
    """Hold the tokens that the log tells of against the records.

    At each line no fewer than those of responses that were complete, no more than of those begun.
    """
    start_s, end_s = span_s(evidence.records)
    moments_s = [start_s, *_placed(evidence, [moment for moment, _ in told]), end_s]
    longest_s = max(later_s - one_s for one_s, later_s in pairwise(moments_s))
    if longest_s > MISSED_S:
        observed = f"the log tells no throughput for {longest_s:.0f} s"
        yield unchecked(SERVER_LOG, observed, "a line each ten seconds")
    begun = _Tokens((one.sent_s, one) for one in evidence.answered)
    done = _Tokens((one.sent_s + one.wall_s, one) for one in evidence.answered)
    last_s, at_least, at_most = start_s, 0.0, 0.0
    for number, (at_s, (_, rate)) in enumerate(zip(moments_s[1:-1], told, strict=True), start=1):
        at_least += rate * min(INTERVAL_S, at_s - last_s if number > 1 else INTERVAL_S)
        at_most += rate * max(INTERVAL_S, at_s - last_s)
        last_s = at_s
        uncertain = TOLD_RATIO * at_most + rate + number
        rounded = LEAST_RATIO * at_least + number
        least, most = done.until(at_s - STALL_S), begun.until(at_s + STALL_S)
        if at_most < least - uncertain or at_least > most + rounded:
            observed = f"{at_least:.0f} to {at_most:.0f} tokens in the first {at_s - start_s:.0f} s"
            yield fail(SERVER_LOG, f"{observed}, by the log", f"{least} to {most}, by the records")
            return
        if rate and at_s - INTERVAL_S > end_s + STALL_S:
            observed = f"{rate:g} tokens/s at {at_s:.0f} s, by the log"
            yield fail(SERVER_LOG, observed, f"none after {end_s:.0f} s, the last response")
            return


def _longest_s(records: Sequence[Record]) -> float:
    """Return the longest time in which no request was sent or done."""
    moments_s = sorted(at_s for one in records for at_s in (one.sent_s, one.sent_s + one.wall_s))
    return max((later_s - one_s for one_s, later_s in pairwise(moments_s)), default=0.0)


class _Tokens:
    """How many tokens records have, up to a moment."""

    def __init__(self, moments: Iterable[tuple[float, Record]]) -> None:
        ordered = sorted((at_s, record.completion_tokens or 0) for at_s, record in moments)
        self._at_s = [at_s for at_s, _ in ordered]
        self._sums = [0, *accumulate(tokens for _, tokens in ordered)]

    def until(self, at_s: float) -> int:
        return self._sums[bisect_right(self._at_s, at_s)]


def _placed(evidence: Evidence, moments: Iterable[str]) -> Iterator[float]:
    """Yield the seconds from the run's start at which lines were written, one after another."""
    start_s = clocks.epoch_s(evidence.document.clock.start_utc)
    earliest_s = span_s(evidence.records)[0]
    for moment in moments:
        minutes, seconds = int(moment[9:11]), int(moment[12:14])
        earliest_s -= STALL_S
        earliest_s += (60 * minutes + seconds - start_s - earliest_s) % QUARTER_S
        yield earliest_s
