"""Reads the files of the checkout that the kit runs from."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kit.check.evidence import Catalog
from kit.claims.audit.facts import Facts
from kit.claims.audit.facts import parse as parse_facts
from kit.claims.reference import LIMIT_BYTES, Reference, by_id
from kit.claims.reference import parse as parse_reference
from kit.edge.files import disk
from kit.errors import SpecError, UsageError
from kit.parse import detokenizer
from kit.parse.detokenizer import Detokenizer
from kit.plan import plan
from kit.plan.models import FileList, HubModel, Model, parse_file_list, parse_models
from kit.plan.suite import Suite, parse_suite
from kit.plan.topology import Topology, parse_topology
from kit.roofline import model as roofline
from kit.roofline.gpus import Gpu, parse_gpus
from kit.roofline.model import Yardsticks

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[3]
STATE = ROOT / ".kit"
ENGINE = STATE / "engine"
ENGINE_LOCK = ROOT / "docker" / "cpu-engine.lock"
LOCAL_RESULTS = ROOT / "results" / "local"
COMMUNITY = ROOT / "results" / "community"
VERDICT = ROOT / "results" / "verdict"
REPORT = ROOT / "results" / "report"

TOKENIZER_LIMIT_BYTES = 64 * 2**20
"""The largest tokenizer.json files have about 30 MB."""


def models() -> dict[str, Model]:
    """Return every model of `docker/models.toml` by id, with its list of `docker/models/`."""
    parsed = parse_models(*_bytes_and_name(ROOT / "docker" / "models.toml"))
    return {
        key: _with_shipped_files(model) if isinstance(model, HubModel) else model
        for key, model in parsed.items()
    }


def topology(name: str) -> Topology:
    """Return a topology by its id; raise `UsageError` with the valid ones."""
    return parse_topology(*_bytes_and_name(compose_file(name)))


def compose_file(name: str) -> Path:
    """Return a topology's Compose file; raise `UsageError` with the valid ids."""
    return choose("topology", name, {path.stem: path for path in compose_files()})


def yardsticks() -> Yardsticks:
    """Return the models' shapes and the GPUs, for the roofline in a report."""
    shapes = {key: roofline.shape_of(model.config) for key, model in models().items()}
    known = {key: shape for key, shape in shapes.items() if shape is not None}
    return Yardsticks(shapes=known, gpus=gpus())


def suite(name: str) -> Suite:
    """Return a suite by its id; raise `UsageError` with the valid ones."""
    path = choose("suite", name, _suite_files())
    folder = (file for file in sorted(path.parent.iterdir()) if file.is_file())
    files = {file.name: _bytes_and_name(file)[0] for file in folder}
    return parse_suite(files, str(path.relative_to(ROOT)))


def catalog(tokenizers: Iterable[Path] = ()) -> Catalog:
    """Return all that plans are made from, and what bundles are compared with.

    `tokenizers` are tokenizer.json files of models of the hub; the twins' own is always included.
    """
    topologies = [topology(path.stem) for path in compose_files()]
    return Catalog(
        suites={name: suite(name) for name in sorted(_suite_files())},
        models=models(),
        engines={
            (it.id, model): plan.describe_engine(it, service)
            for it in topologies
            for model, service in it.services.items()
        },
        gpus=gpus(),
        tokenizers=dict(map(_tokenizer, [ROOT / "kit" / "twins" / "tokenizer.json", *tokenizers])),
        base_image=base_image(),
    )


def gpus() -> dict[str, Gpu]:
    """Return the GPUs of `docker/gpus.toml` by the name that the driver reports."""
    return parse_gpus(*_bytes_and_name(ROOT / "docker" / "gpus.toml"))


def base_image() -> str:
    """Return the base of all images as `NAME:TAG@DIGEST`."""
    base = tomllib.loads(_bytes_and_name(ROOT / "docker" / "images.toml")[0].decode())["base"]
    return f"{base['name']}:{base['tag']}@{base['digest']}"


def schemas() -> dict[str, Mapping[str, Any]]:
    """Return the JSON Schemas by name (`bundle`, `record`, ...)."""
    return {
        path.name.removesuffix(".schema.json"): msgspec.json.decode(path.read_bytes())
        for path in sorted((ROOT / "schemas").glob("*.schema.json"))
    }


def references() -> dict[str, Reference]:
    """Return every reference of `results/published/` by id."""
    paths = sorted((ROOT / "results" / "published").glob("*.toml"))
    return by_id([parse_reference(*_bytes_and_name(path)) for path in paths])


def published(name: str, shipped: Mapping[str, Reference]) -> Reference:
    """Return a reference by its id, or from a file; raise `UsageError` with the valid ids."""
    if name in shipped or not name.endswith((".toml", ".json")):
        return choose("reference", name, shipped, "ls results/published")
    try:
        data = disk.read_file(Path(name), LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {name}: {getattr(error, 'strerror', None) or error}",
            f"expected a file, or one of {', '.join(sorted(shipped))}",
            "ls results/published",
        ) from error
    return parse_reference(data, name)


def held_against() -> dict[str, str]:
    """Return the SHA-256 of every file that bundles are compared with, by its path."""
    folders = ("compose", "docker", "prompts", "results/published", "schemas")
    kinds = {".yaml", ".toml", ".md", ".json"}
    paths = (path for name in folders for path in (ROOT / name).rglob("*"))
    chosen = sorted(path for path in paths if path.is_file() and path.suffix in kinds)
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in chosen
    }


def facts() -> Facts:
    """Return the public facts that published statements are compared with."""
    configs = {name: model.config for name, model in models().items()}
    return parse_facts(*_bytes_and_name(ROOT / "results" / "facts.toml"), configs)


def choose(kind: str, name: str, valid: Mapping[str, T], example: str | None = None) -> T:
    """Return `valid[name]`; raise `UsageError` with the valid names, and an example of use."""
    if name not in valid:
        raise UsageError(
            f"unknown {kind} {name!r}",
            f"valid: {', '.join(sorted(valid)) or 'none'}",
            example or f"make bench {kind.upper()}={min(valid, default='...')}",
        )
    return valid[name]


def compose_files() -> Iterator[Path]:
    """Yield the Compose file of each topology; `base.yaml` is their common part."""
    return (path for path in (ROOT / "compose").glob("*.yaml") if path.stem != "base")


def hub_models() -> dict[str, HubModel]:
    """Return the models of the hub by id."""
    return {key: model for key, model in models().items() if isinstance(model, HubModel)}


def file_list(model: HubModel) -> FileList | None:
    """Return the list of a model's files: the shipped one, or the one that this host asked for.

    Raises `SpecError` for one that contradicts what the kit ships.
    """
    for path in (shipped_file_list(model.id), local_file_list(model.id)):
        if path.exists():
            return parse_file_list(*_bytes_and_name(path), model)
    return None


def shipped_file_list(model: str) -> Path:
    """Return where the list of a model's files is shipped, if it is."""
    return ROOT / "docker" / "models" / f"{model}.json"


def local_file_list(model: str) -> Path:
    """Return where the list that the hub gave this host is kept."""
    return STATE / "models" / f"{model}.json"


def model_dockerfile() -> str:
    """Return the template for the Dockerfile of a server with a model."""
    return _bytes_and_name(ROOT / "docker" / "model.Dockerfile")[0].decode()


def _with_shipped_files(model: HubModel) -> HubModel:
    path = shipped_file_list(model.id)
    if not path.exists():
        return model
    return replace(model, files=parse_file_list(*_bytes_and_name(path), model).files)


def _tokenizer(path: Path) -> tuple[str, Detokenizer]:
    """Return a tokenizer with the SHA-256 of its file, by which a bundle names it."""
    try:
        data = disk.read_file(path, TOKENIZER_LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the tokenizer {path}: {getattr(error, 'strerror', None) or error}",
            "expected the tokenizer.json of a model",
            f"ls -l {path}",
        ) from error
    return hashlib.sha256(data).hexdigest(), detokenizer.parse(data, path.name)


def _suite_files() -> dict[str, Path]:
    return {path.parent.name: path for path in (ROOT / "prompts").glob("*/suite.toml")}


def _bytes_and_name(path: Path) -> tuple[bytes, str]:
    name = str(path.relative_to(ROOT))
    try:
        return path.read_bytes(), name
    except OSError as error:
        raise SpecError(
            f"cannot read {name}: {error.strerror}",
            "the checkout is incomplete",
            f"git checkout -- {name}",
        ) from error
