"""Which cells a matrix has on this machine, and that it waits for warm cards; no GPU was used."""

from collections.abc import Iterator

import pytest

from kit.edge import matrix
from kit.edge.cells import CellChoices
from kit.edge.matrix import MatrixChoices, cool_down, matrix_cells

COMMON = CellChoices(
    topology=None,
    models=(),
    suite="single",
    agents=(1, 4),
    passes=3,
    protocol="kit",
    cache="warm",
    timeout_s=600,
    runtime=None,
)


def test_a_matrix_has_every_topology_model_and_level() -> None:
    choices = MatrixChoices(
        topologies=("cpu-tp1", "cpu-tp2"), suites=("single", "swarm"), common=COMMON
    )
    cells = matrix_cells(choices)
    assert len(cells) == 2 * 2 * (1 + 2)
    assert {cell.agents for cell in cells} == {None, 1, 4}
    for cell, (planned, chosen) in cells.items():
        assert planned.plan.cell == cell
        assert (chosen.topology, chosen.suite) == (cell.topology, cell.suite)


def test_without_a_name_a_machine_without_gpus_has_its_cpu_topologies() -> None:
    cells = matrix_cells(MatrixChoices(topologies=(), suites=("single",), common=COMMON))
    assert "cpu-tp1" in {cell.topology for cell in cells}
    assert all(cell.topology.startswith("cpu-") for cell in cells)


def cool(temperatures: list[int | None], monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """Return what is said while cards have these temperatures, and how many were looked at."""
    looks: Iterator[int | None] = iter(temperatures)
    clock = iter(float(second) for second in range(0, 100_000, 60))
    seen: list[int | None] = []

    def look() -> int | None:
        seen.append(next(looks, seen[-1] if seen else None))
        return seen[-1]

    monkeypatch.setattr(matrix, "hottest_c", look)
    monkeypatch.setattr(matrix.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(matrix.time, "monotonic", lambda: next(clock))
    said: list[str] = []
    assert cool_down(40, said.append) == 40
    return said, len(seen)


def test_cards_cool_down_to_five_degrees_above_the_first_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, looks = cool([60, 50, 46, 45, 44], monkeypatch)
    assert looks == 4
    assert said == ["  the cards have 60 degrees: waiting for 45"]


def test_cards_that_stay_warm_are_waited_for_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    said, looks = cool([70], monkeypatch)
    assert looks < 10
    assert said[-1] == "  still 70 degrees after 5 minutes: going on"


def test_cool_cards_and_none_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cool([44], monkeypatch) == ([], 1)
    assert cool([None], monkeypatch) == ([], 1)


def test_the_first_cell_says_what_is_cool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "hottest_c", lambda: 37)
    assert cool_down(None, print) == 37
