"""Keep twins on disk: make one when it is not there or not intact, else use the one that is.

A twin appears under its name all at once or not at all, and everyone may read it, since an engine
in a container runs as another user. Does not know what is in its files: that is
`kit.twins.checkpoint`.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from kit.bootstrap.folder_lock import sole_user
from kit.errors import MachineError, SpecError
from kit.plan.models import WEIGHTS, Twin
from kit.twins.checkpoint import small_files, weight_chunks

_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_READ_BY_ALL = 0o444


def ensure_twin(model: Twin, root: Path) -> Path:
    """Return the directory of `model` under `root`, making or replacing it where needed.

    Several processes may do so at once: one makes it, the others wait and use it. Raises
    `SpecError` when what is made is not what `model.sha256` pins, `MachineError` when it cannot be
    written.
    """
    files = small_files_of(model)
    home = root / model.id
    try:
        if not _intact(home, files, model.sha256):
            _make_root(root)
            with sole_user(root):
                if not _intact(home, files, model.sha256):
                    _replace(model, files, home)
    except OSError as error:
        raise _cannot_write(model, root, error) from error
    return home


def small_files_of(model: Twin) -> Mapping[str, bytes]:
    """Return every file of `model` but its weights, by name."""
    return small_files(model, _shipped("tokenizer.json"), _shipped("chat_template.jinja"))


def _replace(model: Twin, files: Mapping[str, bytes], home: Path) -> None:
    """Make `home` anew beside its place and move it in; what was there goes with the scratch."""
    scratch_prefix = f".{model.id}-"
    for left_by_a_killed_process in home.parent.glob(f"{scratch_prefix}*"):
        shutil.rmtree(left_by_a_killed_process)
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
    """Write the weights and return their sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in weight_chunks(model):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _intact(home: Path, files: Mapping[str, bytes], weights_sha256: str) -> bool:
    """Tell whether `home` holds these files, these weights, and everyone may read them."""
    try:
        return (
            all(_readable_by_all(home / name) for name in (*files, WEIGHTS))
            and all(home.joinpath(name).read_bytes() == data for name, data in files.items())
            and _sha256(home / WEIGHTS) == weights_sha256
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _readable_by_all(path: Path) -> bool:
    return path.stat().st_mode & _READ_BY_ALL == _READ_BY_ALL


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            f"{model.id}: the weights made from its seed have sha256 {sha256}",
            f"{model.sha256 or 'nothing'} is pinned: its seed or config was changed",
            f'git diff -- docker/models.toml, or, if meant so, set there sha256 = "{sha256}"',
        )


def _cannot_write(model: Twin, root: Path, error: OSError) -> MachineError:
    what = f"cannot make the twin {model.id} in {root}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return MachineError(what, "the disk or the quota is full", f"df -h {root}")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return MachineError(what, "the folder may not be written to", f"ls -ld {root}")
        case _:
            return MachineError(what, "the file system refused it", f"ls -la {root}")
