"""Installs uv, which installs every other environment, with this Python's pip.

uv has its own lock and environment, so that a newer uv does not make other environments stale.
"""

import os
import shutil
import sys
from pathlib import Path

from kit.bootstrap import stamp
from kit.bootstrap.errors import SetupError
from kit.bootstrap.layout import Layout
from kit.bootstrap.progress import step
from kit.bootstrap.tool import RunTool, ToolError


def provide_uv(layout: Layout, run: RunTool) -> None:
    """Install uv unless the locked release is installed.

    Raises:
        SetupError: pip could not install it.
    """
    expected = stamp.digest([layout.lock("installer"), Path(__file__)])
    if stamp.is_current(layout.installer, expected):
        return
    partial = layout.installer.with_suffix(".partial")
    for stale in (partial, layout.installer):
        shutil.rmtree(stale, ignore_errors=True)
    with step("installing uv, the installer"):
        try:
            run([sys.executable, "-I", "-m", "venv", partial])
            run(_pip_install(partial, layout.lock("installer")), env=_pip_environment())
        except ToolError as e:
            raise _failed(e) from e
    stamp.write(partial, expected)
    partial.rename(layout.installer)


def _pip_install(environment: Path, lock: Path) -> list[str | Path]:
    pip: list[str | Path] = [environment / "bin" / "python", "-I", "-m", "pip", "install"]
    return [*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", lock]


def _pip_environment() -> dict[str, str]:
    # Mirrors and certificates stay; PIP_USER would install uv into the home directory.
    return {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _failed(e: ToolError) -> SetupError:
    return SetupError(
        failed="pip could not install uv from docker/installer.lock",
        cause="no connection to a package index (behind a mirror: PIP_INDEX_URL), or a file with "
        "another hash than the locked one",
        next_step="python3 -m kit.bootstrap kit   (when that is fixed)",
        output=str(e),
    )
