"""An interrupted command goes on with the cells that it has not measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle.document import Runtime
from kit.edge.cells import CellChoices, planned_cells
from kit.edge.unfinished import BENCH, Unfinished, name_of

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
NAMES = list(map(name_of, CELLS))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results" / "one").mkdir(parents=True)
    return tmp_path / "results"


def test_a_cell_that_was_measured_is_not_measured_again(results: Path, tmp_path: Path) -> None:
    first, second = NAMES
    Unfinished.of(NAMES, results, tmp_path / BENCH).keep(first, results / "one")
    again = Unfinished.of(NAMES, results, tmp_path / BENCH)
    assert again.measured(first) == results / "one"
    assert again.measured(second) is None


def test_all_is_forgotten_once_every_cell_is_measured(results: Path, tmp_path: Path) -> None:
    unfinished = Unfinished.of(NAMES, results, tmp_path / BENCH)
    for name in NAMES:
        unfinished.keep(name, results / "one")
    assert Unfinished.of(NAMES, results, tmp_path / BENCH).bundles == {}
    assert list(tmp_path.iterdir()) == [results]


def test_another_command_begins_anew(results: Path, tmp_path: Path) -> None:
    Unfinished.of(NAMES, results, tmp_path / BENCH).keep(NAMES[0], results / "one")
    others = (
        planned_cells(replace(CHOICES, passes=2)),
        planned_cells(replace(CHOICES, models=("moe-mini",))),
        planned_cells(replace(CHOICES, runtime=Runtime.DOCKER.value)),
    )
    for cells in others:
        names = list(map(name_of, cells))
        assert Unfinished.of(names, results, tmp_path / BENCH).measured(names[0]) is None
    assert Unfinished.of(NAMES, tmp_path, tmp_path / BENCH).measured(NAMES[0]) is None


def test_a_bundle_that_is_gone_or_a_damaged_file_counts_for_nothing(
    results: Path, tmp_path: Path
) -> None:
    unfinished = Unfinished.of(NAMES, results, tmp_path / BENCH)
    unfinished.keep(NAMES[0], results / "gone")
    assert Unfinished.of(NAMES, results, tmp_path / BENCH).measured(NAMES[0]) is None
    unfinished.file.write_text("{")
    assert Unfinished.of(NAMES, results, tmp_path / BENCH).measured(NAMES[0]) is None
