"""From the facts of a machine to what it can run, what it lacks, and the next command."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from kit.bundle.telemetry import GpuFacts, GpuProcesses, Inventory
from kit.plan.models import HubModel, Model
from kit.plan.topology import Device, Topology, Transport, fill_variables

OLDEST_DRIVER = (570, 124, 6)
"""CUDA 12.8 Update 1 (NVIDIA, "CUDA 12.8 Release Notes", table of driver versions)."""

OLDEST_CAPABILITY = (8, 0)
"""Marlin's kernels are compiled for compute capability 8.0, and run on newer GPUs."""

GPU_MEMORY_BYTES = 23 * 2**30
"""A 24 GB card reports slightly less than 24 GiB."""

OLDEST_DOCKER = (25,)
"""The first with a separate interval for the health checks of a starting container."""

CPU_MEMORY_BYTES = 6 * 10**9
"""The CPU engine uses 3 GB with one rank and 5.3 GB with two (measured)."""

CPU_IMAGE_BYTES, GPU_IMAGE_BYTES = 15 * 10**9, 60 * 10**9
"""Disk for a build and its image: a GPU image has 10 GB of packages and 18 GB of weights, and the
builder's cache has both again."""


class DockerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Docker engine that answers; `images` are the names of the kit's images on it."""

    version: str
    compose_version: str | None = None
    has_nvidia_runtime: bool = False
    free_bytes: int | None = None
    images: tuple[str, ...] = ()


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts of a machine; `cores` and `memory_bytes` are those that this process may use."""

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
    gpu_fault: str | None = None
    gpu_processes: tuple[GpuProcesses, ...] = ()


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is missing, and how to get it."""

    what: str
    next_step: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """What one model on one topology needs, by one runtime, and this machine lacks."""

    topology: str
    model: str
    runtime: str
    lacks: tuple[Lack, ...]


def examine(
    facts: MachineFacts,
    topologies: Mapping[str, Topology],
    models: Mapping[str, Model],
    version: str,
    variables: Mapping[str, str],
) -> tuple[Readiness, ...]:
    """Return the readiness of every cell, GPU topologies last.

    `variables` fill in the Compose files, such as which GPUs to use.
    """
    order = sorted(topologies.values(), key=lambda it: (it.device is Device.GPU, it.id))
    cells = (_cells(facts, topology, models, version, variables) for topology in order)
    return tuple(chain.from_iterable(cells))


def gpu_lacks(facts: MachineFacts, topology: Topology, device_ids: Sequence[str]) -> Iterator[Lack]:
    """Yield what the GPUs and their driver lack for a topology.

    `device_ids` are those that its engine is given; one that is not a number (a UUID) stands for
    any of the GPUs.
    """
    ranks, inventory = topology.tensor_parallel_size, facts.gpus
    if inventory is None:
        gpus = "GPU with its driver" if ranks == 1 else "GPUs with their driver"
        fault = f" ({facts.gpu_fault})" if facts.gpu_fault else ""
        yield _lack(
            f"{ranks} NVIDIA {gpus}{fault}", "nvidia-smi, which must list driver 570 or newer"
        )
        return
    chosen = [gpu for gpu in inventory.gpus if _is_chosen(gpu, device_ids)]
    fitting = [gpu for gpu in chosen if _fits(gpu)]
    if len(fitting) < ranks:
        what = f"{ranks} GPUs of compute capability 8.0 or newer with 24 GB (has {len(fitting)})"
        yield _lack(what, "nvidia-smi; choose GPUs with KIT_GPU_0 and KIT_GPU_1")
    if len({gpu.name for gpu in fitting}) > 1:
        what = f"GPUs of one kind ({' and '.join(sorted({gpu.name for gpu in fitting}))})"
        yield _lack(what, "nvidia-smi; choose GPUs with KIT_GPU_0 and KIT_GPU_1")
    if _numbers(inventory.driver_version) < OLDEST_DRIVER:
        what = f"driver 570.124.06 or newer (has {inventory.driver_version})"
        yield _lack(what, "sudo apt-get install nvidia-driver-570, or newer; then restart")
    if topology.transport is Transport.NVLINK and not all(map(_linked, fitting)):
        yield _lack("an NVLink bridge whose links are up", "nvidia-smi nvlink --status")
    for running in facts.gpu_processes:
        if running.compute_count and running.index in {gpu.index for gpu in chosen}:
            others = "process" if running.compute_count == 1 else "processes"
            what = f"GPU {running.index} for itself ({running.compute_count} {others} on it)"
            yield _lack(what, "nvidia-smi, then end them")


def _cells(
    facts: MachineFacts,
    topology: Topology,
    models: Mapping[str, Model],
    version: str,
    variables: Mapping[str, str],
) -> Iterator[Readiness]:
    for model, service in topology.services.items():
        if topology.device is Device.CPU:
            cpu = tuple(_cpu_lacks(facts, topology))
            lacks = (*cpu, *_process_lacks(facts))
            yield Readiness(topology=topology.id, model=model, runtime="process", lacks=lacks)
            lacks = (*cpu, *_docker_lacks(facts, "cpu", version))
            yield Readiness(topology=topology.id, model=model, runtime="docker", lacks=lacks)
        else:
            lacks = (
                *gpu_lacks(facts, topology, fill_variables(service, variables).gpus),
                *_toolkit_lacks(facts),
                *_pin_lacks(models[model]),
                *_docker_lacks(facts, model, version),
            )
            yield Readiness(topology=topology.id, model=model, runtime="docker", lacks=lacks)


def _cpu_lacks(facts: MachineFacts, topology: Topology) -> Iterator[Lack]:
    if facts.machine != "x86_64" or not facts.has_avx2:
        observed = f"{facts.machine}, {'with' if facts.has_avx2 else 'without'} AVX2"
        yield _lack(f"a processor for the CPU engine ({observed})", "use another machine")
    if facts.cores < topology.tensor_parallel_size:
        what = f"{topology.tensor_parallel_size} cores (has {facts.cores})"
        yield _lack(what, "nproc; taskset -p $$")
    if facts.memory_bytes is not None and facts.memory_bytes < CPU_MEMORY_BYTES:
        what = f"{_gb(CPU_MEMORY_BYTES)} of memory (has {_gb(facts.memory_bytes)})"
        yield _lack(what, "free -h")


def _process_lacks(facts: MachineFacts) -> Iterator[Lack]:
    if not facts.has_engine:
        yield _lack("the CPU engine", "python3 -m kit.bootstrap engine   (make bench does it)")


def _docker_lacks(facts: MachineFacts, image: str, version: str) -> Iterator[Lack]:
    engine = facts.docker
    if engine is None:
        what = f"a Docker engine that answers ({facts.docker_fault or 'no docker command'})"
        yield _lack(what, "https://docs.docker.com/engine/install/")
        return
    if _numbers(engine.version) < OLDEST_DOCKER:
        what = f"Docker 25 or newer (has {engine.version})"
        yield _lack(what, "https://docs.docker.com/engine/install/")
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


def _pin_lacks(model: Model) -> Iterator[Lack]:
    if isinstance(model, HubModel) and not model.is_pinned:
        what = f"a pin of {model.repository}: its files have not been listed from the hub yet"
        yield _lack(what, f"kit lock-models {model.id}, with access to the hub")


def _toolkit_lacks(facts: MachineFacts) -> Iterator[Lack]:
    if facts.docker is not None and not facts.docker.has_nvidia_runtime:
        step = "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure"
        yield _lack("the NVIDIA container toolkit", f"{step} && sudo systemctl restart docker")


def _is_chosen(gpu: GpuFacts, device_ids: Sequence[str]) -> bool:
    return str(gpu.index) in device_ids or any(not text.isdecimal() for text in device_ids)


def _fits(gpu: GpuFacts) -> bool:
    capability = _numbers(gpu.compute_capability)
    return capability >= OLDEST_CAPABILITY and (gpu.memory_bytes or 0) >= GPU_MEMORY_BYTES


def _linked(gpu: GpuFacts) -> bool:
    return bool(gpu.nvlink_links_active)


def _numbers(version: str | None) -> tuple[int, ...]:
    """Return a version as comparable numbers; an unknown one is older than any."""
    return tuple(int(part) for part in (version or "").split(".") if part.isdecimal())


def _lack(what: str, next_step: str) -> Lack:
    return Lack(what=what, next_step=next_step)


def _gb(size: int) -> str:
    return f"{size / 1e9:.0f} GB"
