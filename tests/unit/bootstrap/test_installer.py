"""uv is installed once for each release that its lock names."""

import pytest

from kit.bootstrap.errors import SetupError
from kit.bootstrap.installer import provide_uv
from kit.bootstrap.layout import Layout
from tests.unit.bootstrap.conftest import FakeTool


def test_uv_is_installed_by_hash_and_again_only_for_another_lock(layout: Layout) -> None:
    tool = FakeTool()
    provide_uv(layout, tool)
    provide_uv(layout, tool)

    _, install = tool.commands
    assert {"--require-hashes", "--only-binary", str(layout.lock("installer"))} <= set(install)
    layout.lock("installer").write_text("uv==0.10\n")
    provide_uv(layout, tool)
    assert len(tool.commands) == 4


def test_a_failure_leaves_no_uv_and_shows_what_pip_printed(layout: Layout) -> None:
    with pytest.raises(SetupError, match="could not install uv") as caught:
        provide_uv(layout, FakeTool("No matching distribution"))

    assert "No matching distribution" in str(caught.value)
    assert not layout.installer.exists()
