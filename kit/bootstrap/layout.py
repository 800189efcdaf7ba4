"""Where the set-up keeps things. Everything is under `.kit/` in the checkout."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths that the set-up reads and writes, all derived from the checkout's root."""

    root: Path

    @property
    def state(self) -> Path:
        """All state of the set-up; never committed."""
        return self.root / ".kit"

    @property
    def installer(self) -> Path:
        """A small environment that holds uv and nothing else."""
        return self.state / "installer"

    @property
    def uv(self) -> Path:
        """The uv executable."""
        return self.installer / "bin" / "uv"

    @property
    def cache(self) -> Path:
        """The cache of uv: on the same file system as the environments, so that hard links work."""
        return self.state / "uv-cache"

    @property
    def log(self) -> Path:
        """What every tool said in the last set-up that had work to do."""
        return self.state / "setup.log"

    @property
    def mutex(self) -> Path:
        """Locked by the one set-up that may run at a time."""
        return self.state / "setup.mutex"

    def lock(self, name: str) -> Path:
        """The hash-locked requirements called `name`."""
        return self.root / "docker" / f"{name}.lock"

    def requirements(self, name: str) -> Path:
        """The hand-written requirements that the lock called `name` is compiled from."""
        return self.root / "docker" / f"{name}.in"


def checkout() -> Layout:
    """The checkout that this very file belongs to."""
    return Layout(root=Path(__file__).resolve().parents[2])
