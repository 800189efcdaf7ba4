"""Timings that chance does not give are named, and honest ones never, however quiet the machine.

The ways to make them up are in `tests/cases/times.py` and `chunks.py`.
"""

import random
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.finding import Outcome
from kit.plan.plan import Dialect, ProtocolName
from kit.plan.schedule import Phase
from tests.factory import Draft, Settings, change_record, draft, judge

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
CODES = ("resolution", "repeats")
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False, passes=5)


def outcome(made: Draft, name: str) -> Outcome:
    """Return the outcome of a code's first finding."""
    found = judge(made.seal()).findings
    return next(one.outcome for one in found if one.code == f"arithmetic-{name}")


def timed(durations_s: Sequence[float]) -> Draft:
    """Return a run whose measured requests took this long; nothing else of it need hold."""
    made = draft(OPENAI)
    measured = [at for at, one in enumerate(made.records) if one.phase is Phase.MEASURED]
    for position, wall_s in zip(measured, durations_s, strict=True):
        change_record(made, position, wall_s=round(wall_s, 6))
    return made


def streamed(arrivals_s: Sequence[float]) -> Draft:
    """Return a run whose streamed responses came in these chunks."""
    made = draft(OPENAI)
    for position, record in enumerate(made.records):
        if record.chunks:
            chunks = tuple((round(at_s, 6), 1) for at_s in arrivals_s)
            made.records[position] = replace(record, chunks=chunks)
    return made


@pytest.mark.parametrize("seed", range(20))
def test_the_quietest_machine_is_not_accused(seed: int) -> None:
    """Requests that scatter by 0.1 ms, of one length and one pace; no real ones are so even."""
    dice = random.Random(seed)
    made = timed([0.5 + dice.gauss(0, 1e-4) for _ in range(15)])
    assert [outcome(made, name) for name in CODES] == [PASS] * 2


def test_chunks_that_were_read_at_once_are_not_made_up() -> None:
    """A proxy may hold a response back: all chunks then come together, in every response."""
    for arrivals_s in ([0.15] * 8, [0.15 + 1e-6 * number for number in range(8)]):
        made = streamed(arrivals_s)
        assert [outcome(made, name) for name in CODES] == [PASS] * 2


def test_a_few_round_times_are_chance_and_all_of_them_are_not() -> None:
    dice = random.Random(7)
    durations_s = [round(0.5 + dice.gauss(0, 1e-3), 6) for _ in range(15)]
    rounded_s = [round(wall_s, 5) for wall_s in durations_s]
    assert outcome(timed([*rounded_s[:4], *durations_s[4:]]), "resolution") is PASS
    made = timed(rounded_s)
    for position, record in enumerate(made.records):
        change_record(made, position, wall_s=round(record.wall_s, 5))
    assert outcome(made, "resolution") is FAIL


@pytest.mark.parametrize("at_s", [1e308, -1e308])
def test_a_time_beyond_all_bounds_is_not_counted(at_s: float) -> None:
    made = streamed([at_s] * 8)
    assert outcome(made, "resolution") is PASS


@pytest.mark.parametrize(("copies", "expected"), [(0, PASS), (7, PASS), (8, FAIL), (14, FAIL)])
def test_half_of_the_durations_may_be_equal_and_no_more(copies: int, expected: Outcome) -> None:
    dice = random.Random(3)
    durations_s = [0.5 + dice.gauss(0, 1e-3) for _ in range(15)]
    equal_s = [durations_s[copies] if at < copies else one for at, one in enumerate(durations_s)]
    made = timed(equal_s[::3] + equal_s[1::3] + equal_s[2::3])  # so that no pass is a copy
    assert outcome(made, "repeats") is expected


def test_a_warm_up_sold_as_a_pass_is_a_repetition_too() -> None:
    made = draft(OPENAI)
    for position in range(3):
        change_record(made, position + 3, wall_s=made.records[position].wall_s)
    assert outcome(made, "repeats") is FAIL


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_few_requests_cannot_be_checked(stop_after: int) -> None:
    made = draft(Settings(stop_after=stop_after))
    assert [outcome(made, name) for name in CODES] == [UNCHECKED] * 2


def test_a_single_pass_is_too_few_to_tell_repetition_from_chance() -> None:
    made = draft(Settings(protocol=ProtocolName.ARTICLE, passes=1))
    assert outcome(made, "repeats") is UNCHECKED
