"""What a machine can run, what it lacks, and the command that helps; from facts to answers."""

from collections.abc import Iterator, Mapping
from itertools import chain

import msgspec

from kit.spec import Device, HubModel, Model, Topology, Transport
from kit.telemetry import GpuFacts, Inventory

OLDEST_DRIVER = (570, 124, 6)
"""CUDA 12.8 Update 1 (NVIDIA, "CUDA 12.8 Release Notes", table of driver versions)."""

OLDEST_CAPABILITY = (8, 0)
"""Marlin's kernels are compiled for compute capability 8.0 and run on what came after."""

GPU_MEMORY_BYTES = 23 * 2**30
"""A card of 24 GB shows a little less than 24 GiB."""

CPU_MEMORY_BYTES = 6 * 10**9
"""The CPU engine takes 3 GB with one rank and 5.3 GB with two (seen)."""

CPU_IMAGE_BYTES, GPU_IMAGE_BYTES = 15 * 10**9, 60 * 10**9
"""What a build and its image take: a GPU image holds 10 GB of packages and 18 GB of weights, which
are in the builder's cache once more."""


class DockerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Docker engine that answers. `images` are the kit's own that are there, by name and tag."""

    version: str
    compose_version: str | None = None
    has_nvidia_runtime: bool = False
    free_bytes: int | None = None
    images: tuple[str, ...] = ()


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was looked at. `cores` and `memory_bytes` are those that this process may use."""

    system: str
    machine: str
    has_avx2: bool
    cores: int
    memory_bytes: int | None = None
    free_bytes: int
    has_engine: bool
    docker: DockerFacts | None = None
    docker_fault: str | None = None
    gpus: Inventory | None = None


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is missing, and what to type or do."""

    what: str
    next_step: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one model on one topology can run by one runtime."""

    topology: str
    model: str
    runtime: str
    lacks: tuple[Lack, ...]


def examine(
    facts: MachineFacts,
    topologies: Mapping[str, Topology],
    models: Mapping[str, Model],
    version: str,
) -> tuple[Readiness, ...]:
    """Return the readiness of every cell, GPU topologies last."""
    order = sorted(topologies.values(), key=lambda one: (one.device is Device.GPU, one.id))
    found = (_cells(facts, topology, models, version) for topology in order)
    return tuple(chain.from_iterable(found))


def _cells(
    facts: MachineFacts, topology: Topology, models: Mapping[str, Model], version: str
) -> Iterator[Readiness]:
    for model in topology.services:
        if topology.device is Device.CPU:
            lacks = tuple(_of_cpu(facts, topology) + _of_process(facts))
            yield Readiness(topology=topology.id, model=model, runtime="process", lacks=lacks)
            lacks = (*_of_cpu(facts, topology), *_of_docker(facts, "cpu", version))
            yield Readiness(topology=topology.id, model=model, runtime="docker", lacks=lacks)
        else:
            lacks = (
                *_of_gpus(facts, topology),
                *_of_pin(models[model]),
                *_of_docker(facts, model, version),
            )
            yield Readiness(topology=topology.id, model=model, runtime="docker", lacks=lacks)


def _of_cpu(facts: MachineFacts, topology: Topology) -> list[Lack]:
    lacks = []
    if facts.machine != "x86_64" or not facts.has_avx2:
        observed = f"{facts.machine}, AVX2 {'there' if facts.has_avx2 else 'not there'}"
        lacks.append(_lack(f"a processor for the CPU engine ({observed})", "use another machine"))
    if facts.cores < topology.tensor_parallel_size:
        lacks.append(
            _lack(
                f"{topology.tensor_parallel_size} cores (has {facts.cores})", "nproc; taskset -p $$"
            )
        )
    if facts.memory_bytes is not None and facts.memory_bytes < CPU_MEMORY_BYTES:
        lacks.append(_lack(f"{_gb(CPU_MEMORY_BYTES)} of memory", "free -h"))
    return lacks


def _of_process(facts: MachineFacts) -> list[Lack]:
    if facts.has_engine:
        return []
    return [_lack("the CPU engine", "python3 -m kit.bootstrap engine   (make bench does it)")]


def _of_docker(facts: MachineFacts, image: str, version: str) -> Iterator[Lack]:
    engine = facts.docker
    if engine is None:
        what = f"a Docker engine that answers ({facts.docker_fault or 'no docker command'})"
        yield _lack(what, "https://docs.docker.com/engine/install/")
        return
    if engine.compose_version is None:
        yield _lack("docker compose", "sudo apt-get install docker-compose-plugin")
    needed = CPU_IMAGE_BYTES if image == "cpu" else GPU_IMAGE_BYTES
    missing = [
        name
        for name in (f"llm-serving-kit/{part}:{version}" for part in ("client", image))
        if name not in engine.images
    ]
    if missing:
        model = "" if image == "cpu" else f" MODEL={image}"
        yield _lack(f"the image {' and '.join(missing)}", f"make images{model}")
        if engine.free_bytes is not None and engine.free_bytes < needed:
            yield _lack(f"{_gb(needed)} of disk for images (has {_gb(engine.free_bytes)})", "df -h")


def _of_pin(model: Model) -> Iterator[Lack]:
    if isinstance(model, HubModel) and not model.is_pinned:
        what = f"a pin of {model.repository}: nobody has read its files from the hub yet"
        yield _lack(what, f"kit lock-models {model.id}, where the hub can be reached")


def _of_gpus(facts: MachineFacts, topology: Topology) -> Iterator[Lack]:
    ranks = topology.tensor_parallel_size
    if facts.gpus is None:
        yield _lack(f"{ranks} NVIDIA GPU{'s' * (ranks > 1)}, or their driver", "nvidia-smi")
        return
    fitting = [gpu for gpu in facts.gpus.gpus if _fits(gpu)]
    if len(fitting) < ranks:
        what = f"{ranks} GPUs of compute capability 8.0 or newer with 24 GB (has {len(fitting)})"
        yield _lack(what, "nvidia-smi")
    if _numbers(facts.gpus.driver_version) < OLDEST_DRIVER:
        what = f"driver 570.124.06 or newer (has {facts.gpus.driver_version})"
        yield _lack(what, "sudo apt-get install nvidia-driver-570, or newer; then restart")
    if topology.transport is Transport.NVLINK and not any(map(_linked, fitting)):
        yield _lack("an NVLink bridge whose links are up", "nvidia-smi nvlink --status")
    if facts.docker is not None and not facts.docker.has_nvidia_runtime:
        step = "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure"
        yield _lack("the NVIDIA container toolkit", f"{step} && sudo systemctl restart docker")


def _fits(gpu: GpuFacts) -> bool:
    capability = _numbers(gpu.compute_capability)
    return capability >= OLDEST_CAPABILITY and (gpu.memory_bytes or 0) >= GPU_MEMORY_BYTES


def _linked(gpu: GpuFacts) -> bool:
    return bool(gpu.nvlink_links_active)


def _numbers(version: str | None) -> tuple[int, ...]:
    """Return a version as numbers that compare; one that is not told is older than any."""
    return tuple(int(part) for part in (version or "").split(".") if part.isdecimal())


def _lack(what: str, next_step: str) -> Lack:
    return Lack(what=what, next_step=next_step)


def _gb(size: int) -> str:
    return f"{size / 1e9:.0f} GB"
