"""Lists and downloads the files of a model of the Hugging Face hub, while its image is built.

    python3 fetch_model.py list REPOSITORY REVISION
    python3 fetch_model.py fetch LIST TARGET --partial DIR

`list` prints the name, size and SHA-256 of every file of a revision as JSON. For a large file the
hub lists its SHA-256 (its name in Git LFS); for a small one it lists git's SHA-1 only: that file is
downloaded, compared with it, and hashed.

`fetch` downloads the files of such a list. A file reaches the target only after its bytes were
hashed and found to be the listed ones. A complete file stays in DIR until all are, so that the next
build downloads what is missing; of a file that broke off, the hub's client keeps nothing.

HF_ENDPOINT is another hub, HF_TOKEN a token; a file of that name in /run/secrets is used before
the variable. Tested with tests/stand_in_hub.py; the real hub could not be reached.
"""

import argparse
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Plain HTTP, which the tests see; hf_xet was never tried. Read by huggingface_hub at its import.
os.environ.update(HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_SYMLINKS_WARNING="1")

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

HUB = "https://huggingface.co"
SECRETS = Path("/run/secrets")
CODE = (".py", ".bin", ".ckpt", ".pkl", ".pt", ".pth")
"""Code, and pickles, which may run code: never part of a model here."""

MACHINE_LACKS, INTERRUPTED = 4, 130
RATE_AFTER_BYTES = 100 * 10**6
PROGRESS_EVERY_S = 15.0
ATTEMPTS = 5


class Failure(Exception):
    """What failed, the likely cause, and what to do next."""

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(what)
        self.lines = f"error: {what}\n  why:  {why}\n  next: {next_step}"


def main(arguments: Sequence[str]) -> int:
    """Run one of the two commands; return the exit code."""
    options = _parse(arguments)
    hub = HfApi(endpoint=_setting("HF_ENDPOINT") or HUB, token=_setting("HF_TOKEN") or False)
    try:
        if options.command == "list":
            print(json.dumps(listing(hub, options.repository, options.revision), indent=2))
        else:
            fetch(hub, json.loads(options.list.read_bytes()), options.target, options.partial)
    except Failure as failure:
        _say(failure.lines)
        return MACHINE_LACKS
    except OSError as error:
        _say(_cannot_write(error).lines)
        return MACHINE_LACKS
    except KeyboardInterrupt:
        print(
            "interrupted; the same command again keeps every file that is complete", file=sys.stderr
        )
        return INTERRUPTED
    return 0


def listing(hub: HfApi, repository: str, revision: str) -> dict[str, Any]:
    """Return a revision's files as the hub lists them, without code and git's own files."""
    with _understood(hub, repository, revision):
        info = hub.model_info(repository, revision=revision, files_metadata=True)
        if info.sha != revision:
            raise Failure(
                f"the hub answers for revision {info.sha}, not for {revision}",
                "the server is not the hub, or the revision is not a commit",
                f"curl -L {hub.endpoint}/api/models/{repository}/revision/{revision}",
            )
        entries = [it for it in info.siblings or () if _belongs(it.rfilename)]
        files = [
            {
                "name": it.rfilename,
                "size_bytes": it.size,
                "sha256": _digest(hub, it, info.id, revision),
            }
            for it in sorted(entries, key=lambda it: it.rfilename)
        ]
    return {
        "repository": repository,
        "revision": revision,
        "listed_by": "hub" if hub.endpoint.rstrip("/") == HUB else "mirror",
        "files": files,
    }


def fetch(hub: HfApi, wanted: Mapping[str, Any], target: Path, partial: Path) -> None:
    """Download every file of a list, verify each, and then move all into the target."""
    repository, revision, files = wanted["repository"], wanted["revision"], wanted["files"]
    downloads = partial / revision
    downloads.mkdir(parents=True, exist_ok=True)
    _require_room(files, downloads)
    with _progress(downloads, sum(file["size_bytes"] for file in files)):
        for file in files:
            _download(hub, repository, revision, file, downloads)
    for file in files:
        path = target / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(downloads / file["name"], path)
    _open_to_all(target)
    shutil.rmtree(downloads)
    _say(f"{repository}: {len(files)} files, verified")


def _download(
    hub: HfApi, repository: str, revision: str, file: Mapping[str, Any], folder: Path
) -> None:
    """Download one file, or go on with it; raise `Failure` where its bytes are others."""
    name = file["name"]
    with _understood(hub, repository, revision):
        path = _again_after_a_reset(
            lambda: hub.hf_hub_download(repository, name, revision=revision, local_dir=folder)
        )
    digest = _sha256(path)
    if digest != file["sha256"]:
        path.unlink()
        raise Failure(
            f"{name} is not the listed file: SHA-256 {digest}",
            f"expected {file['sha256']}; the hub, a mirror or a proxy sent other bytes",
            "the same command again: this file is downloaded anew",
        )


def _again_after_a_reset(download: Callable[[], str]) -> Path:
    """Download a file anew where its connection was reset: the hub's client gives up on that."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return Path(download())
        except httpx2.ReadError as error:
            _say(f"{_words(error)}; attempt {attempt + 2} of {ATTEMPTS}")
            time.sleep(1)
    return Path(download())


def _digest(hub: HfApi, entry: RepoSibling, repository: str, revision: str) -> str:
    """Return a listed file's SHA-256; a small file is read for it."""
    if entry.lfs is not None:
        return entry.lfs.sha256
    with tempfile.TemporaryDirectory() as folder:
        path = hub.hf_hub_download(repository, entry.rfilename, revision=revision, local_dir=folder)
        data = Path(path).read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if (len(data), blob) != (entry.size, entry.blob_id):
        raise Failure(
            f"{entry.rfilename} has {len(data)} bytes and git's SHA-1 {blob}",
            f"the hub lists it with {entry.size} bytes and {entry.blob_id}",
            "the same command again; if it stays so, without a mirror or a proxy",
        )
    return hashlib.sha256(data).hexdigest()


def _belongs(name: str) -> bool:
    """Return whether a file is neither git's own nor code."""
    is_hidden = any(part.startswith(".") for part in name.split("/"))
    return not is_hidden and not name.endswith(CODE)


@contextmanager
def _understood(hub: HfApi, repository: str, revision: str) -> Iterator[None]:
    """Turn what the client of the hub raises into a `Failure`, with the hub's own words."""
    try:
        yield
    except RevisionNotFoundError as error:
        raise Failure(
            f"the hub has no revision {revision} of {repository} (any more)",
            f"its owner may have rewritten the history; its newest is {_newest(hub, repository)}",
            "a newer version of the kit, or WEIGHTS=DIR with files of the old revision",
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError) as error:
        if isinstance(error, RepositoryNotFoundError) or _status(error) in (401, 403):
            raise Failure(
                f"the hub refuses {repository}: {_words(error)}",
                "it is private, gated or gone, or HF_TOKEN is not valid",
                "HF_TOKEN=... and the same command again",
            ) from error
        raise Failure(
            f"cannot get {repository} from {hub.endpoint}: {_words(error)}",
            "no network, a proxy that is not set, or a hub that is down",
            "the same command again: it keeps every file that is complete",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"{hub.endpoint} does not answer as a hub: {_words(error)}",
            "HF_ENDPOINT is not a hub, or a proxy answers in its place",
            f"HF_ENDPOINT={HUB} and the same command again",
        ) from error
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise Failure(
            f"{hub.endpoint} contradicts itself on {repository}: {_words(error)}",
            "the hub, a mirror or a proxy is at fault",
            "the same command again",
        ) from error


def _status(error: Exception) -> int | None:
    """Return the status of a refusal; None where none arrived."""
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    return cause.response.status_code if isinstance(cause, HfHubHTTPError) else None


def _newest(hub: HfApi, repository: str) -> str:
    try:
        return str(hub.model_info(repository).sha)
    except (OSError, ValueError, httpx2.HTTPError):
        return "unknown"


def _words(error: Exception) -> str:
    """Return an error's first lines, and its cause's, on one line."""
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
    text = str(cause or error).partition("For more information")[0]
    return " ".join(text.split())[:300] or type(error).__name__


def _require_room(files: Sequence[Mapping[str, Any]], downloads: Path) -> None:
    """Raise `Failure` before the download where the disk is too small for what is missing."""
    needed = sum(file["size_bytes"] for file in files) - _bytes_in(downloads)
    free = shutil.disk_usage(downloads).free
    if free < needed:
        raise Failure(
            f"{_gb(free)} of disk are free for downloads",
            f"{_gb(needed)} are needed, and as much again for the image",
            "docker builder prune; docker image prune; df -h",
        )


@contextmanager
def _progress(folder: Path, total_bytes: int) -> Iterator[None]:
    """Print how far the download is, and how long it still takes once a rate is known."""
    stop = threading.Event()
    start_s, start_bytes = time.monotonic(), _bytes_in(folder)

    def watch() -> None:
        while not stop.wait(PROGRESS_EVERY_S):
            done = _bytes_in(folder)
            rate = (done - start_bytes) / (time.monotonic() - start_s)
            line = f"{_gb(done)} of {_gb(total_bytes)}"
            if done - start_bytes >= RATE_AFTER_BYTES:
                minutes = (total_bytes - done) / rate / 60
                line += f", {rate / 1e6:.0f} MB/s, about {minutes:.0f} minutes left"
            _say(line)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bytes_in(folder: Path) -> int:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in paths)


def _open_to_all(target: Path) -> None:
    """Let all users read, since another one serves; set one time, so that layers are equal."""
    for path in (*target.rglob("*"), target):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (0, 0))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _setting(name: str) -> str:
    """Return a secret of the build, or else a variable; empty where there is neither."""
    secret = SECRETS / name
    return secret.read_text().strip() if secret.is_file() else os.environ.get(name, "")


def _cannot_write(error: OSError) -> Failure:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Failure(
        f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}",
        "the disk is full" if is_full else "the folder is not there, or not writable",
        "df -h" if is_full else "the same command again",
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fetch_model.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    list_ = commands.add_parser("list", help="print the files of a revision")
    list_.add_argument("repository")
    list_.add_argument("revision")
    fetch_ = commands.add_parser("fetch", help="download the files of a list")
    fetch_.add_argument("list", type=Path)
    fetch_.add_argument("target", type=Path)
    fetch_.add_argument("--partial", type=Path, required=True, metavar="DIR")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
