"""Fetches a pinned model into a folder, from the hub or from another folder.

    python3 -m kit.bootstrap.fetch_model docker/models/moe.json /models/moe

Standard library alone: an image build runs it before anything is installed. A file gets its name
in the target only after its bytes there were hashed and found to be the pinned ones. Downloads are
kept beside the target (or in `--partial`) until the model is complete, so that the next run
continues them.

HF_ENDPOINT is another hub, HF_TOKEN (or the file HF_TOKEN_PATH) a token for private models. Tested
with `tests/stand_in_hub.py`, never with the real hub.
"""

import argparse
import errno
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.bootstrap.folder_lock import sole_user
from kit.bootstrap.hub import HUB, Attempts, Body, Hub, Transient
from kit.bootstrap.model_folder import (
    is_pinned,
    move,
    open_to_all,
    put,
    require_nothing_else,
    sha256,
)
from kit.bootstrap.pins import File, Pin, read_pin
from kit.errors import ExitCode, KitError, MachineError

_SPARE_BYTES = 64 * 2**20
_PROGRESS_EVERY_BYTES = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Folders of a fetch: the target, one for partial downloads, and a source.

    Without a source, or with an empty one, files come from the hub: an image build always mounts a
    folder there.
    """

    target: Path
    kept: Path | None = None
    source: Path | None = None

    @property
    def partial(self) -> Path:
        """Folder of downloads: the one to be kept, or one beside the target that is removed."""
        return self.kept or self.target.with_name(f".{self.target.name}.partial")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> ExitCode:
    """Fetch what the arguments name; errors go to standard error, in three parts."""
    options = _parse(arguments)
    places = Places(target=options.target, kept=options.partial, source=options.source)
    try:
        fetch(read_pin(options.pin), places, _hub(environment))
    except (KitError, OSError) as error:
        failure = error if isinstance(error, KitError) else _cannot_write(places, error)
        _say(f"error: {failure.what}\n  why:  {failure.why}\n  next: {failure.next_step}")
        return failure.exit_code
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to continue")
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def fetch(pin: Pin, places: Places, hub: Hub) -> None:
    """Fetch every file of a pin into the target, verified.

    Raises `KitError`; the target then holds verified files only.
    """
    try:
        places.target.mkdir(parents=True, exist_ok=True)
        with sole_user(places.target):
            require_nothing_else(pin, places.target)
            missing = [file for file in pin.files if not is_pinned(places.target / file.name, file)]
            if places.source is not None and any(places.source.iterdir()):
                _copy_all(missing, places.source, places.target)
            elif missing:
                _download_all(pin, missing, places, hub)
            open_to_all(pin, places.target)
    except OSError as error:
        raise _cannot_write(places, error) from error
    size = sum(file.size_bytes for file in pin.files)
    _say(f"{pin.model}: {len(pin.files)} files, {_size(size)}, verified: {places.target}")


def _download_all(pin: Pin, files: list[File], places: Places, hub: Hub) -> None:
    """Download all files, then move all: an interrupted image build loses the target."""
    places.partial.mkdir(parents=True, exist_ok=True)
    with sole_user(places.partial):
        _require_room(files, places)
        for file in files:
            _download(file, hub.file_address(pin.repository, pin.revision, file.name), places, hub)
        for file in files:
            move(_waiting(places, file), places.target, file)
            shutil.rmtree(places.partial / file.sha256, ignore_errors=True)
    if places.kept is None and not any(places.partial.iterdir()):
        places.partial.rmdir()


def _download(file: File, address: str, places: Places, hub: Hub) -> None:
    """Download one file, continuing an earlier download, and verify it."""
    path = _waiting(places, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    had_bytes = path.stat().st_size
    _say(f"{file.name}: {_size(file.size_bytes)}" + (f", has {_size(had_bytes)}" * (had_bytes > 0)))
    _fill(path, file, address, hub)
    if had_bytes and not is_pinned(path, file):  # the earlier download was damaged
        path.write_bytes(b"")
        _fill(path, file, address, hub)
    if not is_pinned(path, file):
        actual = sha256(path)
        path.unlink()
        raise MachineError(
            f"{file.name} is not the pinned file: SHA-256 {actual}",
            f"expected {file.sha256}; the hub, a mirror or a proxy sent other bytes, now removed",
            f"HF_ENDPOINT={HUB} and the same command again",
        )


def _fill(path: Path, file: File, address: str, hub: Hub) -> None:
    """Request the missing bytes until the file has its size."""
    attempts = Attempts(hub.pause)
    if path.stat().st_size > file.size_bytes:
        path.write_bytes(b"")
    while (done_bytes := path.stat().st_size) < file.size_bytes:
        try:
            with hub.opened(address, done_bytes) as body:
                _require_as_pinned(body, file, address)
                _append(path, file, body)
        except Transient as failure:
            attempts.failed(address, failure, path.stat().st_size)


def _require_as_pinned(body: Body, file: File, address: str) -> None:
    """Raise `MachineError` before the download where the headers show another file.

    The hub's ETag is the SHA-256 of a large file; of a small file it is git's SHA-1, which is not
    pinned.
    """
    revision = re.search(r"/resolve/([0-9a-f]{40})/", address)
    etag = body.said.get("x-linked-etag", "").strip('"')
    facts = (
        ("size", str(body.total or file.size_bytes), str(file.size_bytes)),
        ("size", body.said.get("x-linked-size") or str(file.size_bytes), str(file.size_bytes)),
        ("SHA-256", etag if len(etag) == len(file.sha256) else file.sha256, file.sha256),
        ("revision", body.said.get("x-repo-commit"), revision[1] if revision else None),
    )
    for name, reported, pinned in facts:
        if None not in (reported, pinned) and reported != pinned:
            raise MachineError(
                f"{address} has the {name} {reported}, as the hub reports it",
                f"expected {pinned}; the files of a revision never change",
                f"HF_ENDPOINT={HUB} and the same command again",
            )


def _append(path: Path, file: File, body: Body) -> None:
    """Write what arrives at its offset, up to the file's size."""
    with path.open("r+b") as out:
        out.truncate(body.start)
        out.seek(body.start)
        left = file.size_bytes - body.start
        for piece in body.pieces:
            out.write(piece[:left])
            _tell_progress(file, left, left - len(piece))
            left -= len(piece)
            if left < 0:
                break
    if left > 0:
        raise Transient(f"the connection closed {left} bytes before the end")


def _tell_progress(file: File, left_before: int, left: int) -> None:
    if left_before // _PROGRESS_EVERY_BYTES > left // _PROGRESS_EVERY_BYTES:
        _say(f"  {_size(max(left, 0))} to go of {file.name}")


def _copy_all(files: list[File], source: Path, target: Path) -> None:
    """Copy files from a folder; each is verified after it was copied."""
    for file in files:
        path = source / file.name
        if not path.is_file():
            raise MachineError(
                f"{file.name} is not in the folder of the model's files",
                "the folder of --from must have every file of the model",
                f"ls -l {path}",
            )
        _say(f"{file.name}: {_size(file.size_bytes)}")
        put(path, target, file)


def _require_room(files: list[File], places: Places) -> None:
    """Raise `MachineError` before the download where the disk is too small."""
    needed = {places.partial: _SPARE_BYTES}
    for file in files:
        path = _waiting(places, file)
        has_bytes = path.stat().st_size if path.exists() else 0
        needed[places.partial] += max(file.size_bytes - has_bytes, 0)
    if places.partial.stat().st_dev != places.target.stat().st_dev:
        needed[places.target] = _SPARE_BYTES + sum(file.size_bytes for file in files)
    for folder, size in needed.items():
        free = shutil.disk_usage(folder).free
        if free < size:
            raise MachineError(
                f"{folder} has {_size(free)} free", f"needs {_size(size)}", f"df -h {folder}"
            )


def _waiting(places: Places, file: File) -> Path:
    """Return the path of a download: in a folder named by the file's digest."""
    return places.partial / file.sha256 / file.name


def _hub(environment: Mapping[str, str]) -> Hub:
    """Return the hub of the environment variables that `huggingface_hub` uses."""
    token, path = environment.get("HF_TOKEN"), Path(environment.get("HF_TOKEN_PATH") or "/nowhere")
    if not token and path.is_file():
        token = path.read_text(encoding="ascii", errors="replace").strip()
    return Hub(endpoint=environment.get("HF_ENDPOINT") or HUB, token=token or None)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m kit.bootstrap.fetch_model",
        description="Fetch a pinned model into a folder, and verify every byte.",
        epilog="Exit codes: 0 done, 2 usage, 3 not pinned or a bad pin, 4 the machine lacks "
        "something (network, disk, the right bytes), 130 interrupted.",
    )
    parser.add_argument("pin", type=Path, help="docker/models/MODEL.json")
    parser.add_argument("target", type=Path, help="the model's folder")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="take the files from here instead of the hub, unless the folder is empty",
    )
    parser.add_argument(
        "--partial", type=Path, metavar="DIR", help="folder for downloads until all are complete"
    )
    return parser.parse_args(arguments)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 10**8 else f"{size_bytes} bytes"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _cannot_write(places: Places, error: OSError) -> MachineError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return MachineError(
        f"cannot read or write {error.filename or places.target}: {error.strerror or error}",
        "the disk is full" if full else "the folder does not exist, or this user may not write it",
        f"df -h {places.target.parent}" if full else f"ls -la {places.target.parent}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
