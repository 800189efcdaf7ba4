"""The GPUs, asked through `nvidia-smi`, where the driver's library cannot be loaded.

Tells less than the library: no NVLink counters, no graphics processes. Every column is asked for by
name, and a cell that is not a number (`[N/A]`, `[Not Supported]`) is an absent value.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kit.bundle.telemetry import GpuFacts, GpuProcesses, Inventory, Reading, Source
from kit.edge.host import nvml
from kit.errors import MachineError

TIMEOUT_S = 30.0
"""Without persistence mode the command loads the driver first, which takes seconds."""

COMMAND = "nvidia-smi"

_FACTS = (
    "index", "name", "pci.bus_id", "driver_version", "memory.total", "compute_cap",
    "power.limit", "power.default_limit", "clocks.max.sm", "clocks.max.memory",
    "pcie.link.gen.max", "pcie.link.width.max", "persistence_mode",
)  # fmt: skip
_READING = (
    "index", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu",
    "memory.used", "clocks_event_reasons.active", "pcie.link.gen.current",
    "pcie.link.width.current",
)  # fmt: skip
_PROCESSES = ("gpu_bus_id", "used_memory")

_GPU = re.compile(r"^GPU (?P<index>[0-9]{1,3}):", re.MULTILINE)
_LINK = re.compile(r"Link [0-9]{1,3}: (?P<gb_s>[0-9]{1,4}(?:\.[0-9]{1,3})?) GB/s")

Row = Mapping[str, str]


class Smi:
    """The command, in the form of the opened library."""

    def inventory(self) -> Inventory:
        """Return the driver and the facts of every GPU."""
        rows, links = _query("gpu", _FACTS), _links(_run("nvlink", "-s"))
        return Inventory(
            source=Source.NVIDIA_SMI,
            driver_version=_word(rows[0], "driver_version") if rows else None,
            gpus=tuple(_facts(row, links) for row in rows),
        )

    def readings(self) -> tuple[Reading, ...]:
        """Return what every GPU tells of itself now."""
        return tuple(map(_reading, _query("gpu", _READING)))

    def processes(self) -> tuple[GpuProcesses, ...]:
        """Return how many computing processes are on every GPU."""
        gpus, processes = _query("gpu", ("index", "pci.bus_id")), _query("compute-apps", _PROCESSES)
        return tuple(_processes(gpu, processes) for gpu in gpus)


def rows(text: str, columns: tuple[str, ...]) -> tuple[Row, ...]:
    """Read the command's CSV without a header; a line of another length is not a row of it."""
    cells = ([cell.strip() for cell in line.split(",")] for line in text.splitlines())
    return tuple(dict(zip(columns, row, strict=True)) for row in cells if len(row) == len(columns))


def require() -> Smi:
    """Return the command; raise `MachineError` where there is none, or no GPU that it can ask."""
    if not _query("gpu", ("index",)):
        raise MachineError(
            "no NVIDIA GPU can be asked: libnvidia-ml.so.1 does not answer, nor does nvidia-smi",
            "the driver is not installed or not loaded, or a container lacks the capability "
            "`utility`",
            COMMAND,
        )
    return Smi()


def _query(what: str, columns: tuple[str, ...]) -> tuple[Row, ...]:
    text = _run(f"--query-{what}={','.join(columns)}", "--format=csv,noheader,nounits")
    return rows(text, columns)


def _run(*arguments: str) -> str:
    """Return what the command prints; nothing where it fails or there is none."""
    try:
        done = subprocess.run(
            [COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=Path("/"),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _facts(row: Row, links: Mapping[int, tuple[float, ...]]) -> GpuFacts:
    index, bus_id = _whole(row, "index") or 0, _word(row, "pci.bus_id")
    place = None if bus_id is None else nvml.kernel_bus_id(bus_id)
    memory_mib, active = _whole(row, "memory.total"), links.get(index)
    persistence = _word(row, "persistence_mode")
    return GpuFacts(
        index=index,
        name=row["name"][:100],
        pci_bus_id=place,
        numa_node=nvml.numa_node(place),
        memory_bytes=None if memory_mib is None else memory_mib * 2**20,
        compute_capability=_word(row, "compute_cap"),
        power_limit_w=_number(row, "power.limit"),
        power_default_limit_w=_number(row, "power.default_limit"),
        sm_clock_max_mhz=_whole(row, "clocks.max.sm"),
        memory_clock_max_mhz=_whole(row, "clocks.max.memory"),
        pcie_generation_max=_whole(row, "pcie.link.gen.max"),
        pcie_width_max=_whole(row, "pcie.link.width.max"),
        nvlink_links_active=None if active is None else len(active),
        nvlink_link_gb_s=active[0] if active else None,
        persistence_mode=None if persistence is None else persistence == "Enabled",
    )


def _reading(row: Row) -> Reading:
    memory_mib = _whole(row, "memory.used")
    return Reading(
        index=_whole(row, "index") or 0,
        sm_clock_mhz=_whole(row, "clocks.sm"),
        memory_clock_mhz=_whole(row, "clocks.mem"),
        power_w=_number(row, "power.draw"),
        temperature_c=_whole(row, "temperature.gpu"),
        utilization_percent=_whole(row, "utilization.gpu"),
        memory_used_bytes=None if memory_mib is None else memory_mib * 2**20,
        clock_reasons=nvml.clock_reasons(_mask(row, "clocks_event_reasons.active")),
        pcie_generation=_whole(row, "pcie.link.gen.current"),
        pcie_width=_whole(row, "pcie.link.width.current"),
    )


def _processes(gpu: Row, processes: tuple[Row, ...]) -> GpuProcesses:
    here = [one for one in processes if one["gpu_bus_id"] == gpu["pci.bus_id"]]
    held = [_whole(one, "used_memory") for one in here]
    return GpuProcesses(
        index=_whole(gpu, "index") or 0,
        compute_count=len(here),
        compute_memory_bytes=None if None in held else sum(mib or 0 for mib in held) * 2**20,
    )


def _links(text: str) -> dict[int, tuple[float, ...]]:
    """Read `nvidia-smi nvlink -s`: GB/s of each link that is up, by GPU; one that is down has none.

    A GPU of which it says nothing is left out: it may have links that this driver does not tell.
    """
    _, *parts = _GPU.split(text)
    told = zip(parts[::2], parts[1::2], strict=False)
    found = {int(index): tuple(map(float, _LINK.findall(body))) for index, body in told}
    return {index: speeds for index, speeds in found.items() if speeds}


def _word(row: Row, column: str) -> str | None:
    cell = row[column]
    return None if not cell or "N/A" in cell or cell.startswith("[") else cell[:100]


def _number(row: Row, column: str) -> float | None:
    cell = row[column]
    return float(cell) if re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,9})?", cell) else None


def _whole(row: Row, column: str) -> int | None:
    number = _number(row, column)
    return None if number is None else int(number)


def _mask(row: Row, column: str) -> int | None:
    cell = row[column]
    return int(cell, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,16}", cell) else None
