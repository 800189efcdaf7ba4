"""Compiles `docker/*.in` into `docker/*.lock`: exact versions with the hashes of their wheels.

`uv pip compile` would list the hashes of every platform's files and of source archives: five times
the size, and with code that runs at installation. So each file becomes a temporary uv project,
whose lock is limited to Linux, to the supported Pythons and to wheels; its export is the lock. It
names no package index.
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
    """The PEP 508 marker of the machines that may use the lock."""
    constrained_by: str | None = None
    """A lock whose versions this one must have too."""
    as_of: str | None = None
    """Use the newest versions of this instant (RFC 3339) instead of today's."""


# vLLM 0.17.0 was released on 2026-03-07. Installed today, it would get newer libraries, CUDA 13
# among them: measurements would depend on the day of the build.
THE_DAY_AFTER_VLLM = "2026-03-08T00:00:00Z"

SPECS = (
    LockSpec(name="installer", environment=LINUX),
    LockSpec(name="kit", environment=LINUX),
    LockSpec(name="dev", environment=LINUX, constrained_by="kit"),
    LockSpec(name="cpu-engine", environment=LINUX_X86_64),
    LockSpec(name="server", environment=LINUX_X86_64, as_of=THE_DAY_AFTER_VLLM),
    LockSpec(name="cuobjdump", environment=LINUX_X86_64),
    LockSpec(name="hub", environment=LINUX_X86_64, constrained_by="kit"),
)


def compile_locks(layout: Layout, run: RunTool) -> None:
    """Rewrite every lock from its `.in`, with the newest versions (of its day) that satisfy it.

    Raises:
        ToolError: uv found no solution, or the package index did not answer.
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
    """Return the temporary `pyproject.toml` that uv locks."""
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
    lines: list[str] = []
    for line in source.read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement.startswith("-r "):
            lines += requirements(source.with_name(requirement.removeprefix("-r ").strip()))
        elif requirement:
            lines.append(requirement)
    return lines


def pins(lock: Path) -> Sequence[str]:
    """Return the `name==version` of every entry of a lock, markers included."""
    entries = re.findall(r"^([A-Za-z0-9].*?) *\\?$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return [str(entry) for entry in entries]


def without_marker(exported: str, environment: str) -> str:
    """Drop the clauses of the lock's own environment, which uv writes on every entry.

    On another platform, entries with a false marker would be skipped silently, which gives an empty
    environment; without the marker, installation fails on the first hash.
    """
    clauses = set(environment.split(" and "))

    def shorten(match: re.Match[str]) -> str:
        kept = [it for it in match["marker"].split(" and ") if it not in clauses]
        return f" ; {' and '.join(kept)}{match['end']}" if kept else match["end"]

    return re.sub(r" ; (?P<marker>.*?)(?P<end> \\)$", shorten, exported, flags=re.MULTILINE)
