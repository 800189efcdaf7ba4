"""The command line of the set-up."""

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kit.bootstrap import __main__, command, mutex
from kit.bootstrap.environments import KIT, make
from kit.bootstrap.errors import SetupError
from kit.bootstrap.layout import Layout, checkout
from tests.unit.bootstrap.conftest import FakeTool


def test_an_unknown_name_is_a_usage_error_that_lists_the_valid_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.run(["gpu"])

    told = capsys.readouterr().err
    assert all(name in told for name in ("kit", "dev", "engine", "lock"))


def test_the_set_up_is_a_module_and_needs_a_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kit.bootstrap"],
        cwd=checkout().root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2


def test_what_is_current_is_not_made_again(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    make(KIT, layout, FakeTool())
    command.set_up([KIT], layout)

    assert capsys.readouterr().err.endswith("set-up: ready: kit\n")
    assert not layout.log.exists()


def test_the_door_can_be_read_by_the_oldest_python_3_that_can_be_asked() -> None:
    # What it imports before its check must be readable too.
    for module in (Path(__main__.__file__), Path(__main__.__file__).with_name("__init__.py")):
        ast.parse(module.read_text(), feature_version=(3, 7))


def test_an_error_has_three_parts_and_the_tools_last_words() -> None:
    error = SetupError(failed="a", cause="b", next_step="c", output="x\ny")

    assert str(error).splitlines() == [
        "error: a",
        "  cause: b",
        "  next: c",
        "  last lines of output:",
        "    x",
        "    y",
    ]


def test_a_second_set_up_waits_for_the_first(tmp_path: Path) -> None:
    events: list[str] = []

    def second() -> None:
        with mutex.exclusive(tmp_path / "mutex"):
            events.append("second")

    with mutex.exclusive(tmp_path / "mutex"):
        other = threading.Thread(target=second)
        other.start()
        other.join(timeout=0.2)
        events.append("first")
    other.join(timeout=10)

    assert events == ["first", "second"]
