"""Pin models: ask the hub which files a revision consists of, and what their digests are.

The hub tells a large file's size and SHA-256 itself (it is its name in Git LFS); of a small file it
tells git's SHA-1 only, so the file is downloaded, held against that, and hashed. All of it rests on
the hub's own word over TLS: a mirror's is never taken, except in tests. The real hub was never
asked from here; `tests/stand_in_hub.py` stood in.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, TypeVar

import msgspec

from kit.bootstrap.hub import HUB, Hub
from kit.errors import KitError, SpecError, UsageError
from kit.plan.models import HubFile, HubModel, Revision, Sha256, parse_pin, render_pin

T = TypeVar("T")

WEIGHTS = ".safetensors"
CODE = (".py", ".bin", ".ckpt", ".pkl", ".pt", ".pth")
"""Code, and pickles, which are code too: nothing that comes with a model is to be run."""

Size = Annotated[int, msgspec.Meta(ge=0)]


class _LargeFile(msgspec.Struct, frozen=True):
    """Git LFS: `oid` is the file's SHA-256."""

    oid: Sha256
    size: Size


class _Entry(msgspec.Struct, frozen=True):
    """An entry of `/api/models/{repository}/tree/{revision}`; `oid` is git's SHA-1."""

    type: str
    path: str
    oid: str
    size: Size = 0
    lfs: _LargeFile | None = None


class _Card(msgspec.Struct, frozen=True):
    license: str | None = None


class _Repository(msgspec.Struct, frozen=True):
    """What `/api/models/{repository}` tells, as far as it matters."""

    sha: Revision
    cardData: _Card | None = None  # noqa: N815  # the hub's spelling


def require_the_hub_itself(hub: Hub) -> None:
    """Refuse a mirror: what it says of digests would be believed ever after."""
    if hub.endpoint.rstrip("/") != HUB:
        raise UsageError(
            f"HF_ENDPOINT is {hub.endpoint}, which is not the hub itself",
            f"digests are taken from {HUB} alone; a mirror may serve files, held against them",
            "unset HF_ENDPOINT",
        )


def lock(model: HubModel, hub: Hub) -> HubModel:
    """Return the model with its files as the hub has them, and its revision if it had none.

    Raises `SpecError` where the hub does not have what the model says, or contradicts itself.
    """
    wanted = f"/revision/{model.revision}" if model.revision else ""
    told = _told(hub, hub.api_address(model.repository, wanted), _Repository)
    if model.revision not in (None, told.sha):
        raise _contradiction(model, f"revision {model.revision} is {told.sha} there")
    _require_licence(model, told.cardData)
    at_revision = replace(model, revision=told.sha)
    pinned = replace(at_revision, files=tuple(_files(at_revision, hub)))
    if not any(file.name.endswith(WEIGHTS) for file in pinned.files):
        raise _contradiction(model, f"there is no {WEIGHTS} file at {told.sha}")
    return _readable(pinned, hub)


def require_same(pinned: HubModel, locked: HubModel) -> None:
    """Refuse another answer to the same question: the files of a commit never change."""
    if pinned.is_pinned and pinned.revision == locked.revision and pinned.files != locked.files:
        differing = {file.name for file in set(pinned.files) ^ set(locked.files)}
        raise SpecError(
            f"the hub now has other files of {locked.id} at {locked.revision}: "
            f"{', '.join(sorted(differing))}",
            "a commit's files never change: the pin was edited, or somebody is not honest",
            f"git log -p -- docker/models/{locked.id}.json",
        )


def _readable(pinned: HubModel, hub: Hub) -> HubModel:
    """Hold what the hub listed to what a pin may hold, such as names that need no quoting."""
    try:
        return parse_pin(render_pin(pinned), pinned.id, pinned)
    except SpecError as error:
        raise _unreadable(hub.api_address(pinned.repository), error.what) from error


def _files(model: HubModel, hub: Hub) -> Iterator[HubFile]:
    address = hub.api_address(model.repository, f"/tree/{model.revision}?recursive=true")
    for entry in sorted(_told(hub, address, list[_Entry]), key=lambda entry: entry.path):
        if entry.type == "file" and _is_wanted(entry.path):
            yield _large(model, entry, entry.lfs) if entry.lfs else _small(model, entry, hub)


def _is_wanted(path: str) -> bool:
    """Leave out git's own files and whatever could run."""
    is_hidden = any(part.startswith(".") for part in path.split("/"))
    return not is_hidden and not path.endswith(CODE)


def _large(model: HubModel, entry: _Entry, large: _LargeFile) -> HubFile:
    if entry.size != large.size:
        raise _contradiction(model, f"{entry.path} has {entry.size} bytes, and {large.size}")
    return HubFile(name=entry.path, size_bytes=large.size, sha256=large.oid)


def _small(model: HubModel, entry: _Entry, hub: Hub) -> HubFile:
    assert model.revision is not None
    data, _ = hub.get(hub.file_address(model.repository, model.revision, entry.path))
    if (len(data), _git_blob(data)) != (entry.size, entry.oid):
        raise _contradiction(
            model,
            f"{entry.path} has {len(data)} bytes and git's SHA-1 {_git_blob(data)}, "
            f"but is listed with {entry.size} and {entry.oid}",
        )
    return HubFile(name=entry.path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _git_blob(data: bytes) -> str:
    """Return the SHA-1 by which git knows a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _require_licence(model: HubModel, card: _Card | None) -> None:
    """Hold the licence against the model's card, where there is one, whatever its case."""
    said = card.license if card else None
    if said is not None and said.lower() != model.licence.lower():
        raise _contradiction(model, f"its licence is {said}, not {model.licence}")


def _told(hub: Hub, address: str, kind: type[T]) -> T:
    """Return what the API says; refuse what is not all of it."""
    data, headers = hub.get(address)
    if _has_more(headers):
        raise _unreadable(address, "a listing of more than one page")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _unreadable(address, str(error)) from error


def _has_more(headers: Mapping[str, str]) -> bool:
    return 'rel="next"' in headers.get("link", "")


def _unreadable(address: str, observed: str) -> KitError:
    return SpecError(
        f"cannot read {address}: {observed}",
        "the hub answers in another way than when this version of the kit was written",
        f"curl -L {address}",
    )


def _contradiction(model: HubModel, observed: str) -> KitError:
    return SpecError(
        f"the hub's word on {model.repository} does not fit: {observed}",
        "docker/models.toml says otherwise, or the hub contradicts itself",
        f"git diff -- docker/models.toml; curl {HUB}/api/models/{model.repository}",
    )
