"""What the machine itself must have: found by looking for the thing, not by asking a package tool.

Where the set-up may (root, or sudo without a password, and apt-get) it installs what is missing
and says so in a line; elsewhere it prints the exact command.
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
    """One thing that the machine must have."""

    thing: str
    why: str
    package: str | None
    """The Debian package that brings it; none if no package can."""
    present: Callable[[], bool]


def kit_needs() -> tuple[Need, ...]:
    """What every environment needs."""
    return (
        Need(
            thing="Python's ensurepip module",
            why="to make environments",
            package=of_python("venv"),
            present=lambda: importlib.util.find_spec("ensurepip") is not None,
        ),
    )


def engine_needs() -> tuple[Need, ...]:
    """What the embedded CPU engine needs besides."""
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
    """Return Debian's package of a part of this Python, if this is the system's Python."""
    return f"{PYTHON}-{part}" if sys.base_prefix == "/usr" else None


def loads(library: str) -> bool:
    """Whether the dynamic loader finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing(needs: Sequence[Need]) -> tuple[Need, ...]:
    """Return the needs that the machine does not meet."""
    return tuple(need for need in needs if not need.present())


def packages(needs: Sequence[Need]) -> tuple[str, ...]:
    """Return the Debian packages that bring these things, each once, in order."""
    return tuple(dict.fromkeys(need.package for need in needs if need.package))


def apt_words() -> tuple[str, ...] | None:
    """Return what to put before `apt-get` to run it as root without asking; None if that cannot be.

    Whether sudo really asks for no password shows only when it is tried.
    """
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ()
    return ("sudo", "-n") if shutil.which("sudo") else None


def provide(needs: Sequence[Need], run: RunTool, apt: Sequence[str] | None) -> None:
    """Install what is missing; `apt` are the words before `apt-get`, None where it may not be used.

    Raises:
        SetupError: something is missing that the set-up may not, or cannot, install.
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
    """Install Debian packages; fetch the package lists only if the ones at hand do not do."""
    # `env`, since sudo drops the caller's environment.
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *names]
    try:
        run(install)
    except ToolError:
        say("fetching the package lists first (apt-get update)")
        run([*apt, "update"])
        run(install)


def lacking(absent: Sequence[Need], output: str = "") -> SetupError:
    """Return the error that names each missing thing, why, and the command that brings it."""
    return SetupError(
        failed=f"this machine lacks {', '.join(need.thing for need in absent)}",
        cause="; ".join(f"{need.thing}: {need.why}" for need in absent),
        next_step=remedy(absent),
        output=output,
    )


def remedy(absent: Sequence[Need]) -> str:
    """Return the command that brings the missing things, or what to do where there is none."""
    advice = []
    if names := packages(absent):
        advice.append(
            f"sudo apt-get update && sudo apt-get install {' '.join(names)}"
            "   (elsewhere: the packages of your system that hold these)"
        )
    if any(need.package is None for need in absent):
        advice.append(
            f"reinstall the Python at {sys.base_prefix} with its headers and ensurepip,"
            " or choose another: make PYTHON=/usr/bin/python3 bench"
        )
    return "; then ".join(advice)
