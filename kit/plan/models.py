"""The models that the checkout knows: twins made from a seed, and pinned models of the hub.

Pure: bytes of `docker/models.toml` and `docker/models/` in, frozen values or `SpecError` out.
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
"""A relative path that leads nowhere else, and that needs no quoting anywhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """A small model of the same architecture as one of the article's, random weights from a seed.

    `sha256` is that of the generated `model.safetensors`, `files` maps every other file to its own;
    `max_tokens` is the budget of one request. A response ends early at a token whose id is a
    multiple of `stop_every`; absent, it never does.
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
    """One file of a model of the hub, as its repository holds it at the pinned revision."""

    name: FileName
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """A published model: where it is, under which licence, and which files it consists of.

    `revision` and `files` are absent until `kit lock-models` has asked the hub itself for them.
    `config` holds the numbers of its config.json that `kit.roofline.model`
    needs; empty if not known.
    """

    id: Annotated[str, msgspec.Meta(pattern=rf"^{_WORD}\Z")]
    repository: Repository
    licence: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.+-]+\Z")]
    revision: Revision | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[HubFile, ...] = ()

    @property
    def is_pinned(self) -> bool:
        """Whether every byte of it is known, so that it can be built, and held against."""
        return self.revision is not None and bool(self.files)


Model: TypeAlias = Twin | HubModel


def parse_models(data: bytes, name: str) -> dict[str, Model]:
    """Read `docker/models.toml`: model id to twin or model of the hub, which has a repository."""
    try:
        table = tomllib.loads(data.decode())
        return {key: _model(key, fields) for key, fields in table.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise bad(name, error) from error


def parse_pin(data: bytes, name: str, model: HubModel) -> HubModel:
    """Read a file of `docker/models/`: the model, with the revision and the files pinned there.

    Raises `SpecError` also where the pin is of another repository or revision than the model.
    """
    try:
        pin = msgspec.json.decode(data, type=_Pin)
        if len({file.name for file in pin.files}) < len(pin.files):
            raise ValueError("it lists a file twice")
        for field in ("repository", "revision"):
            said, pinned = getattr(model, field), getattr(pin, field)
            if said not in (None, pinned):
                raise ValueError(f"it pins {field} {pinned}, but docker/models.toml says {said}")
        return replace(model, revision=pin.revision, files=pin.files)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "it was edited, or docker/models.toml was since it was written",
            f"git diff -- docker; kit lock-models {model.id}",
        ) from error


def render_pin(model: HubModel) -> bytes:
    """Return the file of `docker/models/` that pins a model; `parse_pin` reads it back."""
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
        raise ValueError(f"the files of {key} are pinned in docker/models/{key}.json only")
    return checked(HubModel(id=key, **fields))
