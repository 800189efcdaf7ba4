"""Makes ready what cells need before they run: the CPU engine, the GPUs to use, the images.

The machine is looked at first, for just these cells: what it lacks is said all at once, before
anything is installed, built or downloaded.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kit.bundle.document import Runtime
from kit.edge import weights as weights_on_host
from kit.edge.cells import PlannedCell
from kit.edge.docker import images
from kit.edge.docker.images import Image, Say
from kit.edge.files import checkout
from kit.edge.host import machine
from kit.edge.weights import Weights
from kit.errors import MachineError, UsageError
from kit.plan.models import HubModel
from kit.plan.topology import Device
from kit.roofline.model import checkpoint_bytes
from kit.run import readiness
from kit.run.cards import choose
from kit.run.readiness import Lack, MachineFacts

SPARE_BYTES = 5 * 10**9
"""Of the disk with the images, left free after a build."""


class Pending(NamedTuple):
    """An image to be built."""

    name: str
    download_bytes: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where images come from: built on `base`, or pulled from a registry.

    `weights` is a folder with the files of the models, which are then mounted and not baked in.
    """

    base: str
    registry: str | None = None
    weights: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What cells run with: variables of their Compose file, and weights to mount, by model."""

    variables: Mapping[str, str]
    weights: Mapping[str, Weights]


def prepare(cells: Sequence[PlannedCell], sources: Sources, say: Say) -> Prepared:
    """Install and build what is missing for cells of one topology.

    Raises `MachineError` with all that the machine lacks.
    """
    base, weights = sources.base, sources.weights
    if weights is not None:
        _require_hub_models(cells)
    if cells[0].runtime is Runtime.PROCESS:
        _install_engine()
        return Prepared(variables={}, weights={})
    facts = machine.look()
    _require_nothing_lacks(cells, facts)
    needed, models = _images(cells, base), _models(cells)
    pending = tuple(_pending(needed, models if weights is None else (), base))
    say("\n".join(announcement(cells, pending, sources.registry)))
    _require_disk(facts, pending)
    for image in images.missing(needed):
        if sources.registry is None:
            images.build(image, say)
        else:
            images.pull(image, sources.registry, say)
    variables = {
        **_image_variables(needed, sources.registry),
        **_gpu_variables(cells[0], facts, [it.plan.cell.model for it in cells]),
    }
    if weights is not None:
        mounted = {model.id: _mounted(weights, model, base, say) for model in models}
        for name, found in mounted.items():
            variables |= found.variables(name)
        return Prepared(variables=variables, weights=mounted)
    served = {model.id: _with_model(model, sources, say) for model in models}
    if cells[0].plan.rehearsal:
        rehearsal = images.reference(images.rehearsal(base), sources.registry)
        served = {cell.plan.cell.model: rehearsal for cell in cells}
    variables |= {_variable(name): reference for name, reference in served.items()}
    return Prepared(variables=variables, weights={})


def announcement(
    cells: Sequence[PlannedCell], pending: Sequence[Pending], registry: str | None
) -> Iterator[str]:
    """Yield what is about to be measured, and built or pulled, with its size."""
    models = " and ".join(dict.fromkeys(cell.plan.cell.model for cell in cells))
    yield f"{cells[0].topology.id}: {models}, in containers"
    if registry is not None:
        for image in pending:
            yield f"  to pull from {registry}: image {image.name}: {_gb(image.size_bytes)} to keep"
        return
    for image in pending:
        sizes = f"{_gb(image.download_bytes)} to download, {_gb(image.size_bytes)} to keep"
        yield f"  to build: image {image.name}: {sizes}"
    if pending:
        download = sum(image.download_bytes for image in pending)
        keep = sum(image.size_bytes for image in pending)
        yield f"  in all:   {_gb(download)} to download, {_gb(keep)} to keep"


def _install_engine() -> None:
    """Install the CPU engine, or bring it up to date; its set-up prints what it does."""
    command = [os.path.realpath(sys.executable), "-m", "kit.bootstrap", "engine"]
    done = subprocess.run(command, cwd=checkout.ROOT, check=False)
    if done.returncode != 0:
        raise MachineError(
            "the CPU engine could not be installed",
            "its set-up says why above",
            "python3 -m kit.bootstrap engine",
        )


def _require_nothing_lacks(cells: Sequence[PlannedCell], facts: MachineFacts) -> None:
    """Raise `MachineError` with everything that the machine lacks, each with its next step."""
    topology, shapes = cells[0].topology, checkout.yardsticks().shapes
    models = [cell.plan.cell.model for cell in cells]
    named = machine.named_gpus()
    lacks = list(readiness.lacks(facts, topology, models, "docker", shapes, named))
    if lacks:
        raise _lacking(topology.id, lacks)


def _lacking(topology: str, lacks: Sequence[Lack]) -> MachineError:
    told = "".join(f"\n  {lack.what}\n      {lack.next_step}" for lack in lacks)
    return MachineError(
        f"{topology} cannot run on this machine. It needs:{told}",
        "nothing was installed, built or downloaded",
        f"make doctor TOPOLOGY={topology}",
    )


def _images(cells: Sequence[PlannedCell], base: str) -> tuple[Image, ...]:
    """Return the images that do not depend on a list from the hub, in the order of building."""
    if cells[0].plan.rehearsal:
        return (images.client(base), images.cpu(base), images.rehearsal(base))
    if cells[0].topology.device is Device.CPU:
        return (images.client(base), images.cpu(base))
    return (images.client(base), images.server(base))


def _image_variables(needed: Sequence[Image], registry: str | None) -> dict[str, str]:
    names = {
        images.CLIENT: "KIT_CLIENT_IMAGE",
        images.CPU: "KIT_CPU_IMAGE",
        images.SERVER: "KIT_SERVER_IMAGE",
    }
    return {
        names[image.name]: images.reference(image, registry)
        for image in needed
        if image.name in names
    }


def _models(cells: Sequence[PlannedCell]) -> list[HubModel]:
    """Return the models whose files are baked in: none of a rehearsal, which serves twins."""
    if cells[0].plan.rehearsal:
        return []
    names = dict.fromkeys(cell.plan.cell.model for cell in cells)
    models = (checkout.models()[name] for name in names)
    return [model for model in models if isinstance(model, HubModel)]


def _pending(needed: Sequence[Image], models: Sequence[HubModel], base: str) -> Iterator[Pending]:
    """Yield the images that must be built, those of models by the size of their shape at first."""
    for image in images.missing(needed):
        yield Pending(image.name, image.download_bytes, image.size_bytes)
    for model in models:
        listed = checkout.file_list(model)
        if listed is None:
            size = int(checkpoint_bytes(checkout.yardsticks().shapes[model.id]))
            yield Pending(model.id, size, size)
        elif images.missing([images.with_model(model, listed, base)]):
            yield Pending(model.id, listed.size_bytes, listed.size_bytes)


def _require_hub_models(cells: Sequence[PlannedCell]) -> None:
    """Raise `UsageError` where no weights are read: twins are made here, and a rehearsal's too."""
    if len(_models(cells)) < len({cell.plan.cell.model for cell in cells}):
        raise UsageError(
            "WEIGHTS goes with models of the hub",
            "twins are made on this machine; a rehearsal serves twins",
            "make bench TOPOLOGY=tp2-pcie WEIGHTS=DIR",
        )


def _mounted(root: Path, model: HubModel, base: str, say: Say) -> Weights:
    """Verify a model's files on this host, by the hub's list if it can be had."""
    listed = checkout.file_list(model)
    try:
        listed = listed or images.list_files(model, base, say)
    except MachineError as error:
        say(f"{model.id}: no list from the hub, so only shipped hashes are compared: {error.what}")
    say(f"{model.id}: hashing the files in {root}")
    return weights_on_host.verified(root, model, listed)


def _with_model(model: HubModel, sources: Sources, say: Say) -> str:
    """Return the image of a server with a model, built or pulled if it is missing."""
    listed = checkout.file_list(model) or images.list_files(model, sources.base, say)
    image = images.with_model(model, listed, sources.base)
    if images.missing([image]):
        if sources.registry is None:
            images.build_with_model(model, listed, sources.base, say)
        else:
            images.pull(image, sources.registry, say)
    return images.reference(image, sources.registry)


def _gpu_variables(
    cell: PlannedCell, facts: MachineFacts, models: Sequence[str]
) -> Mapping[str, str]:
    """Return which GPUs serve, by their index."""
    if cell.topology.device is Device.CPU:
        return {}
    needed = readiness.memory_needed(cell.topology, models, checkout.yardsticks().shapes)
    named = readiness.named_gpus(cell.topology, machine.named_gpus())
    chosen = choose(facts.cards, cell.topology, needed, named)
    return {f"KIT_GPU_{rank}": str(gpu.index) for rank, gpu in enumerate(chosen)}


def _require_disk(facts: MachineFacts, pending: Sequence[Pending]) -> None:
    """Raise `MachineError` where the images do not fit: a build keeps each of them twice."""
    needed = 2 * sum(image.size_bytes for image in pending) + SPARE_BYTES
    free = None if facts.docker is None else facts.docker.free_bytes
    if pending and free is not None and free < needed:
        raise MachineError(
            f"Docker's disk has {_gb(free)} free",
            f"{_gb(needed)} are needed: an image is in the builder's cache too while it is built",
            "docker system df; docker builder prune",
        )


def _variable(model: str) -> str:
    return f"KIT_IMAGE_{model.upper().replace('-', '_')}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
