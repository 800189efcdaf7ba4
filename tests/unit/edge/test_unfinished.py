"""An interrupted command goes on with the cells that it has not measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle.document import Runtime
from kit.edge.cells import CellChoices, planned_cells
from kit.edge.unfinished import Unfinished

CHOICES = CellChoices(
    topology="cpu-tp1",
    models=(),
    suite="single",
    agents=(),
    passes=1,
    protocol="kit",
    cache="warm",
    timeout_s=600,
    runtime=None,
)
CELLS = planned_cells(CHOICES)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results" / "one").mkdir(parents=True)
    return tmp_path / "results"


def test_a_cell_that_was_measured_is_not_measured_again(results: Path, tmp_path: Path) -> None:
    first, second = CELLS
    Unfinished.of(CELLS, results, tmp_path).keep(first, results / "one")
    again = Unfinished.of(CELLS, results, tmp_path)
    assert again.measured(first) == results / "one"
    assert again.measured(second) is None


def test_all_is_forgotten_once_every_cell_is_measured(results: Path, tmp_path: Path) -> None:
    unfinished = Unfinished.of(CELLS, results, tmp_path)
    for cell in CELLS:
        unfinished.keep(cell, results / "one")
    assert Unfinished.of(CELLS, results, tmp_path).bundles == {}
    assert list(tmp_path.iterdir()) == [results]


def test_another_command_begins_anew(results: Path, tmp_path: Path) -> None:
    Unfinished.of(CELLS, results, tmp_path).keep(CELLS[0], results / "one")
    others = (
        planned_cells(replace(CHOICES, passes=2)),
        planned_cells(replace(CHOICES, models=("moe-mini",))),
        planned_cells(replace(CHOICES, runtime=Runtime.DOCKER.value)),
    )
    for cells in others:
        assert Unfinished.of(cells, results, tmp_path).measured(cells[0]) is None
    assert Unfinished.of(CELLS, tmp_path, tmp_path).measured(CELLS[0]) is None


def test_a_bundle_that_is_gone_or_a_damaged_file_counts_for_nothing(
    results: Path, tmp_path: Path
) -> None:
    unfinished = Unfinished.of(CELLS, results, tmp_path)
    unfinished.keep(CELLS[0], results / "gone")
    assert Unfinished.of(CELLS, results, tmp_path).measured(CELLS[0]) is None
    unfinished.file.write_text("{")
    assert Unfinished.of(CELLS, results, tmp_path).measured(CELLS[0]) is None
