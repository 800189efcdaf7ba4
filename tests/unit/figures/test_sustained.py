"""The last part of a run beside the first."""

import pytest

from kit.bundle.record import Record
from kit.figures.sustained import sustained
from kit.figures.window import windows_of
from kit.plan.schedule import Phase


def response(number: int, sent_s: float, gap_s: float) -> Record:
    """Return a response of 100 tokens that come at equal distances."""
    return Record(
        phase=Phase.MEASURED,
        pass_number=number,
        prompt_id="a",
        seed=1,
        agent=0,
        sent_s=sent_s,
        wall_s=100 * gap_s,
        completion_tokens=100,
        chunks=tuple(((position + 1) * gap_s, 1) for position in range(100)),
    )


def test_a_run_that_slows_down_is_told() -> None:
    """Eleven minutes at 1 token a second, then eleven at half that."""
    records = [response(number, 100.0 * number, 1.0) for number in range(7)]
    records += [response(7 + number, 700 + 200.0 * number, 2.0) for number in range(4)]
    found = sustained(records, tuple(windows_of(records, 1)))
    assert found is not None
    assert found.part_s == 300.0
    assert found.first.tokens_per_s == pytest.approx(1.0, rel=0.01)
    assert found.ratio == pytest.approx(0.5, rel=0.02)


def test_of_a_short_run_the_halves_are_compared() -> None:
    records = [response(number, 100.0 * number, 1.0) for number in range(4)]
    found = sustained(records, tuple(windows_of(records, 1)))
    assert found is not None
    assert found.part_s == pytest.approx(199.5)
    assert found.ratio == pytest.approx(1.0, rel=0.02)


def test_two_windows_are_too_few() -> None:
    records = [response(number, 100.0 * number, 1.0) for number in range(2)]
    assert sustained(records, tuple(windows_of(records, 1))) is None
