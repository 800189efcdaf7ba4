"""Programs and libraries that the system must have; each is looked for itself, not its package.

With apt-get, and as root or with sudo without a password, the set-up installs what is missing and
says so; otherwise it prints the command.
"""

import ctypes
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap.errors import SetupError
from kit.bootstrap.progress import say, step
from kit.bootstrap.tool import RunTool, ToolError

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Something that the system must have."""

    thing: str
    why: str
    package: str | None
    """The Debian package that installs it; None if there is no such package."""
    present: Callable[[], bool]


def kit_needs() -> tuple[Need, ...]:
    """Return what every environment needs."""
    return (
        Need(
            thing="Python's ensurepip module",
            why="to make environments",
            package=of_python("venv"),
            present=lambda: importlib.util.find_spec("ensurepip") is not None,
        ),
    )


def engine_needs() -> tuple[Need, ...]:
    """Return what the CPU engine needs as well."""
    return (
        program("g++", "vLLM compiles its kernels when it starts", "g++"),
        Need(
            thing="Python.h",
            why="those kernels are compiled against it",
            package=of_python("dev"),
            present=lambda: Path(sysconfig.get_path("include"), "Python.h").exists(),
        ),
        program("readelf", "to see which CUDA libraries PyTorch links to", "binutils"),
        program("nm", "to see which CUDA functions PyTorch names", "binutils"),
        program("lscpu", "vLLM asks it for the machine's cores", "util-linux"),
        Need(
            thing="libnuma.so.1",
            why="vLLM's CPU kernels link to it",
            package="libnuma1",
            present=lambda: loads("libnuma.so.1"),
        ),
    )


def program(name: str, why: str, package: str) -> Need:
    """Return the need for a program on the PATH."""
    return Need(
        thing=name, why=why, package=package, present=lambda: shutil.which(name) is not None
    )


def of_python(part: str) -> str | None:
    """Return the Debian package of a part of this Python, if it is the system's Python."""
    return f"{PYTHON}-{part}" if sys.base_prefix == "/usr" else None


def loads(library: str) -> bool:
    """Return whether the dynamic loader finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing(needs: Sequence[Need]) -> tuple[Need, ...]:
    """Return the needs that the system does not meet."""
    return tuple(need for need in needs if not need.present())


def packages(needs: Sequence[Need]) -> tuple[str, ...]:
    """Return the Debian packages for these needs, each once, in order."""
    return tuple(dict.fromkeys(need.package for need in needs if need.package))


def apt_words() -> tuple[str, ...] | None:
    """Return the words before `apt-get` that run it as root; None if there is no way.

    Whether sudo asks for a password is only known when it is run.
    """
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ()
    return ("sudo", "-n") if shutil.which("sudo") else None


def provide(needs: Sequence[Need], run: RunTool, apt: Sequence[str] | None) -> None:
    """Install what is missing; `apt` are the words before `apt-get`, None if it cannot be used.

    Raises:
        SetupError: something is missing that the set-up cannot install.
    """
    absent = missing(needs)
    if not absent:
        return
    if apt is None or not all(need.package for need in absent):
        raise lacking(absent)
    say(f"missing: {', '.join(need.thing for need in absent)}")
    names = packages(absent)
    try:
        with step(f"installing the system packages {' '.join(names)}"):
            apt_install(names, apt, run)
    except ToolError as e:
        raise lacking(absent, output=str(e)) from e
    if still := missing(absent):
        raise lacking(still)


def apt_install(names: Sequence[str], prefix: Sequence[str], run: RunTool) -> None:
    """Install Debian packages; update the package lists only if that fails."""
    # `env`, since sudo drops the caller's environment.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *names]
    try:
        run(install)
    except ToolError:
        say("updating the package lists first (apt-get update)")
        run([*apt, "update"])
        run(install)


def lacking(absent: Sequence[Need], output: str = "") -> SetupError:
    """Return the error for missing needs, with their reasons and the command to install them."""
    return SetupError(
        failed=f"this machine lacks {', '.join(need.thing for need in absent)}",
        cause="; ".join(f"{need.thing}: {need.why}" for need in absent),
        next_step=remedy(absent),
        output=output,
    )


def remedy(absent: Sequence[Need]) -> str:
    """Return the command that installs the missing needs, or other advice."""
    advice = []
    if names := packages(absent):
        advice.append(
            f"sudo apt-get update && sudo apt-get install {' '.join(names)}"
            "   (on another system: its packages with these files)"
        )
    if any(need.package is None for need in absent):
        advice.append(
            f"reinstall the Python at {sys.base_prefix} with its headers and ensurepip,"
            " or choose another: make PYTHON=/usr/bin/python3 bench"
        )
    return "; then ".join(advice)
