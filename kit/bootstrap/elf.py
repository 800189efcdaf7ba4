"""Reads what a shared library needs from others, with `readelf` and `nm` (GNU binutils).

That is, in ELF: the needed libraries, the versions needed of each (GNU symbol versioning), and the
undefined symbols.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap.tool import RunTool


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbol:
    """An undefined symbol."""

    name: str
    version: str | None
    """The version that it must carry, if it was linked against a versioned library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demands:
    """All that one shared library needs from others."""

    libraries: frozenset[str]
    versions: frozenset[tuple[str, str]]
    """Pairs of a library and a version that it must define."""
    symbols: frozenset[Symbol]


def demands(library: Path, run: RunTool) -> Demands:
    """Read one shared library.

    Raises:
        ToolError: it is not one, or a tool is missing.
    """
    return Demands(
        libraries=parse_needed(run(["readelf", "--wide", "--dynamic", library])),
        versions=parse_versions(run(["readelf", "--wide", "--version-info", library])),
        symbols=parse_undefined(run(["nm", "--dynamic", "--undefined-only", library])),
    )


def parse_needed(dynamic: str) -> frozenset[str]:
    """Return the libraries in the NEEDED entries of `readelf --dynamic`."""
    return frozenset(re.findall(r"\(NEEDED\).*\[(.+?)\]", dynamic))


def parse_versions(version_info: str) -> frozenset[tuple[str, str]]:
    """Return the pairs of library and version in the needs section of `readelf --version-info`."""
    return frozenset(_versions(version_info))


def _versions(version_info: str) -> Iterator[tuple[str, str]]:
    library = None
    for line in version_info.splitlines():
        if heading := re.search(r"\bFile: (\S+)", line):
            library = heading[1]
        elif library and (entry := re.search(r"\bName: (\S+)\s+Flags:", line)):
            yield library, entry[1]


def parse_undefined(symbols: str) -> frozenset[Symbol]:
    """Return what `nm --dynamic --undefined-only` lists, each as `name` or `name@version`."""
    fields = (line.split()[-1].partition("@") for line in symbols.splitlines() if line.strip())
    return frozenset(
        Symbol(name=name, version=version.lstrip("@") or None) for name, _, version in fields
    )
