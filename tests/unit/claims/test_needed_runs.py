"""The advice on inconclusive claims: monotone, right, and given where nothing would decide."""

import math
import random
import re
from statistics import variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.claims.estimate import Estimate, Repetitions, half_width, sampled
from kit.claims.formula import CellName
from kit.claims.needed_runs import advice
from kit.figures.intervals import Spread

CELL = CellName("moe", "tp1")


def cell(deviation: float, passes: int = 5, starts: int = 1, value: float = 100.0) -> Estimate:
    """Return an estimate of a cell whose rates have this standard deviation, in proportion."""
    spread = Spread(variance=deviation**2 / passes, degrees=passes - 1)
    return sampled(Repetitions(cell=CELL, name="", spread=spread, starts=starts), value)


def test_too_few_passes_come_first() -> None:
    lacking = Repetitions(cell=CELL, name="", spread=None, starts=1)
    text = advice(sampled(lacking, 100.0), (90.0, 110.0), 0.0, 0.013)
    assert text.startswith("measure 3 passes or more")


def test_scattering_passes_ask_for_more_passes() -> None:
    text = advice(cell(0.05), (97.0, 103.0), 0.0, 0.013)
    match = re.match(r"(\d+) passes of each cell, in place of 5$", text)
    assert match is not None
    enough = int(match[1])
    assert (half_width(cell(0.05, enough)) or 1) <= math.log(100 / 97)
    assert (half_width(cell(0.05, enough - 1)) or 1) > math.log(103 / 100)


def test_a_spread_below_that_of_restarts_asks_for_starts() -> None:
    text = advice(cell(0.002), (99.0, 101.0), 0.0, 0.013)
    match = re.match(r"about (\d+) starts of the engine", text)
    assert match is not None
    assert 5 <= int(match[1]) <= 12


def test_a_published_figure_that_is_too_noisy_is_said_to_be() -> None:
    text = advice(cell(0.002), (98.0, 102.0), 0.03, 0.013)
    assert text.startswith("no measurement can decide it")
    assert "3.0%" in text


def test_a_value_on_its_bound_is_never_decided() -> None:
    assert advice(cell(0.01), (None, 100.0), 0.0, 0.013).startswith("no measurement")
    far = advice(cell(0.01), (None, 100.02), 0.0, 0.013)
    assert far == "more than 200 starts of the engine for each cell"


@given(bound=st.floats(100.5, 130.0), deviation=st.floats(0.001, 0.2))
def test_there_is_always_an_answer(bound: float, deviation: float) -> None:
    text = advice(cell(deviation), (None, bound), 0.0, 0.013)
    assert re.search(r"passes|starts|no measurement", text)


def test_so_many_starts_do_decide() -> None:
    """Draw as many starts as were asked for: their interval is narrow enough about every time."""
    noise, bound = random.Random(1), 101.0
    text = advice(cell(0.002), (None, bound), 0.0, 0.02)
    match = re.match(r"about (\d+) starts", text)
    assert match is not None
    starts, narrow = int(match[1]), 0
    assert 15 <= starts <= 20
    for _ in range(200):
        logs = [noise.gauss(0, 0.02) for _ in range(starts)]
        deviation = math.sqrt(variance(logs))
        half = half_width(cell(deviation, passes=starts, starts=starts))
        narrow += (half or 1) <= math.log(bound / 100)
    assert narrow / 200 == pytest.approx(0.6, abs=0.15)
