"""The arithmetic tier's look at moments: what followed what, after how long, by which clock."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from kit.bundle.record import Record
from kit.check import clocks
from kit.check.codes import Code
from kit.check.evidence import ROUNDING_S, Evidence, Pass, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, unchecked, warn
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase

TIMEOUT_TOLERANCE_S = 10.0
"""The client cuts a request at its timeout; on a starved host it comes to do so later."""

WAITING_S, BETWEEN_TWO_S, HELD_UP_S = 0.02, 0.15, 0.6
"""For each request, between two passes, and once: what it may spend so from the first measured pass
to the last in all, 0.1 to 0.5 s there. More would hide that responses were made shorter."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier."""
    yield from findings(Code.ARITHMETIC_OVERLAP, _overlaps(evidence))
    yield from findings(Code.ARITHMETIC_SPAN, _span(evidence))
    yield from findings(Code.ARITHMETIC_CLOCK, _clock(evidence))
    if evidence.is_own_engine:
        yield from findings(Code.ARITHMETIC_IDLE, _idle_in_all(evidence))
        yield from findings(Code.ARITHMETIC_ENGINE_START, _engine_start(evidence))


def _overlaps(evidence: Evidence) -> Iterator[Problem]:
    for earlier, later in pairwise(evidence.records):
        free_s = earlier.sent_s + earlier.wall_s
        if later.sent_s < free_s - ROUNDING_S:
            yield fail(
                subject_of(later),
                f"sent at {later.sent_s} s",
                f"not before {free_s:.6f} s, when {subject_of(earlier)} was complete",
            )


def _idle_in_all(evidence: Evidence) -> Iterator[Problem]:
    """Hold what was not spent on requests, from before the first measured pass until after."""
    beside = [
        pair for pair in pairwise(evidence.passes) if Phase.MEASURED in (one.phase for one in pair)
    ]
    measured = [one for one in evidence.passes if one.phase is Phase.MEASURED]
    waits_s = [wait_s for one in measured for wait_s in _waits_s(one.records)]
    waits_s += [_apart_s(*pair) for pair in beside]
    requests = sum(len(one.records) for one in measured)
    allowed_s = HELD_UP_S + WAITING_S * requests + BETWEEN_TWO_S * len(beside)
    if math.fsum(waits_s) > allowed_s:
        observed = f"{math.fsum(waits_s):.3f} s in which nothing was asked, in all measured passes"
        yield _grave(evidence)(BUNDLE, observed, f"{allowed_s:.3f} s at most")


def _grave(evidence: Evidence) -> Callable[[str, str, str], Problem]:
    """Return what a client that was held up comes to: of a rehearsal nobody shows figures."""
    return warn if evidence.document.plan.rehearsal else fail


def _apart_s(one: Pass, following: Pass) -> float:
    """Return the seconds from a pass's last response to the next pass's first request."""
    (wait_s,) = _waits_s((one.records[-1], following.records[0]))
    return wait_s


def _waits_s(records: Sequence[Record]) -> Iterator[float]:
    """Yield the seconds from each response to the next request."""
    for earlier, later in pairwise(records):
        yield later.sent_s - earlier.sent_s - earlier.wall_s


def _span(evidence: Evidence) -> Iterator[Problem]:
    end_s, timeout_s = evidence.document.clock.end_s, evidence.document.plan.timeout_s
    for record in evidence.records:
        if record.wall_s > timeout_s + TIMEOUT_TOLERANCE_S:
            yield fail(subject_of(record), f"{record.wall_s} s", f"{timeout_s} s, its timeout")
        if record.sent_s + record.wall_s > end_s + ROUNDING_S:
            yield fail(
                subject_of(record),
                f"complete at {record.sent_s + record.wall_s:.6f} s",
                f"within the run's {end_s} s",
            )


def _clock(evidence: Evidence) -> Iterator[Problem]:
    clock = evidence.document.clock
    apart_s = clocks.utc_apart_s(clock)
    tolerance_s = clocks.TOLERANCE_S + clocks.TOLERANCE_RATIO * clock.end_s
    if math.isinf(apart_s):
        observed = clip(f"{clock.start_utc} to {clock.end_utc}")
        yield fail(BUNDLE, observed, "dates and times of the UTC calendar")
    elif apart_s > tolerance_s:
        problem = warn if apart_s <= clocks.STEP_S + tolerance_s else fail
        observed = f"UTC and monotonic clock {apart_s:.3f} s apart after {clock.end_s:.3f} s"
        yield problem(BUNDLE, observed, f"{tolerance_s:.3f} s apart at most")


def _engine_start(evidence: Evidence) -> Iterator[Problem]:
    counted = evidence.metrics.values()
    told = {one[vllm_metrics.STARTED] for one in counted if vllm_metrics.STARTED in one}
    if not told:
        yield unchecked(BUNDLE, "no metrics tell when it started", vllm_metrics.STARTED)
        return
    if len(told) > 1:
        yield fail(BUNDLE, f"started at {len(told)} moments", "one, in all metrics")
    clock = evidence.document.clock
    first_s = min((record.sent_s for record in evidence.records), default=clock.end_s)
    late_s = max(told) - clocks.epoch_s(clock.start_utc) - first_s
    allowed_s = clocks.TOLERANCE_S + clocks.utc_apart_s(clock)
    if late_s > allowed_s:
        # The clock may have been set back while the engine loaded.
        problem = warn if late_s <= clocks.STEP_S + allowed_s else fail
        yield problem(BUNDLE, f"started {late_s:.0f} s after it was first asked", "before that")
