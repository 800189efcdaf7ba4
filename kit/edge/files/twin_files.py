"""Makes the twins' folders: a twin that is missing or damaged is made again.

A folder appears under its name complete or not at all. All users may read it, since an engine in a
container runs as another user. The content of the files is from `kit.twins.checkpoint`.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from kit.edge.files import disk
from kit.edge.files.folder_lock import exclusive
from kit.errors import MachineError, SpecError
from kit.plan.models import WEIGHTS, Twin
from kit.twins.checkpoint import small_files, weight_chunks

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_READ_BY_ALL = 0o444


def ensure_twin(model: Twin, root: Path) -> Path:
    """Return the folder of `model` under `root`, making or replacing it where needed.

    Of several processes one makes it, and the others wait. Raises `SpecError` where the weights do
    not have the pinned SHA-256, `MachineError` where they cannot be written.
    """
    files = small_files_of(model)
    home = root / model.id
    try:
        if not _intact(home, files, model.sha256):
            _make_root(root)
            with exclusive(root):
                if not _intact(home, files, model.sha256):
                    _replace(model, files, home)
    except OSError as error:
        raise _cannot_write(model, root, error) from error
    return home


def small_files_of(model: Twin) -> Mapping[str, bytes]:
    """Return all files of `model` by name, except its weights."""
    return small_files(model, _shipped("tokenizer.json"), _shipped("chat_template.jinja"))


def _replace(model: Twin, files: Mapping[str, bytes], home: Path) -> None:
    """Make the folder in a scratch folder beside `home`, then rename it over the old one."""
    scratch_prefix = f".{model.id}-"
    for leftover in home.parent.glob(f"{scratch_prefix}*"):  # of a killed process
        shutil.rmtree(leftover)
    with TemporaryDirectory(prefix=scratch_prefix, dir=home.parent) as scratch:
        fresh = Path(scratch, "fresh")
        fresh.mkdir()
        for name, data in files.items():
            fresh.joinpath(name).write_bytes(data)
        _require_pin(model, _write_weights(model, fresh / WEIGHTS))
        _open_to_all(fresh)
        if os.path.lexists(home):
            home.rename(Path(scratch, "stale"))
        fresh.rename(home)


def _write_weights(model: Twin, path: Path) -> str:
    """Write the weights and return their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in weight_chunks(model):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _intact(home: Path, files: Mapping[str, bytes], weights_sha256: str) -> bool:
    """Return whether `home` has these files and weights, readable by all."""
    try:
        return (
            all(_readable_by_all(home / name) for name in (*files, WEIGHTS))
            and all(home.joinpath(name).read_bytes() == data for name, data in files.items())
            and disk.sha256(home / WEIGHTS) == weights_sha256
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _readable_by_all(path: Path) -> bool:
    return path.stat().st_mode & _READ_BY_ALL == _READ_BY_ALL


def _open_to_all(directory: Path) -> None:
    directory.chmod(_DIRECTORY_MODE)
    for path in directory.iterdir():
        path.chmod(_FILE_MODE)


def _make_root(root: Path) -> None:
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(_DIRECTORY_MODE)


def _shipped(name: str) -> bytes:
    return resources.files("kit.twins").joinpath(name).read_bytes()


def _require_pin(model: Twin, sha256: str) -> None:
    if sha256 != model.sha256:
        raise SpecError(
            f"{model.id}: the weights made from its seed have SHA-256 {sha256}",
            f"expected {model.sha256 or 'none'}: its seed or config was changed",
            f'git diff -- docker/models.toml; if intended, set there sha256 = "{sha256}"',
        )


def _cannot_write(model: Twin, root: Path, error: OSError) -> MachineError:
    what = f"cannot make the twin {model.id} in {root}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return MachineError(what, "the disk or the quota is full", f"df -h {root}")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return MachineError(what, "this user may not write the folder", f"ls -ld {root}")
        case _:
            return MachineError(what, "the file system failed", f"ls -la {root}")
