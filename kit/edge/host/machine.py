"""Looks at the machine for `kit doctor`; changes nothing, and bears whatever is not there."""

import os
import platform
import shutil
from pathlib import Path

from kit import __version__
from kit.bootstrap import hardware
from kit.bundle.telemetry import GpuProcesses, Inventory
from kit.edge.docker import daemon
from kit.edge.files import checkout
from kit.edge.host import sampler
from kit.errors import MachineError
from kit.run.readiness import DockerFacts, MachineFacts

_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


def look() -> MachineFacts:
    """Return the facts of this machine."""
    machine, flags = hardware.this_cpu()
    docker, fault = _docker()
    return MachineFacts(
        system=f"{platform.system()} {platform.release()}",
        machine=machine,
        has_avx2="avx2" in flags,
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(),
        free_bytes=shutil.disk_usage(checkout.ROOT).free,
        has_engine=(checkout.ENGINE / "bin" / "vllm").exists(),
        docker=docker,
        docker_fault=fault,
        gpus=_gpus(),
        gpu_processes=_gpu_processes(),
    )


def _gpu_processes() -> tuple[GpuProcesses, ...]:
    try:
        return sampler.compute_processes()
    except MachineError:
        return ()


def _docker() -> tuple[DockerFacts | None, str | None]:
    try:
        return daemon.facts(f":{__version__}"), None
    except MachineError as error:
        return None, error.why


def _gpus() -> Inventory | None:
    try:
        return sampler.inventory()
    except MachineError:
        return None


def _memory_bytes() -> int:
    """Return the machine's memory, or a container's limit where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP_MEMORY.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
