"""Pins models: reads the files of a revision, with their digests, from the hub's API.

For a large file the hub lists size and SHA-256 (its name in Git LFS). For a small file it lists
git's SHA-1 only: the file is downloaded, compared with that, and hashed. A pin trusts the hub and
TLS; mirrors are refused, except in tests. Tested with `tests/stand_in_hub.py`, never with the real
hub.
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
"""Code and pickles (which may run code) are not part of a pin."""

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
    """The used part of `/api/models/{repository}`."""

    sha: Revision
    cardData: _Card | None = None  # noqa: N815  # the hub's spelling


def require_the_hub_itself(hub: Hub) -> None:
    """Raise `UsageError` for a mirror: its digests would be trusted from then on."""
    if hub.endpoint.rstrip("/") != HUB:
        raise UsageError(
            f"HF_ENDPOINT is {hub.endpoint}, which is not the hub itself",
            f"digests are read from {HUB} only; a mirror may serve the files",
            "unset HF_ENDPOINT",
        )


def lock(model: HubModel, hub: Hub) -> HubModel:
    """Return the model with its files in the hub, at the newest revision if it names none.

    Raises `SpecError` where the hub's answers do not fit the model, its earlier pin, or each other.
    """
    revision = f"/revision/{model.revision}" if model.revision else ""
    repository = _get(hub, hub.api_address(model.repository, revision), _Repository)
    if model.revision not in (None, repository.sha):
        raise _contradiction(model, f"revision {model.revision} is {repository.sha} there")
    _require_licence(model, repository.cardData)
    at_revision = replace(model, revision=repository.sha)
    locked = replace(at_revision, files=tuple(_files(at_revision, hub)))
    if not any(file.name.endswith(WEIGHTS) for file in locked.files):
        raise _contradiction(model, f"there is no {WEIGHTS} file at {repository.sha}")
    require_same(model, locked)
    return _readable(locked, hub)


def require_same(pinned: HubModel, locked: HubModel) -> None:
    """Raise `SpecError` where the files of an already pinned revision have changed."""
    if pinned.is_pinned and pinned.revision == locked.revision and pinned.files != locked.files:
        differing = {file.name for file in set(pinned.files) ^ set(locked.files)}
        raise SpecError(
            f"the hub now has other files of {locked.id} at {locked.revision}: "
            f"{', '.join(sorted(differing))}",
            "a commit's files never change: the pin was edited, or the hub's answer is wrong",
            f"git log -p -- docker/models/{locked.id}.json",
        )


def _readable(pinned: HubModel, hub: Hub) -> HubModel:
    """Return the model as read from its own pin: the hub may list names that no pin may have."""
    try:
        return parse_pin(render_pin(pinned), pinned.id, pinned)
    except SpecError as error:
        raise _unreadable(hub.api_address(pinned.repository), error.what) from error


def _files(model: HubModel, hub: Hub) -> Iterator[HubFile]:
    address = hub.api_address(model.repository, f"/tree/{model.revision}?recursive=true")
    for entry in sorted(_get(hub, address, list[_Entry]), key=lambda entry: entry.path):
        if entry.type == "file" and _belongs(entry.path):
            yield _large(model, entry, entry.lfs) if entry.lfs else _small(model, entry, hub)


def _belongs(path: str) -> bool:
    """Return whether a file is neither git's own nor code."""
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
    """Return git's SHA-1 of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _require_licence(model: HubModel, card: _Card | None) -> None:
    """Compare the licence with the model's card, if it has one, ignoring case."""
    licence = card.license if card else None
    if licence is not None and licence.lower() != model.licence.lower():
        raise _contradiction(model, f"its licence is {licence}, not {model.licence}")


def _get(hub: Hub, address: str, kind: type[T]) -> T:
    """Return a decoded answer of the API; raise `SpecError` for one of several pages."""
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
        "the hub's API is not as this version of the kit expects it",
        f"curl -L {address}",
    )


def _contradiction(model: HubModel, observed: str) -> KitError:
    return SpecError(
        f"the hub contradicts the model {model.id} ({model.repository}): {observed}",
        "docker/models.toml is out of date, or the hub's answers do not fit each other",
        f"git diff -- docker/models.toml; curl {HUB}/api/models/{model.repository}",
    )
