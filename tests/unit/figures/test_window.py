"""The steady window: from when all agents have a first token until fewer requests are left."""

import pytest

from kit.bundle.record import ErrorCode, Record
from kit.figures.window import swarm, windows_of
from kit.plan.schedule import Phase


def record(
    agent: int,
    sent_s: float,
    *arrivals_s: float,
    wall_s: float | None = None,
    error: ErrorCode | None = None,
) -> Record:
    """Return a request whose tokens arrived at these seconds of the run, one a chunk."""
    end_s = arrivals_s[-1] if wall_s is None else sent_s + wall_s
    return Record(
        phase=Phase.MEASURED,
        pass_number=1,
        prompt_id=f"{agent}-{sent_s}",
        seed=1,
        agent=agent,
        sent_s=sent_s,
        wall_s=end_s - sent_s,
        completion_tokens=len(arrivals_s),
        chunks=tuple((at_s - sent_s, 1) for at_s in arrivals_s),
        error=error,
    )


TWO = (
    record(0, 0.0, 1.0, 2.0, 3.0),
    record(1, 0.0, 1.5, 2.5, 3.5),
    record(0, 3.0, 4.0, 5.0, 6.0),
    record(1, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5),
)


def test_the_window_begins_with_the_last_agents_first_token_and_ends_when_one_is_idle() -> None:
    (window,) = windows_of(TWO, agents=2)
    assert (window.start_s, window.end_s) == (1.5, 6.0)
    assert window.tokens == 9  # 2.0 2.5 3.0 3.5 4.0 4.5 5.0 5.5 6.0, and not the one at 1.5
    assert window.throughput.tokens_per_s == pytest.approx(9 / 4.5)


def test_tokens_count_by_their_arrival() -> None:
    (window,) = windows_of(TWO, agents=2)
    arrivals = [one.sent_s + at_s for one in TWO for at_s, _ in one.chunks or ()]
    assert window.tokens == sum(window.start_s < at_s <= window.end_s for at_s in arrivals)


def test_one_agent_alone_has_a_window_up_to_its_last_token() -> None:
    (window,) = windows_of([one for one in TWO if one.agent == 0], agents=1)
    assert (window.start_s, window.end_s, window.tokens) == (1.0, 6.0, 5)


def test_fewer_requests_than_agents_have_none() -> None:
    assert list(windows_of(TWO, agents=5)) == []


def test_only_requests_that_lie_in_a_window_speak_for_the_speed_of_one() -> None:
    figures = swarm(TWO, agents=2)
    assert figures is not None
    assert figures.request_rates == (pytest.approx(3 / 3.0),)
    assert figures.agent_rates == (pytest.approx(1.0),)
    assert figures.in_flight == pytest.approx((3.0 + 3.5 + 3.0 + 5.0) / 8.5)


def test_failed_requests_are_counted_and_have_no_rate() -> None:
    failed = record(0, 3.0, 4.0, wall_s=3.0, error=ErrorCode.DISCONNECTED)
    figures = swarm((TWO[0], TWO[1], failed, TWO[3]), agents=2)
    assert figures is not None
    assert (figures.requests, figures.failed_requests, figures.request_rates) == (4, 1, ())
    assert figures.fairness is None
