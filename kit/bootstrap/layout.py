"""Paths of the set-up; all that it writes is under `.kit/` in the checkout."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Paths, all relative to the checkout's root."""

    root: Path

    @property
    def state(self) -> Path:
        """The folder of all state; never committed."""
        return self.root / ".kit"

    @property
    def installer(self) -> Path:
        """The environment of uv."""
        return self.state / "installer"

    @property
    def uv(self) -> Path:
        """The uv executable."""
        return self.installer / "bin" / "uv"

    @property
    def cache(self) -> Path:
        """The cache of uv, on the environments' file system, so that hard links work."""
        return self.state / "uv-cache"

    @property
    def log(self) -> Path:
        """The output of every program of the last set-up that installed something."""
        return self.state / "setup.log"

    @property
    def mutex(self) -> Path:
        """The lock file of a running set-up."""
        return self.state / "setup.mutex"

    def lock(self, name: str) -> Path:
        """The hash-locked requirements called `name`."""
        return self.root / "docker" / f"{name}.lock"

    def requirements(self, name: str) -> Path:
        """The hand-written requirements that the lock called `name` is compiled from."""
        return self.root / "docker" / f"{name}.in"


def checkout() -> Layout:
    """The layout of the checkout that this file is in."""
    return Layout(root=Path(__file__).resolve().parents[2])
