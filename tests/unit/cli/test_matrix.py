"""The matrix: resumed, within a budget, with cells that fail; engines are bundles made before."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kit.bundle.document import Runtime
from kit.cli import commands
from kit.edge.cells import CellChoices, PlannedCell
from kit.edge.files import checkout, disk
from kit.edge.prepare import Prepared
from kit.edge.session import RunContext
from kit.errors import ExitCode, MachineError, RunError
from tests.factory import Settings, draft

matrix = importlib.import_module("kit.cli.matrix")  # `kit.cli` has a command of that name
COMMAND = ["matrix", "--topologies", "cpu-tp1,cpu-tp2", "--passes", "3"]
CELLS = {
    f"{model}@{topology}"
    for model in ("moe-mini", "dense-mini")
    for topology in ("cpu-tp1", "cpu-tp2")
}


class Machine:
    """Stands in for engines: each cell's bundle is made in a moment, or an error is raised."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: Callable[[str, int], Exception | None] = lambda _name, _times: None

    def run(
        self,
        cell: PlannedCell,
        _choices: CellChoices,
        _prepared: Prepared,
        _port: int | None,
        context: RunContext,
    ) -> Path:
        name = f"{cell.plan.cell.model}@{cell.plan.cell.topology}"
        self.ran.append(name)
        if (error := self.fails(name, self.ran.count(name))) is not None:
            raise error
        made = draft(Settings(runtime=Runtime.ENDPOINT, seed=len(self.ran)))
        return disk.write_folder(context.results / f"{len(self.ran)}-{name}", made.seal())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    stand_in = Machine()
    monkeypatch.setattr(matrix, "run_cell", stand_in.run)
    monkeypatch.setattr(
        matrix, "prepare", lambda _cells, _sources, _say: Prepared(variables={}, weights={})
    )
    monkeypatch.setattr(matrix, "cool_down", lambda idle_c, _say: idle_c)
    monkeypatch.setattr(matrix, "measured_s", lambda _results: {})
    monkeypatch.setattr(checkout, "STATE", tmp_path / "state")
    monkeypatch.setattr(checkout, "REPORT", tmp_path / "report")
    return stand_in


def invoke(tmp_path: Path, *more: str) -> Result:
    runner = CliRunner()
    arguments = [*COMMAND, "-o", str(tmp_path / "results"), *more]
    return runner.invoke(commands, arguments, standalone_mode=False)


def test_every_cell_is_measured_and_reported_once(machine: Machine, tmp_path: Path) -> None:
    result = invoke(tmp_path)
    assert set(machine.ran) == CELLS
    assert len(machine.ran) == len(CELLS)
    assert "[4/4]" in result.stderr
    assert len(result.stdout.splitlines()) == len(CELLS) + 1


def test_starts_are_in_rounds(machine: Machine, tmp_path: Path) -> None:
    invoke(tmp_path, "--starts", "2")
    assert set(machine.ran[:4]) == set(machine.ran[4:]) == CELLS


def test_a_matrix_that_was_killed_goes_on(machine: Machine, tmp_path: Path) -> None:
    killed = KeyboardInterrupt()
    machine.fails = lambda _name, _times: killed if len(machine.ran) == 3 else None
    invoke(tmp_path)
    assert len(machine.ran) == 3
    machine.fails = lambda _name, _times: None
    result = invoke(tmp_path)
    assert len(machine.ran) == 5
    assert result.stderr.count("measured before") == 2
    assert len(result.stdout.splitlines()) == len(CELLS) + 1
    assert not list((tmp_path / "state").glob("unfinished*"))


def test_a_cell_that_fails_is_tried_once_more_and_the_rest_is_reported(
    machine: Machine, tmp_path: Path
) -> None:
    broken = RunError("the engine died", "its log says why", "less LOG", code="engine-died")
    machine.fails = lambda name, _times: broken if name == "moe-mini@cpu-tp2" else None
    result = invoke(tmp_path)
    assert machine.ran.count("moe-mini@cpu-tp2") == 2
    assert machine.ran[-1] == "moe-mini@cpu-tp2"
    assert "failed twice: moe-mini x cpu-tp2 x single: the engine died" in result.stderr
    assert len(result.stdout.splitlines()) == len(CELLS)
    assert result.return_value == ExitCode.RUN_FAILED


def test_a_cell_that_fails_once_is_measured_in_the_end(machine: Machine, tmp_path: Path) -> None:
    full = MachineError("no space left", "the disk is full", "df -h")
    machine.fails = lambda name, times: full if (name, times) == ("moe-mini@cpu-tp1", 1) else None
    result = invoke(tmp_path)
    assert "failed twice" not in result.stderr
    assert len(result.stdout.splitlines()) == len(CELLS) + 1


def test_what_does_not_fit_into_the_budget_is_listed(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(matrix.time, "monotonic", lambda: clock[0])
    run = machine.run

    def slow(*arguments: object) -> Path:
        clock[0] += 400.0
        return run(*arguments)

    monkeypatch.setattr(matrix, "run_cell", slow)
    result = invoke(tmp_path, "--budget", "20m")
    assert len(machine.ran) == 3
    assert result.stderr.count("did not fit into the budget") == 1
    assert "(takes about 7 min)" in result.stderr


def test_a_topology_that_does_not_exist_is_refused(machine: Machine, tmp_path: Path) -> None:
    result = CliRunner().invoke(commands, ["matrix", "--topologies", "tp9", "-o", str(tmp_path)])
    assert result.exception is not None
    assert machine.ran == []
