"""The checkout that the kit runs from: where its files are, read into values."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kit.bootstrap.base_image import reference
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
from kit.plan.models import HubModel, Model, parse_models, parse_pin, render_pin
from kit.plan.suite import Suite, parse_suite
from kit.plan.topology import Topology, fill_variables, parse_topology
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
"""The tokenizer.json of the largest vocabularies has some 30 MB."""


def models() -> dict[str, Model]:
    """Return every model of `docker/models.toml` by id, pinned as `docker/models/` says."""
    named = parse_models(*_bytes_and_name(ROOT / "docker" / "models.toml"))
    return {key: _pinned(model) for key, model in named.items()}


def topology(wanted: str) -> Topology:
    """Return a topology by its id; raise `UsageError` with the valid ones."""
    return parse_topology(*_bytes_and_name(compose_file(wanted)))


def compose_file(wanted: str) -> Path:
    """Return a topology's Compose file; raise `UsageError` with the valid ids."""
    return choose("topology", wanted, {path.stem: path for path in compose_files()})


def yardsticks() -> Yardsticks:
    """Return what a report holds rates against."""
    shapes = {key: roofline.shape_of(model.config) for key, model in models().items()}
    known = {key: shape for key, shape in shapes.items() if shape is not None}
    return Yardsticks(shapes=known, gpus=gpus())


def suite(wanted: str) -> Suite:
    """Return a suite by its id; raise `UsageError` with the valid ones."""
    path = _named("suite", wanted, (ROOT / "prompts").glob("*/suite.toml"), _folder_name)
    folder = (file for file in sorted(path.parent.iterdir()) if file.is_file())
    files = {file.name: _bytes_and_name(file)[0] for file in folder}
    return parse_suite(files, str(path.relative_to(ROOT)))


def catalog(tokenizers: Iterable[Path] = ()) -> Catalog:
    """Return everything that plans are made of here, and what else bundles are held against.

    `tokenizers` are files of models of the hub, beside the twins' own.
    """
    suites = map(_folder_name, (ROOT / "prompts").glob("*/suite.toml"))
    topologies = [topology(path.stem) for path in compose_files()]
    return Catalog(
        suites={name: suite(name) for name in sorted(suites)},
        models=models(),
        engines={
            (one.id, model): plan.describe_engine(one, fill_variables(service, {}))
            for one in topologies
            for model, service in one.services.items()
        },
        gpus=gpus(),
        tokenizers=dict(map(_tokenizer, [ROOT / "kit" / "twins" / "tokenizer.json", *tokenizers])),
        base_image=base_image(),
    )


def gpus() -> dict[str, Gpu]:
    """Return what the GPUs of `docker/gpus.toml` can do, by the name that a driver tells."""
    return parse_gpus(*_bytes_and_name(ROOT / "docker" / "gpus.toml"))


def base_image() -> str | None:
    """Return the image that all others stand on, by its digest; None while that is not pinned."""
    named = reference(_bytes_and_name(ROOT / "docker" / "images.toml")[0].decode())
    return named if "@" in named else None


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


def published(wanted: str, shipped: Mapping[str, Reference]) -> Reference:
    """Return a reference by its id, or from a file; raise `UsageError` with the valid ids."""
    if wanted in shipped or not wanted.endswith((".toml", ".json")):
        return choose("reference", wanted, shipped, "kit audit article-part-1")
    try:
        data = disk.read_file(Path(wanted), LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {wanted}: {getattr(error, 'strerror', None) or error}",
            f"a file, or one of {', '.join(sorted(shipped))}",
            "ls results/published",
        ) from error
    return parse_reference(data, wanted)


def held_against() -> dict[str, str]:
    """Return the SHA-256 of every file that bundles are held against, by its path."""
    folders = ("compose", "docker", "prompts", "results/published", "schemas")
    kinds = {".yaml", ".toml", ".md", ".json"}
    paths = (path for name in folders for path in (ROOT / name).rglob("*"))
    chosen = sorted(path for path in paths if path.is_file() and path.suffix in kinds)
    return {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in chosen
    }


def facts() -> Facts:
    """Return the public facts that published statements are held against."""
    configs = {name: model.config for name, model in models().items()}
    return parse_facts(*_bytes_and_name(ROOT / "results" / "facts.toml"), configs)


def choose(kind: str, wanted: str, valid: Mapping[str, T], example: str | None = None) -> T:
    """Return `valid[wanted]`; raise `UsageError` with the valid names, and an example of use."""
    if wanted not in valid:
        raise UsageError(
            f"unknown {kind} {wanted!r}",
            f"valid: {', '.join(sorted(valid)) or 'none'}",
            example or f"make bench {kind.upper()}={min(valid, default='...')}",
        )
    return valid[wanted]


def compose_files() -> Iterator[Path]:
    """Yield the file of each topology: `base.yaml` is what they have in common."""
    return (path for path in (ROOT / "compose").glob("*.yaml") if path.stem != "base")


def hub_models() -> dict[str, HubModel]:
    """Return the models of the hub by id, as `docker/models.toml` alone has them."""
    named = parse_models(*_bytes_and_name(ROOT / "docker" / "models.toml"))
    return {key: model for key, model in named.items() if isinstance(model, HubModel)}


def former_pin(model: HubModel) -> HubModel | None:
    """Return the model as it is pinned, if there is a pin that fits it."""
    try:
        pinned = _pinned(model)
    except SpecError:  # of another revision: about to be written anew
        return None
    return pinned if isinstance(pinned, HubModel) and pinned.is_pinned else None


def write_pin(model: HubModel) -> Path:
    """Write a model's pin into the checkout and return its path."""
    disk.overwrite(pin_file(model), render_pin(model))
    return pin_file(model)


def model_dockerfile() -> str:
    """Return the Dockerfile of a server with a model, as it is in the checkout."""
    return _bytes_and_name(ROOT / "docker" / "model.Dockerfile")[0].decode()


def pin_file(model: HubModel) -> Path:
    """Return where the pin of a model is kept, once there is one."""
    return ROOT / "docker" / "models" / f"{model.id}.json"


def _tokenizer(path: Path) -> tuple[str, Detokenizer]:
    """Return the SHA-256 of a tokenizer's file, by which a bundle names it, and what it says."""
    try:
        data = disk.read_file(path, TOKENIZER_LIMIT_BYTES)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the tokenizer {path}: {getattr(error, 'strerror', None) or error}",
            "expected the tokenizer.json of a model",
            f"ls -l {path}",
        ) from error
    return hashlib.sha256(data).hexdigest(), detokenizer.parse(data, path.name)


def _pinned(model: Model) -> Model:
    if not isinstance(model, HubModel) or not pin_file(model).exists():
        return model
    return parse_pin(*_bytes_and_name(pin_file(model)), model)


def _named(kind: str, wanted: str, paths: Iterable[Path], name: Callable[[Path], str]) -> Path:
    return choose(kind, wanted, {name(path): path for path in paths})


def _folder_name(path: Path) -> str:
    return path.parent.name


def _bytes_and_name(path: Path) -> tuple[bytes, str]:
    name = str(path.relative_to(ROOT))
    try:
        return path.read_bytes(), name
    except OSError as error:
        raise SpecError(
            f"cannot read {name}: {error.strerror}",
            "the checkout is not whole",
            f"git checkout -- {name}",
        ) from error
