"""Reads the GPUs through NVML, the driver's library; changes nothing.

NVML answers "not supported", "no permission" or "function not found" for each value separately:
such a value is None.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pynvml  # type: ignore[import-untyped]  # it ships no types

from kit.bundle.telemetry import ClockReason, GpuFacts, GpuProcesses, Inventory, Reading, Source
from kit.errors import MachineError

_ALL_LINKS = 2**32 - 1
"""Scope of an NVLink counter: the sum over all links (nvml.h: UINT_MAX)."""

_REASONS = {
    pynvml.nvmlClocksEventReasonGpuIdle: ClockReason.GPU_IDLE,
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: ClockReason.APPLICATIONS_CLOCKS,
    pynvml.nvmlClocksEventReasonSwPowerCap: ClockReason.SW_POWER_CAP,
    pynvml.nvmlClocksEventReasonHwSlowdown: ClockReason.HW_SLOWDOWN,
    pynvml.nvmlClocksEventReasonSyncBoost: ClockReason.SYNC_BOOST,
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: ClockReason.SW_THERMAL_SLOWDOWN,
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: ClockReason.HW_THERMAL_SLOWDOWN,
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: ClockReason.HW_POWER_BRAKE_SLOWDOWN,
    pynvml.nvmlClocksEventReasonDisplayClockSetting: ClockReason.DISPLAY_CLOCKS,
}


class Nvml:
    """The initialised library, with a handle for each GPU, by index."""

    def __init__(self) -> None:
        count = pynvml.nvmlDeviceGetCount()
        handles = {n: _ask(pynvml.nvmlDeviceGetHandleByIndex, n) for n in range(count)}
        self._handles = {n: handle for n, handle in handles.items() if handle is not None}

    def inventory(self) -> Inventory:
        """Return the driver and the facts of every GPU."""
        return Inventory(
            source=Source.NVML,
            driver_version=_ask(pynvml.nvmlSystemGetDriverVersion),
            cuda_driver_version=_cuda_version(_ask(pynvml.nvmlSystemGetCudaDriverVersion)),
            gpus=tuple(_facts(index, handle) for index, handle in self._handles.items()),
        )

    def readings(self) -> tuple[Reading, ...]:
        """Return each GPU's clocks, power, temperature and link counters of now."""
        return tuple(_reading(index, handle) for index, handle in self._handles.items())

    def processes(self) -> tuple[GpuProcesses, ...]:
        """Return the number of processes on every GPU; a container sees only its own."""
        counts = (_processes(index, handle) for index, handle in self._handles.items())
        return tuple(count for count in counts if count is not None)


@contextmanager
def opened() -> Iterator[Nvml]:
    """Initialise NVML and yield it; raise `MachineError` without library, driver or permission."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise MachineError(
            f"cannot read GPUs: NVML says {str(error)!r}",
            "the NVIDIA driver is not installed or not loaded, or a container lacks the capability "
            "`utility`",
            "nvidia-smi",
        ) from error
    try:
        yield Nvml()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def index_of(uuid: str) -> int | None:
    """Return the index of the GPU with this UUID, which no bundle ever holds; None for none."""
    with opened():
        handle = _ask(pynvml.nvmlDeviceGetHandleByUUID, uuid)
        return None if handle is None else _ask(pynvml.nvmlDeviceGetIndex, handle)


def numa_node(pci_bus_id: str | None) -> int | None:
    """Return a card's NUMA node from sysfs; None if it has none."""
    if pci_bus_id is None:
        return None
    try:
        node = int(Path("/sys/bus/pci/devices", pci_bus_id, "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def kernel_bus_id(bus_id: str) -> str:
    """Return a PCI bus id as in sysfs: `0000:65:00.0` for `00000000:65:00.0`."""
    domain, _, device = bus_id.lower().partition(":")
    return f"{domain[-4:]}:{device}"


def _ask(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  # what the library returns
    """Return NVML's answer; None where it is an error."""
    try:
        return call(*arguments)
    except pynvml.NVMLError:
        return None


def _facts(index: int, handle: object) -> GpuFacts:
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    pci = _ask(pynvml.nvmlDeviceGetPciInfo, handle)
    bus_id = None if pci is None else kernel_bus_id(_text(pci.busId))
    persistence = _ask(pynvml.nvmlDeviceGetPersistenceMode, handle)
    return GpuFacts(
        index=index,
        name=_ask(pynvml.nvmlDeviceGetName, handle) or "unknown",
        pci_bus_id=bus_id,
        numa_node=numa_node(bus_id),
        memory_bytes=None if memory is None else memory.total,
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        power_limit_w=_watts(_ask(pynvml.nvmlDeviceGetPowerManagementLimit, handle)),
        power_default_limit_w=_watts(_ask(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
        sm_clock_max_mhz=_ask(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_SM),
        memory_clock_max_mhz=_ask(pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_MEM),
        pcie_generation_max=_ask(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        pcie_width_max=_ask(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        nvlink_links_active=_active_links(handle),
        nvlink_link_gb_s=_link_speed(handle),
        persistence_mode=None if persistence is None else bool(persistence),
    )


def _reading(index: int, handle: object) -> Reading:
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    utilization = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    received, sent = _field_values(
        handle,
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _ALL_LINKS),
        (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _ALL_LINKS),
    )
    return Reading(
        index=index,
        sm_clock_mhz=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM),
        memory_clock_mhz=_ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM),
        power_w=_watts(_ask(pynvml.nvmlDeviceGetPowerUsage, handle)),
        energy_mj=_ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle),
        temperature_c=_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        utilization_percent=None if utilization is None else utilization.gpu,
        memory_used_bytes=None if memory is None else memory.used,
        clock_reasons=clock_reasons(_reasons(handle)),
        pcie_generation=_ask(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        pcie_width=_ask(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        nvlink_received_bytes=None if received is None else received * 1024,
        nvlink_sent_bytes=None if sent is None else sent * 1024,
    )


def clock_reasons(mask: int | None) -> tuple[ClockReason, ...] | None:
    """Return the reasons in NVML's bit mask; an unknown bit is `other`."""
    if mask is None:
        return None
    named = tuple(reason for bit, reason in _REASONS.items() if mask & bit)
    return (*named, ClockReason.OTHER) if mask & ~sum(_REASONS) else named


def _reasons(handle: object) -> int | None:
    """Ask by the current name, then by the name in drivers before 535."""
    mask = _ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if mask is None:
        mask = _ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return None if mask is None else int(mask)


def _active_links(handle: object) -> int | None:
    """Return how many NVLink links are up; None for a card without NVLink."""
    links = range(pynvml.NVML_NVLINK_MAX_LINKS)
    states = [_ask(pynvml.nvmlDeviceGetNvLinkState, handle, link) for link in links]
    known = [state for state in states if state is not None]
    return sum(map(bool, known)) if known else None


def _link_speed(handle: object) -> float | None:
    """Return the bandwidth of one link in GB/s; NVML gives MB/s, and 0 for a link that is down."""
    (speed,) = _field_values(handle, (pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, 0))
    return speed / 1000 if speed else None


def _field_values(handle: object, *fields: tuple[int, int]) -> tuple[int | None, ...]:
    """Return the values of (field, scope) pairs, each None where the card does not have it."""
    values = _ask(pynvml.nvmlDeviceGetFieldValues, handle, list(fields))
    return (None,) * len(fields) if values is None else tuple(map(_field_value, values))


def _field_value(value: Any) -> int | None:  # noqa: ANN401  # a C struct
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        return None
    match value.valueType:
        case pynvml.NVML_VALUE_TYPE_UNSIGNED_INT:
            return int(value.value.uiVal)
        case pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG | pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG:
            return int(value.value.ullVal)
        case _:
            return None


def _processes(index: int, handle: object) -> GpuProcesses | None:
    computing = _ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    drawing = _ask(pynvml.nvmlDeviceGetGraphicsRunningProcesses, handle)
    if computing is None:
        return None
    own = {process.pid for process in computing}
    only_drawing = None if drawing is None else [it for it in drawing if it.pid not in own]
    return GpuProcesses(
        index=index,
        compute_count=len(computing),
        compute_memory_bytes=_memory_bytes(computing),
        graphics_count=None if only_drawing is None else len(only_drawing),
        graphics_memory_bytes=_memory_bytes(only_drawing),
    )


def _memory_bytes(processes: list[Any] | None) -> int | None:
    held = [process.usedGpuMemory for process in processes or ()]
    return None if processes is None or None in held else sum(held)


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _cuda_version(number: int | None) -> str | None:
    """Return 12.8 for 12080 (cuda.h: major times 1000 plus minor times 10)."""
    return None if not number else f"{number // 1000}.{number % 1000 // 10}"


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
