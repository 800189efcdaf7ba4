"""Reads the facts of this machine that `kit doctor` judges; what cannot be read has a reason."""

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from kit.bundle.telemetry import GpuProcesses, Inventory
from kit.edge.docker import daemon
from kit.edge.files import checkout
from kit.edge.host import nvml, probes
from kit.errors import MachineError, UsageError
from kit.run.readiness import DockerFacts, MachineFacts

GPU_VARIABLES = ("KIT_GPU_0", "KIT_GPU_1")
"""By which a user chooses GPUs."""

_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


def look() -> MachineFacts:
    """Return the facts of this machine."""
    docker, docker_fault = _docker()
    gpus, gpu_processes, gpu_fault = _gpus()
    return MachineFacts(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        has_avx2="avx2" in probes.cpu_flags(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(),
        free_bytes=shutil.disk_usage(checkout.ROOT).free,
        docker=docker,
        docker_fault=docker_fault,
        gpus=gpus,
        gpu_fault=gpu_fault,
        gpu_processes=gpu_processes,
        topology_matrix=daemon.topology_matrix() or "",
    )


def named_gpus() -> Mapping[str, str]:
    """Return the variables that name GPUs to use, each by its index, also where by its UUID.

    Raises `UsageError` for a UUID that no GPU here has.
    """
    named = {name: os.environ[name] for name in GPU_VARIABLES if os.environ.get(name)}
    return {name: _index(name, value) for name, value in named.items()}


def _index(name: str, value: str) -> str:
    if value.isdecimal():
        return value
    index = nvml.index_of(value)
    if index is None:
        raise UsageError(
            f"no GPU here has the UUID in {name}",
            "expected an index or a UUID as nvidia-smi lists them",
            "nvidia-smi -L",
        )
    return str(index)


def _docker() -> tuple[DockerFacts | None, str | None]:
    try:
        return daemon.facts(), None
    except MachineError as error:
        return None, error.why


def _gpus() -> tuple[Inventory | None, tuple[GpuProcesses, ...], str | None]:
    try:
        with nvml.opened() as gpus:
            return gpus.inventory(), gpus.processes(), None
    except MachineError as error:
        return None, (), error.what


def _memory_bytes() -> int:
    """Return the machine's memory, or a container's limit where that is less."""
    total = probes.memory_bytes()
    try:
        limit = _CGROUP_MEMORY.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
