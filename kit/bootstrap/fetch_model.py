"""Bring a pinned model into a folder: from the hub, or from a folder that holds it already.

    python3 -m kit.bootstrap.fetch_model docker/models/moe.json /models/moe

Standard library alone: an image build runs it before anything is installed. A file appears in the
target under its name only after all its bytes were hashed there and found to be the pinned ones,
whatever a hub, a mirror, a proxy or a disk did to them. What was downloaded so far is kept beside
the target (or in `--partial`) until the model is whole, so that the next run goes on from there.

HF_ENDPOINT names another hub, HF_TOKEN (or HF_TOKEN_PATH, a file) a token for private models. The
real hub and the models' 18 GB were never fetched with this yet; `tests/stand_in_hub.py` stood in.
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
_TOLD_EVERY_BYTES = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where files come from, wait, and go.

    Without a source, or with an empty one, they come from the hub: an image build always mounts a
    folder there.
    """

    target: Path
    kept: Path | None = None
    source: Path | None = None

    @property
    def partial(self) -> Path:
        """Where downloads wait: a folder to be kept, or one beside the target that goes."""
        return self.kept or self.target.with_name(f".{self.target.name}.partial")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> ExitCode:
    """Fetch what the arguments name; errors go to standard error, in three parts."""
    options = _parse(arguments)
    places = Places(target=options.target, kept=options.partial, source=options.source)
    try:
        fetch(read_pin(options.pin), places, _hub(environment))
    except (KitError, OSError) as error:
        told = error if isinstance(error, KitError) else _cannot_write(places, error)
        _say(f"error: {told.what}\n  why:  {told.why}\n  next: {told.next_step}")
        return told.exit_code
    except KeyboardInterrupt:
        _say("interrupted; the same command again goes on from here")
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def fetch(pin: Pin, places: Places, hub: Hub) -> None:
    """Bring every file of a pin into the target, verified.

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
    """Download all files, then move all: an image layer that broke off would be lost as a whole."""
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
    """Bring one file into its waiting place, going on from what is there already, and verify it."""
    path = _waiting(places, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    had_bytes = path.stat().st_size
    _say(f"{file.name}: {_size(file.size_bytes)}" + (f", has {_size(had_bytes)}" * (had_bytes > 0)))
    _fill(path, file, address, hub)
    if had_bytes and not is_pinned(path, file):  # an earlier run left something else
        path.write_bytes(b"")
        _fill(path, file, address, hub)
    if not is_pinned(path, file):
        found = sha256(path)
        path.unlink()
        raise MachineError(
            f"{file.name} is not the pinned file: SHA-256 {found}",
            f"{file.sha256} is pinned; the hub, a mirror or a proxy sent other bytes, now removed",
            f"HF_ENDPOINT={HUB} and the same command again",
        )


def _fill(path: Path, file: File, address: str, hub: Hub) -> None:
    """Ask for what is missing until the file has its size."""
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
    """Refuse early what says of itself that it is another file: its bytes may be gigabytes.

    The hub's ETag for a large file is its SHA-256, for a small one git's SHA-1 of it, which is not
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
    for name, said, pinned in facts:
        if None not in (said, pinned) and said != pinned:
            raise MachineError(
                f"{address} is of {name} {said}, by the hub's own word",
                f"{pinned} is pinned, and a revision's files never change",
                f"HF_ENDPOINT={HUB} and the same command again",
            )


def _append(path: Path, file: File, body: Body) -> None:
    """Write what arrives at its place, and never more than the file's size."""
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
        raise Transient(f"it broke off {left} bytes before the end")


def _tell_progress(file: File, left_before: int, left: int) -> None:
    if left_before // _TOLD_EVERY_BYTES > left // _TOLD_EVERY_BYTES:
        _say(f"  {_size(max(left, 0))} to go of {file.name}")


def _copy_all(files: list[File], source: Path, target: Path) -> None:
    """Copy files from a folder; each is verified after it was copied."""
    for file in files:
        path = source / file.name
        if not path.is_file():
            raise MachineError(
                f"{file.name} is not in the folder of the model's files",
                "a folder that is handed in must hold every file of the model",
                f"ls -l {path}",
            )
        _say(f"{file.name}: {_size(file.size_bytes)}")
        put(path, target, file)


def _require_room(files: list[File], places: Places) -> None:
    """Refuse before the first byte what would fill a disk after an hour."""
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
                f"{folder} has {_size(free)} free", f"{_size(size)} are needed", f"df -h {folder}"
            )


def _waiting(places: Places, file: File) -> Path:
    """Return where a file is until all are there: by its digest, so that nothing else is there."""
    return places.partial / file.sha256 / file.name


def _hub(environment: Mapping[str, str]) -> Hub:
    """Return the hub that the environment names, in the words of the hub's own client."""
    token, path = environment.get("HF_TOKEN"), Path(environment.get("HF_TOKEN_PATH") or "/nowhere")
    if not token and path.is_file():
        token = path.read_text(encoding="ascii", errors="replace").strip()
    return Hub(endpoint=environment.get("HF_ENDPOINT") or HUB, token=token or None)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m kit.bootstrap.fetch_model",
        description="Bring a pinned model into a folder, every byte verified.",
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
        "--partial", type=Path, metavar="DIR", help="where downloads wait until all are there"
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
        "the disk is full" if full else "the folder must exist, or be creatable, and be yours",
        f"df -h {places.target.parent}" if full else f"ls -la {places.target.parent}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
