"""Weights that are on this host already: found in a folder or the hub's cache, and verified."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.bundle.document import ModelFile
from kit.bundle.host_facts import ModelSource
from kit.errors import MachineError, UsageError
from kit.plan.models import WEIGHTS_SUFFIX, FileList, HubModel, ListedBy


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A model's verified files in `folder`; `blobs` is where the links of the hub's cache lead."""

    folder: Path
    blobs: Path | None
    files: tuple[ModelFile, ...]
    source: ModelSource

    def variables(self, model: str) -> dict[str, str]:
        """Return the variables of `compose/weights/gpu.yaml`."""
        name = model.upper().replace("-", "_")
        blobs = {} if self.blobs is None else {f"KIT_BLOBS_{name}": str(self.blobs)}
        return {f"KIT_WEIGHTS_{name}": str(self.folder), **blobs}


def verified(root: Path, model: HubModel, listed: FileList | None) -> Weights:
    """Return a model's files below `root`, each compared with its listed or shipped SHA-256.

    Without a list the folder's own files count as one that nobody gave. Raises `UsageError` where
    there are no such files, and `MachineError` where they are others.
    """
    folder = _folder(root, model)
    names = [file.name for file in listed.files] if listed else sorted(_names(folder))
    _require_no_other_weights(folder, names)
    expected = {**model.shipped_sha256}
    if listed is not None:
        expected |= {file.name: file.sha256 for file in listed.files}
    files = tuple(_file(folder, name, expected.get(name)) for name in names)
    blobs = folder.parent.parent / "blobs"
    return Weights(
        folder=folder,
        blobs=blobs if folder.parent.name == "snapshots" and blobs.is_dir() else None,
        files=files,
        source=ModelSource(
            repository=model.repository,
            revision=model.revision,
            listed_by=ListedBy.NOBODY if listed is None else listed.listed_by,
        ),
    )


def _folder(root: Path, model: HubModel) -> Path:
    """Return the folder of a model: in the hub's cache, by the model's id, or `root` itself."""
    snapshot = Path(f"models--{model.repository.replace('/', '--')}", "snapshots", model.revision)
    candidates = (root / snapshot, root / "hub" / snapshot, root / model.id, root)
    for folder in candidates:
        if (folder / "config.json").is_file():
            return folder.absolute()
    raise UsageError(
        f"WEIGHTS={root} has no files of {model.id}",
        f"looked for config.json in {', '.join(map(str, candidates))}",
        f"WEIGHTS=DIR, a folder with the files of {model.repository} at {model.revision}",
    )


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _require_no_other_weights(folder: Path, names: list[str]) -> None:
    """Raise `MachineError` for weights that are not the model's: an engine would load them too."""
    others = [
        name for name in _names(folder) if name.endswith(WEIGHTS_SUFFIX) and name not in names
    ]
    if others:
        raise MachineError(
            f"{folder} holds {others[0]}, which is not a file of the model",
            "an engine loads every weight file of its folder",
            f"move it away: {folder / others[0]}",
        )


def _file(folder: Path, name: str, expected: str | None) -> ModelFile:
    """Hash a file; raise `MachineError` where it is missing or another than expected."""
    path = folder / name
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MachineError(
            f"cannot read {path}: {error.strerror}",
            "a file of the model is missing, or this user may not read it",
            f"ls -lL {path}",
        ) from error
    if expected not in (None, sha256):
        raise MachineError(
            f"{path} is not the model's file: SHA-256 {sha256}",
            f"expected {expected}",
            "download it again, or leave WEIGHTS out",
        )
    return ModelFile(name=name, size_bytes=path.stat().st_size, sha256=sha256)
