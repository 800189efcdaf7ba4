"""The order of a matrix: nobody is favoured, and with claims the cheapest to decide come first."""

from kit.plan.plan import Cell
from kit.run.matrix import expected_s, in_order, left_s


def cell(topology: str, model: str = "moe", agents: int | None = None) -> Cell:
    suite = "single" if agents is None else "swarm"
    return Cell(model=model, topology=topology, suite=suite, agents=agents)


CELLS = [cell(f"tp{number}", model) for number in range(3) for model in ("moe", "dense")]


def test_every_start_of_every_cell_comes_once_and_starts_are_in_rounds() -> None:
    turns = in_order(CELLS, 3)
    assert len(set(turns)) == len(turns) == 18
    assert [turn.start for turn in turns] == [1] * 6 + [2] * 6 + [3] * 6


def test_no_cell_is_always_first() -> None:
    turns = in_order(CELLS, 20)
    firsts = {turns[number * len(CELLS)].cell for number in range(20)}
    assert len(firsts) > 3


def test_the_order_is_the_same_each_time() -> None:
    assert in_order(CELLS, 2) == in_order(reversed(CELLS), 2)


def test_the_claim_that_takes_the_least_is_decided_first() -> None:
    seconds = dict.fromkeys(CELLS, 100.0) | {CELLS[4]: 10.0, CELLS[5]: 10.0}
    claims = [frozenset(CELLS[:2]), frozenset(CELLS[4:])]
    turns = in_order(CELLS, 1, claims, seconds)
    assert {turn.cell for turn in turns[:2]} == set(CELLS[4:])
    assert {turn.cell for turn in turns[2:4]} == set(CELLS[:2])


def test_a_cell_that_was_not_measured_takes_as_long_as_others() -> None:
    seconds = {CELLS[0]: 10.0, CELLS[1]: 30.0}
    assert expected_s(CELLS[0], seconds) == 10.0
    assert expected_s(CELLS[2], seconds) == 20.0
    assert expected_s(CELLS[2], {}) is None
    assert left_s(in_order(CELLS[:3], 1), seconds) == 60.0
    assert left_s(in_order(CELLS[:3], 1), {}) is None
