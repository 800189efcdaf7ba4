"""The models of the checkout, from `docker/models.toml` and `docker/models/`.

A model is a twin, generated from a seed, or a repository of the Hugging Face hub, pinned to a
revision and the hashes of its files.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, TypeAlias

import msgspec

from kit.errors import SpecError
from kit.plan.spec import Positive, bad, checked

WEIGHTS = "model.safetensors"
WEIGHTS_SUFFIX = ".safetensors"

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


class ListedBy(Enum):
    """Who listed a model's files and their hashes."""

    KIT = "kit"
    HUB = "hub"
    MIRROR = "mirror"
    NOBODY = "nobody"


class FileList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files of a repository at a revision."""

    repository: Repository
    revision: Revision
    listed_by: ListedBy
    files: Annotated[tuple[HubFile, ...], msgspec.Meta(min_length=1)]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """A model of the Hugging Face hub, at a revision that the kit ships.

    `sha256` are the shipped hashes of some of its files; `files` are all of them, if
    `docker/models/<id>.json` is shipped. `config` holds those fields of config.json that
    `kit.roofline.model` needs; it is empty if unknown.
    """

    id: Annotated[str, msgspec.Meta(pattern=rf"^{_WORD}\Z")]
    repository: Repository
    revision: Revision
    licence: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.+-]+\Z")]
    config: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[FileName, Sha256] = field(default_factory=dict)
    files: tuple[HubFile, ...] = ()

    @property
    def shipped_sha256(self) -> Mapping[str, str]:
        """The SHA-256 of every file whose hash the kit ships, by name."""
        return {**self.sha256, **{file.name: file.sha256 for file in self.files}}


Model: TypeAlias = Twin | HubModel


def parse_models(data: bytes, name: str) -> dict[str, Model]:
    """Read `docker/models.toml`; a table with a `repository` is a hub model, any other a twin."""
    try:
        table = tomllib.loads(data.decode())
        return {key: _model(key, fields) for key, fields in table.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise bad(name, error) from error


def parse_file_list(data: bytes, name: str, model: HubModel) -> FileList:
    """Read a list of a model's files; `docker/fetch_model.py` writes it.

    Raises `SpecError` where it contradicts what the kit ships: repository, revision or a hash.
    """
    try:
        listed = msgspec.json.decode(data, type=FileList)
        digests = {file.name: file.sha256 for file in listed.files}
        if len(digests) < len(listed.files):
            raise ValueError("a file is listed twice")
        if not any(name.endswith(WEIGHTS_SUFFIX) for name in digests):
            raise ValueError(f"no {WEIGHTS_SUFFIX} file is listed")
        for field in ("repository", "revision"):
            shipped, observed = getattr(model, field), getattr(listed, field)
            if shipped != observed:
                raise ValueError(f"{field} is {observed}, but {shipped} in docker/models.toml")
        for file, sha256 in model.sha256.items():
            if digests.get(file) != sha256:
                raise ValueError(f"{file} is {digests.get(file, 'not listed')}, not {sha256}")
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "it contradicts docker/models.toml: one of the two is of another version, or wrong",
            f"rm {name}, and the same command again; git diff -- docker/models.toml",
        ) from error
    return listed


def render_file_list(listed: FileList) -> bytes:
    """Return the file that `parse_file_list` reads."""
    return msgspec.json.format(msgspec.json.encode(listed), indent=1) + b"\n"


def _model(key: str, fields: Mapping[str, Any]) -> Model:
    if "repository" not in fields:
        return checked(Twin(id=key, **fields))
    if "files" in fields:
        raise ValueError(f"{key}: `files` belongs in docker/models/{key}.json")
    return checked(HubModel(id=key, **fields))
