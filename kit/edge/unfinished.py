"""What an interrupted command has measured, so that the same command goes on from there.

Kept in a file of `.kit/` from the first bundle until all that was to be measured is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.edge.cells import PlannedCell
from kit.edge.files import disk

BENCH, MATRIX = "unfinished.json", "unfinished-matrix.json"


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of what a command measures, and the bundle of each that was measured."""

    cells: tuple[str, ...]
    bundles: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The state of one command: the names of what it measures, and the bundles so far."""

    file: Path
    names: tuple[str, ...]
    bundles: dict[str, Path]

    @classmethod
    def of(cls, names: Sequence[str], results: Path, file: Path) -> "Unfinished":
        """Return what an earlier command with the same names has left; nothing of another one."""
        bundles: dict[str, Path] = {}
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            kept = None
        if kept is not None and kept.cells == tuple(names):
            paths = {name: Path(path) for name, path in kept.bundles.items()}
            bundles = {
                name: path
                for name, path in paths.items()
                if path.is_dir() and path.parent == results
            }
        return cls(file=file, names=tuple(names), bundles=bundles)

    def measured(self, name: str) -> Path | None:
        """Return the bundle of what was measured before the interruption."""
        return self.bundles.get(name)

    def keep(self, name: str, bundle: Path) -> None:
        """Remember a bundle; forget all once everything has one."""
        self.bundles[name] = bundle
        if set(self.bundles) == set(self.names):
            self.file.unlink(missing_ok=True)
            return
        kept = _Kept(self.names, {name: str(path) for name, path in self.bundles.items()})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        disk.overwrite(self.file, msgspec.json.encode(kept))


def name_of(cell: PlannedCell, start: int = 1) -> str:
    """Return the name of a start of a cell: its runtime and the plan's digest."""
    return f"{cell.runtime.value} {cell.plan.digest()} {start}"
