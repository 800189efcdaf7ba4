"""What tests of the set-up share: a checkout of its own, and a tool that installs nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kit.bootstrap.environments import site_packages
from kit.bootstrap.layout import Layout
from kit.bootstrap.tool import ToolError


class FakeTool:
    """A `RunTool` that makes empty environments, and can be set to fail when installing."""

    def __init__(self, failure: str | None = None) -> None:
        self.failure = failure
        self.commands: list[list[str]] = []

    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        words = [str(word) for word in command]
        self.commands.append(words)
        if "venv" in words:
            directory = Path(words[-1])
            (directory / "bin").mkdir(parents=True)
            (directory / "bin" / "python").touch()
            site_packages(directory).mkdir(parents=True)
        elif self.failure:
            raise ToolError(self.failure)
        return ""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "kit.lock").write_text("click==8.1\n")
    (tmp_path / "docker" / "installer.lock").write_text("uv==0.9\n")
    (tmp_path / ".kit").mkdir()
    return Layout(root=tmp_path)
