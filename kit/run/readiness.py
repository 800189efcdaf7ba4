"""What a machine can run, what it lacks, and the command that helps; from facts to answers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from kit.bundle.telemetry import GpuFacts, GpuProcesses, Inventory
from kit.plan.models import HubModel, Model
from kit.plan.topology import Device, Topology, Transport, fill_variables

OLDEST_DRIVER = (570, 124, 6)
"""CUDA 12.8 Update 1 (NVIDIA, "CUDA 12.8 Release Notes", table of driver versions)."""

OLDEST_CAPABILITY = (8, 0)
"""Marlin's kernels are compiled for compute capability 8.0 and run on what came after."""

GPU_MEMORY_BYTES = 23 * 2**30
"""A card of 24 GB shows a little less than 24 GiB."""

OLDEST_DOCKER = (25,)
"""The first to ask a starting container for its health more often than a running one."""

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
    gpu_processes: tuple[GpuProcesses, ...] = ()


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
    variables: Mapping[str, str],
) -> tuple[Readiness, ...]:
    """Return the readiness of every cell, GPU topologies last.

    `variables` are those that the Compose files leave open, such as which GPUs to take.
    """
    order = sorted(topologies.values(), key=lambda one: (one.device is Device.GPU, one.id))
    found = (_cells(facts, topology, models, version, variables) for topology in order)
    return tuple(chain.from_iterable(found))


def gpu_lacks(facts: MachineFacts, topology: Topology, chosen: Sequence[str]) -> Iterator[Lack]:
    """Yield what the GPUs and their driver lack for a topology.

    `chosen` are the device ids that its engine is given; one that is not a number (a UUID) may be
    any of the GPUs.
    """
    ranks, inventory = topology.tensor_parallel_size, facts.gpus
    if inventory is None:
        gpus = "GPU with its driver" if ranks == 1 else "GPUs with their driver"
        yield _lack(
            f"{ranks} NVIDIA {gpus}", "nvidia-smi, which must list them: driver 570 or newer"
        )
        return
    given = [gpu for gpu in inventory.gpus if _is_chosen(gpu, chosen)]
    fitting = [gpu for gpu in given if _fits(gpu)]
    if len(fitting) < ranks:
        what = f"{ranks} GPUs of compute capability 8.0 or newer with 24 GB (has {len(fitting)})"
        yield _lack(what, "nvidia-smi; KIT_GPU_0 and KIT_GPU_1 choose others")
    if len({gpu.name for gpu in fitting}) > 1:
        what = f"GPUs of one kind ({' and '.join(sorted({gpu.name for gpu in fitting}))})"
        yield _lack(what, "nvidia-smi; KIT_GPU_0 and KIT_GPU_1 choose others")
    if _numbers(inventory.driver_version) < OLDEST_DRIVER:
        what = f"driver 570.124.06 or newer (has {inventory.driver_version})"
        yield _lack(what, "sudo apt-get install nvidia-driver-570, or newer; then restart")
    if topology.transport is Transport.NVLINK and not all(map(_linked, fitting)):
        yield _lack("an NVLink bridge whose links are up", "nvidia-smi nvlink --status")
    for one in facts.gpu_processes:
        if one.compute_count and one.index in {gpu.index for gpu in given}:
            others = "process" if one.compute_count == 1 else "processes"
            what = f"GPU {one.index} for itself ({one.compute_count} {others} on it)"
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
            lacks = tuple(_of_cpu(facts, topology) + _of_process(facts))
            yield Readiness(topology=topology.id, model=model, runtime="process", lacks=lacks)
            lacks = (*_of_cpu(facts, topology), *_of_docker(facts, "cpu", version))
            yield Readiness(topology=topology.id, model=model, runtime="docker", lacks=lacks)
        else:
            lacks = (
                *gpu_lacks(facts, topology, fill_variables(service, variables).gpus),
                *_of_toolkit(facts),
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


def _of_pin(model: Model) -> Iterator[Lack]:
    if isinstance(model, HubModel) and not model.is_pinned:
        what = f"a pin of {model.repository}: nobody has read its files from the hub yet"
        yield _lack(what, f"kit lock-models {model.id}, where the hub can be reached")


def _of_toolkit(facts: MachineFacts) -> Iterator[Lack]:
    if facts.docker is not None and not facts.docker.has_nvidia_runtime:
        step = "install nvidia-container-toolkit, then: sudo nvidia-ctk runtime configure"
        yield _lack("the NVIDIA container toolkit", f"{step} && sudo systemctl restart docker")


def _is_chosen(gpu: GpuFacts, chosen: Sequence[str]) -> bool:
    return str(gpu.index) in chosen or any(not word.isdecimal() for word in chosen)


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
