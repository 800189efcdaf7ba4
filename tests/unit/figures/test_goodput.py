"""Goodput: all objectives must hold for a request, and failures count against."""

import pytest

from kit.bundle.record import ErrorCode
from kit.figures.goodput import BadObjectives, goodput, is_good, parse
from kit.figures.window import Window
from tests.unit.figures.test_window import record

GOOD = record(0, 1.0, 1.5, 2.0, 2.5)  # first token after 0.5 s, then 0.5 s a token
WINDOW = Window(pass_number=1, start_s=0.5, end_s=10.5, tokens=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ttft=500ms", True),
        ("ttft=0.49s", False),
        ("tpot=500ms", True),
        ("tpot=499ms", False),
        ("e2e=1.5s", True),
        ("e2e=1.4s", False),
        ("ttft=1s,tpot=1s,e2e=2s", True),
        ("ttft=1s, tpot=20ms", False),
    ],
)
def test_every_objective_must_hold(text: str, expected: bool) -> None:
    assert is_good(GOOD, parse(text)) is expected


@pytest.mark.parametrize("text", ["", "ttft", "ttft=1", "ttft=1s,ttft=2s", "itl=1s", "ttft=-1s"])
def test_other_text_names_no_objectives(text: str) -> None:
    with pytest.raises(BadObjectives):
        parse(text)


def test_a_single_token_has_no_time_a_token() -> None:
    assert is_good(record(0, 1.0, 1.5), parse("tpot=1ms"))


def test_failures_count_against_and_what_the_window_cuts_off_does_not() -> None:
    failed = record(1, 1.0, 1.2, wall_s=0.5, error=ErrorCode.DISCONNECTED)
    cut_off = record(1, 9.0, 9.5, 12.0)
    found = goodput([GOOD, failed, cut_off], [WINDOW], parse("ttft=1s"))
    assert found is not None
    assert found.share == 0.5
    assert found.tokens_per_s == pytest.approx(3 / 10)


def test_without_a_request_in_a_window_there_is_none() -> None:
    assert goodput([GOOD], [], parse("ttft=1s")) is None
