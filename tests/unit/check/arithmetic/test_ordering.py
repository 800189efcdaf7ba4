"""Moments against moments: what followed what, and after how long."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.finding import Outcome
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase
from tests.factory import Draft, Settings, change_record, draft, judge, utc
from tests.settings import START

PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def _outcome(code: str, made: Draft) -> Outcome:
    """Return the outcome of a code's first finding."""
    found = judge(made.seal()).findings
    return next(finding.outcome for finding in found if finding.code == f"arithmetic-{code}")


@pytest.mark.parametrize(("late_s", "expected"), [(-1e-6, PASS), (-5e-6, FAIL), (1.0, PASS)])
def test_requests_may_touch_within_rounding(late_s: float, expected: Outcome) -> None:
    made = draft()
    earlier = made.records[-2]
    change_record(made, -1, sent_s=round(earlier.sent_s + earlier.wall_s + late_s, 6))
    assert _outcome("overlap", made) is expected


@pytest.mark.parametrize(("step_s", "expected"), [(0.0, PASS), (1.9, PASS), (-3.0, WARN)])
def test_a_step_of_the_clock_is_a_warning(step_s: float, expected: Outcome) -> None:
    made = draft()
    clock = made.document.clock
    made.document = replace(made.document, clock=replace(clock, end_utc=utc(clock.end_s + step_s)))
    assert _outcome("clock", made) is expected


def _later(made: Draft, phase: Phase, place: int, seconds: float) -> Draft:
    """Send one request of a phase later, and all that follow it."""
    first = [one.phase for one in made.records].index(phase) + place
    for position in range(first, len(made.records)):
        change_record(made, position, sent_s=made.records[position].sent_s + seconds)
    clock = made.document.clock
    end_s = clock.end_s + seconds
    made.document = replace(made.document, clock=replace(clock, end_s=end_s, end_utc=utc(end_s)))
    return made


@pytest.mark.parametrize(
    ("phase", "place", "seconds", "expected"),
    [
        (Phase.MEASURED, 0, 0.8, PASS),
        (Phase.MEASURED, 0, 1.8, FAIL),
        (Phase.MEASURED, 1, 0.8, PASS),
        (Phase.MEASURED, 1, 1.8, FAIL),
        (Phase.STREAM, 0, 0.8, PASS),
        (Phase.STREAM, 0, 1.8, FAIL),
        (Phase.STREAM, 1, 9.0, PASS),
        (Phase.WARMUP, 1, 9.0, PASS),
    ],
)
def test_a_client_may_be_held_up_for_a_moment(
    phase: Phase, place: int, seconds: float, expected: Outcome
) -> None:
    """Of what a host under load took, more than twice as much is allowed, and 0.6 s once."""
    assert _outcome("idle", _later(draft(), phase, place, seconds)) is expected


def test_between_warm_up_and_stream_nothing_was_measured() -> None:
    made = draft(Settings(passes=1))
    made.records = [one for one in made.records if one.phase is not Phase.MEASURED]
    assert _outcome("idle", _later(made, Phase.STREAM, 0, 9.0)) is PASS


def test_an_endpoint_may_be_asked_at_leisure() -> None:
    made = _later(draft(Settings(runtime=Runtime.ENDPOINT)), Phase.MEASURED, 1, 60)
    codes = {one.code for one in judge(made.seal()).findings}
    assert codes.isdisjoint({"arithmetic-idle", "arithmetic-engine-start"})


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [
        (-3e6, PASS),
        (-1e6, PASS),
        (-1.0, PASS),
        (1.9, PASS),
        (9.0, WARN),
        (1001.0, WARN),
        (1003.0, FAIL),
    ],
)
def test_an_engine_may_have_started_long_before(late_s: float, expected: Outcome) -> None:
    """Or seem to have started later, where its clock was set back while it loaded."""
    made = draft()
    moment_s = START.timestamp() + made.records[0].sent_s + late_s
    for name, text in made.metrics.items():
        told = vllm_metrics.totals(text, [vllm_metrics.STARTED])[vllm_metrics.STARTED]
        made.metrics[name] = text.replace(f"{told!r}".encode(), f"{moment_s!r}".encode())
    assert _outcome("engine-start", made) is expected


def test_metrics_that_tell_no_start_are_of_no_engine_that_is_known() -> None:
    made = draft()
    made.metrics = {
        name: text.replace(vllm_metrics.STARTED.encode(), b"vllm:other_created")
        for name, text in made.metrics.items()
    }
    assert _outcome("engine-start", made) is UNCHECKED
