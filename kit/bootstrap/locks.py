"""Compiles `docker/*.in` into `docker/*.lock`: exact versions with the hashes of their wheels.

`uv pip compile` would list the hashes of every platform's files and of source archives, five times
the size and with build code among them. So each file goes through a throw-away uv project, whose
lock is limited to Linux, to the Pythons that the kit supports and to wheels; its export is the
lock. No registry's name enters it.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap.layout import Layout
from kit.bootstrap.tool import RunTool

LINUX = "sys_platform == 'linux' and platform_python_implementation == 'CPython'"
LINUX_X86_64 = f"{LINUX} and platform_machine == 'x86_64'"
REQUIRES_PYTHON = ">=3.11,<3.14"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockSpec:
    """How one lock is compiled."""

    name: str
    environment: str
    """The PEP 508 marker that every machine meets which may use the lock."""
    constrained_by: str | None = None
    """A lock whose versions this one must repeat."""
    as_of: str | None = None
    """The instant (RFC 3339) whose newest versions it takes, instead of today's."""


# vLLM 0.17.0 is of 2026-03-07. An install of it today would draw in libraries that it was never
# released with, and CUDA 13 among them: what is measured would move with the day of the build.
THE_DAY_AFTER_VLLM = "2026-03-08T00:00:00Z"

SPECS = (
    LockSpec(name="installer", environment=LINUX),
    LockSpec(name="kit", environment=LINUX),
    LockSpec(name="dev", environment=LINUX, constrained_by="kit"),
    LockSpec(name="cpu-engine", environment=LINUX_X86_64),
    LockSpec(name="server", environment=LINUX_X86_64, as_of=THE_DAY_AFTER_VLLM),
    LockSpec(name="cuobjdump", environment=LINUX_X86_64),
)


def compile_locks(layout: Layout, run: RunTool) -> None:
    """Rewrite every lock from its `.in`, with the newest versions (of its day) that satisfy it.

    Raises:
        ToolError: uv found no solution, or the registry did not answer.
    """
    for spec in SPECS:
        layout.lock(spec.name).write_text(compile_lock(spec, layout, run), encoding="utf-8")


def compile_lock(spec: LockSpec, layout: Layout, run: RunTool) -> str:
    """Return the text of one lock."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "pyproject.toml").write_text(project(spec, layout), encoding="utf-8")
        uv: list[str | Path] = [layout.uv, "--quiet", "--cache-dir", layout.cache]
        run([*uv, "lock"], cwd=Path(directory))
        export = ["export", "--frozen", "--no-emit-project", "--no-annotate", "--no-header"]
        exported = run([*uv, *export], cwd=Path(directory))
    header = f"# Made from docker/{spec.name}.in by `make lock`; not to be edited.\n"
    return header + without_marker(exported, spec.environment)


def project(spec: LockSpec, layout: Layout) -> str:
    """Return the throw-away `pyproject.toml` that uv locks."""
    source = layout.requirements(spec.name)
    constraints = pins(layout.lock(spec.constrained_by)) if spec.constrained_by else ()
    as_of = f"exclude-newer = {json.dumps(spec.as_of)}" if spec.as_of else ""
    # A JSON array of strings is a TOML array of strings.
    return f"""\
[project]
name = "lock"
version = "0"
requires-python = {json.dumps(REQUIRES_PYTHON)}
dependencies = {json.dumps(requirements(source))}
[tool.uv]
package = false
no-build = true
fork-strategy = "fewest"
{as_of}
environments = {json.dumps([spec.environment])}
constraint-dependencies = {json.dumps(constraints)}
override-dependencies = {json.dumps(requirements(source.with_suffix(".overrides")))}
exclude-dependencies = {json.dumps(requirements(source.with_suffix(".excludes")))}
"""


def requirements(source: Path) -> Sequence[str]:
    """Return the requirements of a file and of those it includes; none if there is no file."""
    if not source.exists():
        return []
    found: list[str] = []
    for line in source.read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement.startswith("-r "):
            found += requirements(source.with_name(requirement.removeprefix("-r ").strip()))
        elif requirement:
            found.append(requirement)
    return found


def pins(lock: Path) -> Sequence[str]:
    """Return the `name==version` of every entry of a lock, markers included."""
    entries = re.findall(r"^([A-Za-z0-9].*?) *\\?$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return [str(entry) for entry in entries]


def without_marker(exported: str, environment: str) -> str:
    """Drop the clauses that hold wherever the lock may be used: uv writes them on every entry.

    An entry whose marker were false would be skipped in silence, leaving an environment that
    lacks everything; without it the wrong platform fails on the first hash.
    """
    clauses = set(environment.split(" and "))

    def shorten(match: re.Match[str]) -> str:
        kept = [it for it in match["marker"].split(" and ") if it not in clauses]
        return f" ; {' and '.join(kept)}{match['end']}" if kept else match["end"]

    return re.sub(r" ; (?P<marker>.*?)(?P<end> \\)$", shorten, exported, flags=re.MULTILINE)
