"""Running other programs."""

import sys
from pathlib import Path

import pytest

from kit.bootstrap.tool import TAIL_LINES, LoggedTool, ToolError, tail


@pytest.fixture
def run(tmp_path: Path) -> LoggedTool:
    return LoggedTool(log=tmp_path / "log")


def test_standard_output_is_returned_and_standard_error_is_logged(run: LoggedTool) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr)"

    assert run([sys.executable, "-c", code]) == "out\n"
    assert "err" in run.log.read_text()


def test_a_failure_carries_exit_code_and_last_words(run: LoggedTool) -> None:
    with pytest.raises(ToolError, match="exit code 3\nit broke"):
        run([sys.executable, "-c", "import sys; print('it broke', file=sys.stderr); sys.exit(3)"])


def test_a_program_that_is_killed_says_by_what(run: LoggedTool) -> None:
    with pytest.raises(ToolError, match="killed by SIGILL"):
        run([sys.executable, "-c", "import os; os.kill(os.getpid(), 4)"])


def test_a_program_that_is_not_there(run: LoggedTool) -> None:
    with pytest.raises(ToolError, match="no-such-program: No such file"):
        run(["no-such-program"])


def test_the_tail_drops_blank_lines_and_what_came_early() -> None:
    lines = [f"line {number}" for number in range(100)]

    assert tail("\n\n".join(lines)).splitlines() == lines[-TAIL_LINES:]
    assert tail("") == ""
