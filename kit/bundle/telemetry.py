"""`telemetry.jsonl`: properties of the GPUs, then samples over the run, as canonical JSON Lines.

The first line is a header, the last one marks a regular end. Times are seconds on one monotonic
clock: a sampler writes the kernel's, and `from_start` makes them relative to the run's start. There
are no serial numbers or UUIDs. A value that a card or its driver does not report is absent.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from kit.format import canonical
from kit.format.canonical import NotCanonical

SCHEMA_VERSION = 1
"""Format history. 1: first version."""

LIMIT_BYTES = 32 * 2**20
LINE_LIMIT = 100_000
"""One sample per second for a day."""

READING_LIMIT = 200_000
"""Two GPUs for a day. In memory one takes ten times its shortest text."""

_LEAST_BYTES = len('{"index":0},')

GPU_LIMIT = 64

Text = Annotated[str, msgspec.Meta(max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Utc = Annotated[str, msgspec.Meta(pattern=r"^[0-9TZ:.-]+$", max_length=40)]


class ClockReason(Enum):
    """Why a clock is not higher (NVML: `nvmlClocksEventReason...`).

    `sw-power-cap` is normal for a card at its power limit. `hw-slowdown` is any hardware slowdown;
    the next two are its kinds.
    """

    GPU_IDLE = "gpu-idle"
    APPLICATIONS_CLOCKS = "applications-clocks"
    SW_POWER_CAP = "sw-power-cap"
    HW_SLOWDOWN = "hw-slowdown"
    HW_THERMAL_SLOWDOWN = "hw-thermal-slowdown"
    HW_POWER_BRAKE_SLOWDOWN = "hw-power-brake-slowdown"
    SYNC_BOOST = "sync-boost"
    SW_THERMAL_SLOWDOWN = "sw-thermal-slowdown"
    DISPLAY_CLOCKS = "display-clocks"
    OTHER = "other"


class Source(Enum):
    """The driver's library, or its command if the library could not be loaded."""

    NVML = "nvml"
    NVIDIA_SMI = "nvidia-smi"


class _TelemetryPart(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Base of the parts of telemetry."""


class GpuFacts(_TelemetryPart, frozen=True, kw_only=True):
    """One GPU; `index` is the driver's.

    `nvlink_link_gb_s` is the bandwidth of one NVLink link in GB/s per direction. `pcie_width_max`
    is in lanes. Both PCIe maxima are those of this card in this slot.
    """

    index: Count
    name: Text
    pci_bus_id: Text | None = None
    numa_node: Count | None = None
    memory_bytes: Count | None = None
    compute_capability: Text | None = None
    power_limit_w: float | None = None
    power_default_limit_w: float | None = None
    sm_clock_max_mhz: Count | None = None
    memory_clock_max_mhz: Count | None = None
    pcie_generation_max: Count | None = None
    pcie_width_max: Count | None = None
    nvlink_links_active: Count | None = None
    nvlink_link_gb_s: float | None = None
    persistence_mode: bool | None = None


class Inventory(_TelemetryPart, frozen=True, kw_only=True):
    """The visible GPUs and the driver. `cuda_driver_version` is the newest CUDA it supports."""

    source: Source
    driver_version: Text | None = None
    cuda_driver_version: Text | None = None
    gpus: Annotated[tuple[GpuFacts, ...], msgspec.Meta(max_length=GPU_LIMIT)]


class Reading(_TelemetryPart, frozen=True, kw_only=True):
    """One GPU in one sample. `utilization_percent` is the share of time with a kernel running.

    Since the driver was loaded: the NVLink counters are data bytes over all links, `energy_mj` the
    board's energy in millijoules.
    """

    index: Count
    sm_clock_mhz: Count | None = None
    memory_clock_mhz: Count | None = None
    power_w: float | None = None
    energy_mj: Count | None = None
    temperature_c: Count | None = None
    utilization_percent: Count | None = None
    memory_used_bytes: Count | None = None
    clock_reasons: Annotated[tuple[ClockReason, ...], msgspec.Meta(max_length=16)] | None = None
    pcie_generation: Count | None = None
    pcie_width: Count | None = None
    nvlink_received_bytes: Count | None = None
    nvlink_sent_bytes: Count | None = None


class Header(_TelemetryPart, frozen=True, kw_only=True, tag_field="kind", tag="facts"):
    """The first line. `t_s` and `utc` are the same moment."""

    schema_version: Annotated[int, msgspec.Meta(extra_json_schema={"const": SCHEMA_VERSION})]
    t_s: float
    utc: Utc
    interval_s: float
    inventory: Inventory


class GpuSample(_TelemetryPart, frozen=True, kw_only=True, tag_field="kind", tag="sample"):
    """All GPUs at `t_s`."""

    t_s: float
    gpus: Annotated[tuple[Reading, ...], msgspec.Meta(max_length=GPU_LIMIT)]


class End(_TelemetryPart, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The last line of a regularly stopped sampler. `t_s` and `utc` are the same moment."""

    t_s: float
    utc: Utc


Line: TypeAlias = Header | GpuSample | End
L = TypeVar("L", Header, GpuSample, End)
_LINE: Any = Line  # msgspec accepts a union as a type, mypy does not


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file; `end` is absent if the sampler was killed."""

    header: Header
    samples: tuple[GpuSample, ...]
    end: End | None


class GpuProcesses(_TelemetryPart, frozen=True, kw_only=True):
    """Number and memory of foreign processes on one GPU, without their identity.

    A process that computes and draws counts as computing. Memory is absent if the driver does not
    report it, as in a container.
    """

    index: Count
    compute_count: Count
    compute_memory_bytes: Count | None = None
    graphics_count: Count | None = None
    graphics_memory_bytes: Count | None = None


def read(data: bytes) -> Telemetry:
    """Read a file of telemetry; raise `NotCanonical` with the fault and its line."""
    if len(data) > LIMIT_BYTES or data.count(b"\n") > LINE_LIMIT:
        raise NotCanonical(f"more than {LIMIT_BYTES} bytes or {LINE_LIMIT} lines")
    if len(data) > READING_LIMIT * _LEAST_BYTES and data.count(b'"index":') > READING_LIMIT:
        raise NotCanonical(f"more than {READING_LIMIT} readings")
    lines: tuple[Line, ...] = canonical.decode_lines(data, _LINE)
    header, last = lines[:1], lines[-1:]
    if (
        not header
        or not isinstance(header[0], Header)
        or header[0].schema_version != SCHEMA_VERSION
    ):
        raise NotCanonical(f"the first line is not a header of version {SCHEMA_VERSION}")
    end = last[0] if isinstance(last[0], End) else None
    between = lines[1:] if end is None else lines[1:-1]
    samples = tuple(line for line in between if isinstance(line, GpuSample))
    if len(samples) < len(between):
        raise NotCanonical("a header or an end between the samples")
    for number, (earlier, later) in enumerate(pairwise(lines), start=2):
        if later.t_s < earlier.t_s:
            raise NotCanonical(f"line {number}: time goes back to {later.t_s} s")
    return Telemetry(header=header[0], samples=samples, end=end)


def write(telemetry: Telemetry) -> bytes:
    """Return the file that `read` reads."""
    last = () if telemetry.end is None else (telemetry.end,)
    return canonical.encode_lines((telemetry.header, *telemetry.samples, *last))


def from_start(data: bytes, origin_s: float) -> bytes:
    """Return a sampler's file with times relative to `origin_s`, the run's start on its clock.

    Times of earlier samples are negative. A last line that is incomplete, because the sampler was
    killed, is dropped. Raises `NotCanonical` for any other fault.
    """

    def moved(line: L) -> L:
        return replace(line, t_s=round(line.t_s - origin_s, 6))

    telemetry = read(data[: data.rfind(b"\n") + 1])
    return write(
        Telemetry(
            header=moved(telemetry.header),
            samples=tuple(map(moved, telemetry.samples)),
            end=None if telemetry.end is None else moved(telemetry.end),
        )
    )


def has_ended(tail: bytes) -> bool:
    """Return whether the end of a sampler's file, a line or more, has its regular last line."""
    last = tail.removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        return tail.endswith(b"\n") and canonical.decode(last + b"\n", End) is not None
    except NotCanonical:
        return False


def by_gpu(samples: Sequence[GpuSample]) -> defaultdict[int, list[Reading]]:
    """Return the readings of each GPU, by its index."""
    readings: defaultdict[int, list[Reading]] = defaultdict(list)
    for sample in samples:
        for reading in sample.gpus:
            readings[reading.index].append(reading)
    return readings
