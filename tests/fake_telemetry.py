"""The telemetry that a simulated run leaves: two RTX 3090s, as `tests/stand_in_nvml.c` has them.

No GPU was used.
"""

from datetime import datetime, timedelta

from kit.bundle.telemetry import (
    ClockReason,
    End,
    GpuFacts,
    GpuSample,
    Header,
    Inventory,
    Reading,
    Source,
    Telemetry,
)

INTERVAL_S = 0.1

TOPOLOGY_MATRIX = (
    "\x1b[4mGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
    "GPU0\t X \tNV4\t0-15\t0\t\tN/A\nGPU1\tNV4\t X \t0-15\t0\t\tN/A\n\n"
    "Legend:\n\n  X    = Self\n  NV#  = Connection traversing a bonded set of # NVLinks"
)
"""What `nvidia-smi topo -m` prints for two cards with a bridge: its form is public."""

CARDS = tuple(
    GpuFacts(
        index=index,
        name="NVIDIA GeForce RTX 3090",
        memory_bytes=24 * 2**30,
        compute_capability="8.6",
        power_limit_w=350.0,
        power_default_limit_w=350.0,
        pcie_generation_max=4,
        pcie_width_max=16,
        nvlink_links_active=4,
        nvlink_link_gb_s=14.062,
    )
    for index in (0, 1)
)

READINGS = tuple(
    Reading(
        index=index,
        sm_clock_mhz=1695,
        memory_clock_mhz=9501,
        utilization_percent=96,
        power_w=349.25,
        temperature_c=71,
        memory_used_bytes=22 * 2**30,
        clock_reasons=(ClockReason.SW_POWER_CAP,),
        pcie_generation=4,
        pcie_width=16,
    )
    for index in (0, 1)
)


def telemetry_of(start_utc: str, end_s: float) -> Telemetry:
    """Return two busy cards' telemetry over a run."""
    end = datetime.fromisoformat(start_utc) + timedelta(seconds=end_s)
    return Telemetry(
        header=Header(
            schema_version=1,
            t_s=0.0,
            utc=start_utc,
            interval_s=INTERVAL_S,
            inventory=Inventory(source=Source.NVML, driver_version="570.133.20", gpus=CARDS),
        ),
        samples=tuple(
            GpuSample(t_s=round(INTERVAL_S * step, 6), gpus=READINGS)
            for step in range(int(end_s / INTERVAL_S) + 1)
        ),
        end=End(t_s=end_s, utc=f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"),
    )
