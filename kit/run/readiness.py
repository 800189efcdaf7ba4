"""From the facts of a machine to what it can run, what it lacks, and the next command."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from kit.bundle.host_facts import connections
from kit.bundle.telemetry import GpuProcesses, Inventory
from kit.plan.topology import Device, Topology, Transport, fill_variables
from kit.roofline.model import Shape
from kit.run.cards import (
    Cards,
    busy_indexes,
    choose,
    considered,
    memory_needed_bytes,
    misfits,
)

OLDEST_DRIVER = (570, 124, 6)
"""CUDA 12.8 Update 1 (NVIDIA, "CUDA 12.8 Release Notes", table of driver versions)."""

OLDEST_DOCKER = (25,)
"""The first with a separate interval for the health checks of a starting container."""

OLDEST_COMPOSE = (2, 24)
"""The first that knows `!override`, which compose/base.yaml uses."""

TOOLKIT = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)

CPU_MEMORY_BYTES = 6 * 10**9
"""The CPU engine uses 3 GB with one rank and 5.3 GB with two (measured)."""


class DockerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Docker engine that answers; `free_bytes` are of the disk that holds its images.

    `has_nvidia_devices` is whether it knows GPUs by CDI (Container Device Interface).
    """

    version: str
    is_podman: bool = False
    is_rootless: bool = False
    has_selinux: bool = False
    has_nvidia_devices: bool = False
    compose_version: str | None = None
    has_buildx: bool = True
    has_nvidia_runtime: bool = False
    free_bytes: int | None = None


class MachineFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts of a machine; `cores` and `memory_bytes` are those that this process may use."""

    system: str
    machine: str
    has_avx2: bool
    cores: int
    memory_bytes: int | None = None
    free_bytes: int
    docker: DockerFacts | None = None
    docker_fault: str | None = None
    gpus: Inventory | None = None
    gpu_fault: str | None = None
    gpu_processes: tuple[GpuProcesses, ...] = ()
    topology_matrix: str = ""

    @property
    def cards(self) -> Cards:
        """The GPUs, what runs on them, and what is between them."""
        return Cards(
            gpus=self.gpus.gpus if self.gpus else (),
            processes=self.gpu_processes,
            connections=connections(self.topology_matrix),
        )


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
    shapes: Mapping[str, Shape],
    variables: Mapping[str, str],
) -> tuple[Readiness, ...]:
    """Return the readiness of every cell, GPU topologies last.

    `variables` of the Compose files may name the GPUs to use.
    """
    order = sorted(topologies.values(), key=lambda it: (it.device is Device.GPU, it.id))
    return tuple(
        Readiness(
            topology=topology.id,
            model=model,
            runtime=runtime,
            lacks=tuple(lacks(facts, topology, [model], runtime, shapes, variables)),
        )
        for topology in order
        for model in topology.services
        for runtime in (("docker",) if topology.device is Device.GPU else ("process", "docker"))
    )


def lacks(
    facts: MachineFacts,
    topology: Topology,
    models: Sequence[str],
    runtime: str,
    shapes: Mapping[str, Shape],
    variables: Mapping[str, str],
) -> Iterator[Lack]:
    """Yield what this machine lacks to run these models of a topology."""
    if topology.device is Device.GPU:
        needed = memory_needed(topology, models, shapes)
        yield from _linux_lacks(facts)
        yield from gpu_lacks(facts, topology, needed, named_gpus(topology, variables))
        yield from _toolkit_lacks(facts)
    else:
        yield from _cpu_lacks(facts, topology)
    if runtime == "docker":
        yield from _docker_lacks(facts)


def memory_needed(topology: Topology, models: Sequence[str], shapes: Mapping[str, Shape]) -> float:
    """Return the memory in bytes that a card needs for the largest of these models."""
    ranks = topology.tensor_parallel_size
    return max(
        memory_needed_bytes(shapes[model], topology.services[model], ranks) for model in models
    )


def named_gpus(topology: Topology, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the indexes of GPUs that the user has named; nothing where none is named."""
    service = next(iter(topology.services.values()))
    return fill_variables(service, variables).gpus if variables else ()


def gpu_lacks(
    facts: MachineFacts, topology: Topology, needed_bytes: float, named: Sequence[str]
) -> Iterator[Lack]:
    """Yield what the GPUs and their driver lack; `named` are indexes that the user chose."""
    ranks, inventory, cards = topology.tensor_parallel_size, facts.gpus, facts.cards
    if inventory is None:
        gpus = "GPU with its driver" if ranks == 1 else "GPUs with their driver"
        fault = f" ({facts.gpu_fault})" if facts.gpu_fault else ""
        yield _lack(f"{ranks} NVIDIA {gpus}{fault}", "nvidia-smi must list driver 570 or newer")
        return
    if _numbers(inventory.driver_version) < OLDEST_DRIVER:
        what = f"driver 570.124.06 or newer (has {inventory.driver_version})"
        yield _lack(what, "install it (Ubuntu: sudo apt-get install nvidia-driver-580), restart")
    chosen = choose(cards, topology, needed_bytes, named)
    if not chosen:
        yield from _no_cards(cards, topology, needed_bytes, named)
    for gpu in chosen:
        if gpu.index in busy_indexes(cards):
            yield _lack(
                f"GPU {gpu.index} for itself: other processes compute on it",
                "nvidia-smi, then end them, or choose others: KIT_GPU_0=1 KIT_GPU_1=2",
            )


def _no_cards(
    cards: Cards, topology: Topology, needed_bytes: float, named: Sequence[str]
) -> Iterator[Lack]:
    """Yield why no cards serve: each card's own reasons, or what they lack together."""
    ranks = topology.tensor_parallel_size
    reasons = {gpu: list(misfits(gpu, needed_bytes)) for gpu in considered(cards, named)}
    fitting = [gpu for gpu, why in reasons.items() if not why]
    told = "".join(
        f"\n  GPU {gpu.index} {gpu.name}: {'; '.join(why) or 'can serve'}"
        for gpu, why in reasons.items()
    )
    gpus = f"{ranks} {'GPU' if ranks == 1 else 'GPUs'}"
    step = "make doctor, for all that this machine can run"
    if fitting and not named:
        step = "make doctor TOPOLOGY=tp1, which takes one GPU"
    if len(fitting) < ranks:
        needed = f"{needed_bytes / 2**30:.1f} GiB, found {len(fitting)}"
        yield _lack(f"{gpus} of compute capability 8.0 and {needed}{told}", step)
    elif topology.transport is Transport.NVLINK:
        what = "two GPUs of one kind with an NVLink bridge between them whose links are up"
        yield _lack(what, "nvidia-smi topo -m; nvidia-smi nvlink --status")
    else:
        yield _lack(f"{gpus} of one kind; those that can serve are of several{told}", step)


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


def _docker_lacks(facts: MachineFacts) -> Iterator[Lack]:
    engine = facts.docker
    if engine is None:
        fault = facts.docker_fault or "no docker command"
        if "Permission denied" in fault:
            step = "sudo usermod -aG docker $USER, then log in again"
            yield _lack("the right to use the Docker engine, which is not this user's", step)
        else:
            step = "https://docs.docker.com/engine/install/"
            yield _lack(f"a Docker engine that answers ({fault})", step)
        return
    if engine.is_podman:
        what = f"Docker itself (Podman {engine.version} answers in its place: untested)"
        yield _lack(what, "https://docs.docker.com/engine/install/")
        return
    if engine.is_rootless:
        what = "a Docker engine that runs as root (this one is rootless: untested)"
        yield _lack(what, "unset DOCKER_HOST; docker context use default; make doctor")
    if engine.has_selinux:
        what = "a Docker engine without SELinux labels (a client could not write its bundle)"
        yield _lack(what, "remove selinux-enabled from /etc/docker/daemon.json, restart Docker")
    if _numbers(engine.version) < OLDEST_DOCKER:
        what = f"Docker 25 or newer (has {engine.version})"
        yield _lack(what, "https://docs.docker.com/engine/install/")
    if engine.compose_version is None:
        yield _lack("docker compose", "sudo apt-get install docker-compose-plugin")
    elif _numbers(engine.compose_version) < OLDEST_COMPOSE:
        what = f"docker compose 2.24 or newer (has {engine.compose_version})"
        yield _lack(what, "sudo apt-get install docker-compose-plugin")
    if not engine.has_buildx:
        yield _lack("docker buildx", "sudo apt-get install docker-buildx-plugin")


def _toolkit_lacks(facts: MachineFacts) -> Iterator[Lack]:
    engine = facts.docker
    if engine is None or engine.is_podman or engine.has_nvidia_runtime:
        return
    configure = "sudo nvidia-ctk runtime configure && sudo systemctl restart docker"
    if engine.has_nvidia_devices:
        yield _lack("the NVIDIA runtime in Docker (GPUs are known by CDI alone)", configure)
    else:
        step = f"install it ({TOOLKIT}), then: {configure}"
        yield _lack("the NVIDIA container toolkit", step)


def _linux_lacks(facts: MachineFacts) -> Iterator[Lack]:
    if "microsoft" in facts.system.lower():
        what = "native Linux (WSL2 shows every GPU to each container)"
        yield _lack(what, "boot native Linux, or run the CPU topologies here: make bench")


def _numbers(version: str | None) -> tuple[int, ...]:
    """Return a version as comparable numbers; an unknown one is older than any."""
    return tuple(int(part) for part in (version or "").lstrip("v").split(".") if part.isdecimal())


def _lack(what: str, next_step: str) -> Lack:
    return Lack(what=what, next_step=next_step)


def _gb(size: int) -> str:
    return f"{size / 1e9:.0f} GB"
