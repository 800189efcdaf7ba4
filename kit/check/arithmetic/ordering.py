"""What followed what, after how long, by which clock."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from kit.bundle.record import Record
from kit.check import clocks
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked, warn
from kit.check.evidence import ROUNDING_S, Evidence, span_s, subject_of
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase

TIMEOUT_TOLERANCE_S = 10.0
"""The client cuts a request at its timeout; on a starved host it comes to do so later."""

WAIT_S, BETWEEN_PASSES_S, HELD_UP_S = 0.02, 0.15, 0.6
"""What a client may spend without a request in flight, for each request, for each change of pass
(it reads the server's metrics twice), and once. On a host under load it was 0.1 to 0.5 s in all."""


def _overlaps(evidence: Evidence) -> Iterator[Problem]:
    for records in _by_sender(evidence.records):
        for earlier, later in pairwise(records):
            complete_s = earlier.sent_s + earlier.wall_s
            if later.sent_s < complete_s - ROUNDING_S:
                expected = f"{complete_s:.6f} s or later, when {subject_of(earlier)} was complete"
                yield fail(subject_of(later), f"sent at {later.sent_s} s", expected)


def _idle(evidence: Evidence) -> Iterator[Problem]:
    """Add up what lies between responses and next requests, from the first measured pass on.

    A shortened response leaves a gap behind it. A rehearsal has no figures.
    """
    passes = [pass_ for pass_ in evidence.passes if pass_.phase is Phase.MEASURED]
    changes = [
        following.records[0].sent_s - span_s(pass_.records)[1]
        for pass_, following in pairwise(evidence.passes)
        if Phase.MEASURED in (pass_.phase, following.phase)
    ]
    waits_s = [
        wait_s
        for pass_ in passes
        for records in _by_sender(pass_.records)
        for wait_s in _waits_s(records)
    ]
    waits_s += changes
    requests = sum(len(pass_.records) for pass_ in passes)
    allowed_s = HELD_UP_S + WAIT_S * requests + BETWEEN_PASSES_S * len(changes)
    if math.fsum(waits_s) > allowed_s:
        problem = warn if evidence.document.plan.rehearsal else fail
        observed = f"{math.fsum(waits_s):.3f} s without a request in flight, over measured passes"
        yield problem(BUNDLE, observed, f"{allowed_s:.3f} s at most")


def _by_sender(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield the records of each agent, or all where one client sends them all."""
    senders: dict[int | None, list[Record]] = {}
    for record in records:
        senders.setdefault(record.agent, []).append(record)
    yield from senders.values()


def _waits_s(records: Sequence[Record]) -> Iterator[float]:
    """Yield the seconds from each response to the next request."""
    for earlier, later in pairwise(records):
        yield later.sent_s - earlier.sent_s - earlier.wall_s


def _span(evidence: Evidence) -> Iterator[Problem]:
    end_s, timeout_s = evidence.document.clock.end_s, evidence.document.plan.timeout_s
    for record in evidence.records:
        complete_s = record.sent_s + record.wall_s
        if record.wall_s > timeout_s + TIMEOUT_TOLERANCE_S:
            yield fail(subject_of(record), f"{record.wall_s} s", f"{timeout_s} s, its timeout")
        if complete_s > end_s + ROUNDING_S:
            observed = f"complete at {complete_s:.6f} s"
            yield fail(subject_of(record), observed, f"within the run's {end_s} s")


def _clock(evidence: Evidence) -> Iterator[Problem]:
    clock = evidence.document.clock
    apart_s = clocks.utc_apart_s(clock)
    tolerance_s = clocks.TOLERANCE_S + clocks.TOLERANCE_RATIO * clock.end_s
    if math.isinf(apart_s):
        observed = f"{clock.start_utc} to {clock.end_utc}"
        yield fail(BUNDLE, observed, "dates and times of the UTC calendar")
    elif apart_s > tolerance_s:
        problem = warn if apart_s <= clocks.STEP_S + tolerance_s else fail
        observed = f"UTC and monotonic clock {apart_s:.3f} s apart after {clock.end_s:.3f} s"
        yield problem(BUNDLE, observed, f"{tolerance_s:.3f} s apart at most")


def _engine_start(evidence: Evidence) -> Iterator[Problem]:
    """Metrics of several engines have several start times, and none is after the first request.

    The host's clock may have been set back while the engine loaded.
    """
    started_s = {
        counters[vllm_metrics.STARTED]
        for counters in evidence.metrics.values()
        if vllm_metrics.STARTED in counters
    }
    if not started_s:
        yield unchecked(BUNDLE, "no metrics have its start time", vllm_metrics.STARTED)
        return
    if len(started_s) > 1:
        yield fail(BUNDLE, f"{len(started_s)} start times", "one, in all metrics")
    clock = evidence.document.clock
    first_s = min((record.sent_s for record in evidence.records), default=clock.end_s)
    late_s = max(started_s) - clocks.epoch_s(clock.start_utc) - first_s
    allowed_s = clocks.TOLERANCE_S + clocks.utc_apart_s(clock)
    if late_s > allowed_s:
        problem = warn if late_s <= clocks.STEP_S + allowed_s else fail
        yield problem(BUNDLE, f"started {late_s:.0f} s after the first request", "before it")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="arithmetic-overlap",
        holds="a client, or an agent, sends each request after its last response is complete",
        hint="do not use these figures: times were edited, or the client was not the kit's",
        look=_overlaps,
    ),
    Check(
        id="arithmetic-idle",
        holds="a client, or an agent, sends the next request as soon as a response is complete",
        hint="do not use these figures: responses were shortened, or the client was held up",
        look=_idle,
        applies=lambda evidence: evidence.is_own_engine,
    ),
    Check(
        id="arithmetic-span",
        holds="every response is complete before its timeout and before the run's end",
        hint="do not use these figures: the times do not fit into the run",
        look=_span,
    ),
    Check(
        id="arithmetic-clock",
        holds="the run took as long by the UTC clock as by the monotonic one",
        hint="the host's clock was set during the run; synchronise it, then measure again",
        look=_clock,
    ),
    Check(
        id="arithmetic-engine-start",
        holds="all metrics are of one engine, which started before the first request",
        hint="ask for the original: metrics of several engines, or of another run, were combined",
        look=_engine_start,
        applies=lambda evidence: evidence.is_own_engine,
    ),
)
