"""The models of the checkout, from `docker/models.toml` and `docker/models/`.

A model is a twin, generated from a seed, or a repository of the Hugging Face hub, pinned to a
revision and the hashes of its files.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias

import msgspec

from kit.errors import SpecError
from kit.plan.spec import Positive, bad, checked

WEIGHTS = "model.safetensors"

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Revision = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}\Z")]
"""A git commit: a branch or a tag may be moved."""

_WORD = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
Repository = Annotated[str, msgspec.Meta(pattern=rf"^{_WORD}/{_WORD}\Z")]
FileName = Annotated[str, msgspec.Meta(pattern=rf"^{_WORD}(/{_WORD})*\Z")]
"""A relative path without `..`, which needs no quoting in a shell or a Dockerfile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """A small model of the architecture of `twin_of`, with random weights from `seed`.

    `sha256` is that of `model.safetensors`; `files` maps each other file to its SHA-256.
    `max_tokens` is the budget of one request. A response ends early at a token whose id is a
    multiple of `stop_every`; if that is absent, it never does.
    """

    id: str
    twin_of: str
    seed: int
    max_tokens: Positive
    sha256: Sha256
    config: Mapping[str, Any]
    files: Mapping[str, Sha256] = field(default_factory=dict)
    stop_every: Positive | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """One file of a repository at the pinned revision."""

    name: FileName
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """A model of the Hugging Face hub.

    `revision` and `files` are absent until `kit lock-models` has fetched them. `config` holds those
    fields of config.json that `kit.roofline.model` needs; it is empty if unknown.
    """

    id: Annotated[str, msgspec.Meta(pattern=rf"^{_WORD}\Z")]
    repository: Repository
    licence: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.+-]+\Z")]
    revision: Revision | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[HubFile, ...] = ()

    @property
    def is_pinned(self) -> bool:
        """Whether revision and file hashes are known, which building and checking need."""
        return self.revision is not None and bool(self.files)


Model: TypeAlias = Twin | HubModel


def parse_models(data: bytes, name: str) -> dict[str, Model]:
    """Read `docker/models.toml`; a table with a `repository` is a hub model, any other a twin."""
    try:
        table = tomllib.loads(data.decode())
        return {key: _model(key, fields) for key, fields in table.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise bad(name, error) from error


def parse_pin(data: bytes, name: str, model: HubModel) -> HubModel:
    """Read a file of `docker/models/`; return the model with that revision and those files.

    Raises `SpecError` also if the repository or revision differs from the model's.
    """
    try:
        pin = msgspec.json.decode(data, type=_Pin)
        if len({file.name for file in pin.files}) < len(pin.files):
            raise ValueError("a file is listed twice")
        for field in ("repository", "revision"):
            declared, pinned = getattr(model, field), getattr(pin, field)
            if declared not in (None, pinned):
                raise ValueError(f"{field} is {pinned}, but {declared} in docker/models.toml")
        return replace(model, revision=pin.revision, files=pin.files)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "this file or docker/models.toml was edited after `kit lock-models`",
            f"git diff -- docker; kit lock-models {model.id}",
        ) from error


def render_pin(model: HubModel) -> bytes:
    """Return the file of `docker/models/` that `parse_pin` reads."""
    assert model.revision is not None
    pin = _Pin(repository=model.repository, revision=model.revision, files=model.files)
    return msgspec.json.format(msgspec.json.encode(pin), indent=1) + b"\n"


class _Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    repository: Repository
    revision: Revision
    files: Annotated[tuple[HubFile, ...], msgspec.Meta(min_length=1)]


def _model(key: str, fields: Mapping[str, Any]) -> Model:
    if "repository" not in fields:
        return checked(Twin(id=key, **fields))
    if "files" in fields:
        raise ValueError(f"{key}: `files` belongs in docker/models/{key}.json")
    return checked(HubModel(id=key, **fields))
