"""The environments that the set-up makes, and how.

    kit     `.kit/venv`    what a user runs: the client, the verifier, the report
    dev     `.kit/dev`     the same, with tests and linters
    engine  `.kit/engine`  vLLM on CPU; the client never shares an environment with it

Each is built under a temporary name and then renamed, so that a directory of its name is always
complete. Environments and their scripts are relocatable: a checkout can be moved.
"""

import os
import shutil
import ssl
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap import cuda_standins, stamp, vllm_alias
from kit.bootstrap.errors import SetupError
from kit.bootstrap.layout import Layout
from kit.bootstrap.progress import step
from kit.bootstrap.tool import RunTool, ToolError

HERE = Path(__file__).parent

# sh reads line 2 as a command; Python reads lines 2 and 3 as a string. `realpath`, so that the
# command also works through a link from elsewhere.
CONSOLE_SCRIPT = """\
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
import sys

from kit.cli import main

sys.exit(main())
"""

# Loads the kernels for this processor, as vLLM does, and accesses one.
ENGINE_PROOF = """\
import torch, vllm
from vllm.platforms import current_platform
assert current_platform.is_cpu(), current_platform
current_platform.import_kernels()
torch.ops._C.silu_and_mul
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """One environment."""

    name: str
    directory: str
    """Its directory under `.kit/`."""
    lock: str
    download_mb: int
    """Measured on Linux x86-64 with Python 3.11, as is `disk_mb`."""
    disk_mb: int
    finish: Callable[[Path, RunTool], None]
    """Called after the packages are installed."""
    sources: tuple[str, ...] = ("environments.py",)
    """Modules of this folder that it depends on besides its lock: a change makes it stale."""

    def path(self, layout: Layout) -> Path:
        """Its directory, once complete."""
        return layout.state / self.directory

    def stamp(self, layout: Layout) -> str:
        """Return the digest that a current environment contains."""
        return stamp.digest([layout.lock(self.lock), *(HERE / name for name in self.sources)])

    def is_current(self, layout: Layout) -> bool:
        """Return whether it exists and was made from the current inputs."""
        return stamp.is_current(self.path(layout), self.stamp(layout))


def make(environment: Environment, layout: Layout, run: RunTool) -> None:
    """Make an environment anew.

    Raises:
        SetupError: the packages cannot be installed, or the result does not work.
    """
    final = environment.path(layout)
    partial = final.with_suffix(".partial")
    for stale in (partial, final):
        shutil.rmtree(stale, ignore_errors=True)
    with step(f"{environment.name}: installing {environment.download_mb} MB of packages"):
        install(environment, partial, layout, run)
    environment.finish(partial, run)
    stamp.write(partial, environment.stamp(layout))
    partial.rename(final)


def install(environment: Environment, directory: Path, layout: Layout, run: RunTool) -> None:
    """Fill a new environment with exactly the packages of its lock.

    Raises:
        SetupError: they cannot be installed.
    """
    uv: list[str | Path] = [layout.uv, "--cache-dir", layout.cache, "--no-progress"]
    python = directory / "bin" / "python"
    new = ["venv", "--relocatable", "--no-project", "--python", sys.executable]
    sync = ["pip", "sync", "--require-hashes", "--no-build", "--python"]
    try:
        run([*uv, *new, directory], env=uv_environment())
        run([*uv, *sync, python, layout.lock(environment.lock)], env=uv_environment())
    except ToolError as e:
        raise SetupError(
            failed=f"uv could not install docker/{environment.lock}.lock",
            cause="no connection to a package index (behind a mirror: UV_DEFAULT_INDEX), a full "
            "disk, or a file with another hash than the locked one",
            next_step=f"python3 -m kit.bootstrap {environment.name}   (downloads are kept)",
            output=str(e),
        ) from e


def uv_environment() -> dict[str, str]:
    """Return the caller's environment variables, with defaults for uv.

    If this Python uses the system's certificates, so does uv, as pip did to install it: a proxy may
    have a certificate that only the system knows.
    """
    own = {"UV_SYSTEM_CERTS": "1"} if ssl.get_default_verify_paths().cafile else {}
    return {**own, **os.environ, "UV_PYTHON_DOWNLOADS": "never"}


def site_packages(directory: Path) -> Path:
    """Return the site-packages of an environment."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(directory)}))


def link_checkout(directory: Path, _run: RunTool) -> None:
    """Make `import kit` and the command `kit` use the checkout.

    A `.pth` file and a script do what an editable install would, without a build tool. The path is
    relative to the `.pth` file (Python's `site` joins them).
    """
    packages = site_packages(directory)
    root = directory.parents[1]
    (packages / "kit.pth").write_text(f"{os.path.relpath(root, packages)}\n", encoding="utf-8")
    script = directory / "bin" / "kit"
    script.write_text(CONSOLE_SCRIPT, encoding="utf-8")
    script.chmod(0o755)


def complete_engine(directory: Path, run: RunTool) -> None:
    """Make vLLM work with PyPI's packages alone, and test that it loads.

    Raises:
        SetupError: it does not.
    """
    packages = site_packages(directory)
    try:
        with step("engine: building stand-ins for PyTorch's CUDA libraries"):
            cuda_standins.build_standins(packages / "torch" / "lib", run)
        vllm_alias.write_alias(packages)
        with step("engine: loading vLLM"):
            run([directory / "bin" / "python", "-I", "-c", ENGINE_PROOF])
    except ToolError as e:
        raise SetupError(
            failed=f"the CPU engine in {directory} does not load",
            cause="PyTorch or vLLM cannot be imported, though all was installed",
            next_step="less .kit/setup.log   (the output of every step)",
            output=str(e),
        ) from e


KIT = Environment(
    name="kit", directory="venv", lock="kit", download_mb=55, disk_mb=250, finish=link_checkout
)
DEV = Environment(
    name="dev", directory="dev", lock="dev", download_mb=150, disk_mb=650, finish=link_checkout
)
ENGINE = Environment(
    name="engine",
    directory="engine",
    lock="cpu-engine",
    download_mb=1260,
    disk_mb=3200,
    finish=complete_engine,
    sources=("environments.py", "elf.py", "cuda_standins.py", "vllm_alias.py"),
)
ENVIRONMENTS = {it.name: it for it in (KIT, DEV, ENGINE)}
