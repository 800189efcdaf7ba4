"""What an interrupted `kit bench` has measured, so that the same command goes on from there.

Kept in `.kit/unfinished.json` from the first bundle until all cells are measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.edge.cells import PlannedCell
from kit.edge.files import disk

FILE = "unfinished.json"


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cells of a command, and the bundle of each that was measured, by the plan's digest."""

    cells: tuple[str, ...]
    bundles: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unfinished:
    """The state of one command: its cells by name, and the bundles so far."""

    file: Path
    cells: tuple[str, ...]
    bundles: dict[str, Path]

    @classmethod
    def of(cls, cells: Iterable[PlannedCell], results: Path, state: Path) -> "Unfinished":
        """Return what an earlier command with the same cells has left; nothing of another one."""
        file, names = state / FILE, tuple(map(_name, cells))
        bundles: dict[str, Path] = {}
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            kept = None
        if kept is not None and kept.cells == names:
            paths = {name: Path(path) for name, path in kept.bundles.items()}
            bundles = {
                name: path
                for name, path in paths.items()
                if path.is_dir() and path.parent == results
            }
        return cls(file=file, cells=names, bundles=bundles)

    def measured(self, cell: PlannedCell) -> Path | None:
        """Return the bundle of a cell that was measured before the interruption."""
        return self.bundles.get(_name(cell))

    def keep(self, cell: PlannedCell, bundle: Path) -> None:
        """Remember a cell's bundle; forget all once every cell has one."""
        self.bundles[_name(cell)] = bundle
        if set(self.bundles) == set(self.cells):
            self.file.unlink(missing_ok=True)
            return
        kept = _Kept(self.cells, {name: str(path) for name, path in self.bundles.items()})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        disk.overwrite(self.file, msgspec.json.encode(kept))


def _name(cell: PlannedCell) -> str:
    return f"{cell.runtime.value} {cell.plan.digest()}"
