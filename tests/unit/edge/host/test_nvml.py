"""NVML through its real bindings, with a stand-in for the library.

Each test runs in a process of its own, since a library once loaded stays.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kit.bundle.telemetry import ClockReason, GpuProcesses, Inventory, Reading, Source
from kit.edge.host import nvml

ROOT = Path(__file__).parents[4]

ASK = """
import sys
from kit.format import canonical
from kit.edge.host import nvml
with nvml.opened() as gpus:
    found = {"inventory": gpus.inventory(), "now": gpus.readings(), "later": gpus.readings(),
             "processes": gpus.processes()}
sys.stdout.buffer.write(canonical.encode(found))
"""


class NvmlAnswers(msgspec.Struct):
    """What one process has read."""

    inventory: Inventory
    now: tuple[Reading, ...]
    later: tuple[Reading, ...]
    processes: tuple[GpuProcesses, ...]


Ask = Callable[..., NvmlAnswers]


@pytest.fixture
def ask(nvml_folder: Path) -> Ask:
    """Return a way to ask the stand-in; `LINKS=4` becomes STAND_IN_NVML_LINKS=4."""

    def asking(folder: Path = nvml_folder, **settings: int) -> NvmlAnswers:
        stand_in = {f"STAND_IN_NVML_{name}": str(value) for name, value in settings.items()}
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            cwd=ROOT,
            env={**os.environ, **stand_in, "LD_LIBRARY_PATH": str(folder)},
            capture_output=True,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=NvmlAnswers)

    return asking


def test_two_cards_and_their_driver(ask: Ask) -> None:
    found = ask().inventory
    assert found.source is Source.NVML
    assert (found.driver_version, found.cuda_driver_version) == ("570.133.20", "12.8")
    assert [gpu.index for gpu in found.gpus] == [0, 1]
    assert [gpu.pci_bus_id for gpu in found.gpus] == ["0000:65:00.0", "0000:b3:00.0"]
    gpu = found.gpus[0]
    assert (gpu.name, gpu.compute_capability) == ("NVIDIA GeForce RTX 3090", "8.6")
    assert gpu.memory_bytes == 24 * 2**30
    assert (gpu.power_limit_w, gpu.power_default_limit_w) == (350.0, 350.0)
    assert (gpu.sm_clock_max_mhz, gpu.memory_clock_max_mhz) == (2100, 9751)
    assert (gpu.pcie_generation_max, gpu.pcie_width_max) == (4, 16)
    assert gpu.persistence_mode is True
    assert (gpu.nvlink_links_active, gpu.nvlink_link_gb_s) == (0, None)


def test_what_a_card_tells_under_load(ask: Ask) -> None:
    reading = ask().now[0]
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz) == (1695, 9501)
    assert (reading.power_w, reading.temperature_c, reading.utilization_percent) == (349.25, 71, 97)
    assert reading.memory_used_bytes == 21 * 2**30
    assert (reading.pcie_generation, reading.pcie_width) == (4, 16)
    assert reading.clock_reasons == (ClockReason.SW_POWER_CAP,)


def test_a_geforce_card_counts_no_bytes_on_its_links(ask: Ask) -> None:
    told = ask(LINKS=4)
    assert told.inventory.gpus[0].nvlink_links_active == 4
    assert told.inventory.gpus[0].nvlink_link_gb_s == 14.062
    assert (told.now[0].nvlink_received_bytes, told.now[0].nvlink_sent_bytes) == (None, None)


def test_a_card_that_counts_tells_bytes(ask: Ask) -> None:
    told = ask(LINKS=4, COUNTERS=1)
    sent, later = told.now[0].nvlink_sent_bytes, told.later[0].nvlink_sent_bytes
    assert sent is not None
    assert later is not None
    assert sent % 1024 == 0  # NVML tells KiB
    assert later > sent >= 1000 * 1024
    still = ask(LINKS=0, COUNTERS=1)
    assert still.now[0].nvlink_sent_bytes == still.later[0].nvlink_sent_bytes == 0


def test_a_card_with_an_energy_counter_tells_millijoules(ask: Ask) -> None:
    answers = ask(ENERGY=1)
    now, later = answers.now[0].energy_mj, answers.later[0].energy_mj
    assert now is not None
    assert later is not None
    assert later >= now
    assert ask().now[0].energy_mj is None


def test_reasons_have_names_and_an_unknown_bit_is_other(ask: Ask) -> None:
    assert ask(REASONS=0).now[0].clock_reasons == ()
    assert ask(REASONS=0x8068).now[0].clock_reasons == (
        ClockReason.HW_SLOWDOWN,
        ClockReason.SW_THERMAL_SLOWDOWN,
        ClockReason.HW_THERMAL_SLOWDOWN,
        ClockReason.OTHER,
    )


def test_processes_are_counted_and_never_named(ask: Ask) -> None:
    one = ask(PROCESSES=2).processes[0]
    assert one == GpuProcesses(
        index=0,
        compute_count=2,
        compute_memory_bytes=2 * 2**30,
        graphics_count=1,  # two draw, and one of them computes too
        graphics_memory_bytes=2**30,
    )
    assert ask().processes[1] == GpuProcesses(
        index=1,
        compute_count=0,
        compute_memory_bytes=0,
        graphics_count=0,
        graphics_memory_bytes=0,
    )


def test_what_a_driver_does_not_tell_is_absent(ask: Ask) -> None:
    told = ask(SILENT=1)
    assert told.inventory.gpus[0].power_limit_w is None
    assert told.inventory.gpus[0].nvlink_links_active is None
    assert told.now[0] == Reading(index=0, memory_used_bytes=21 * 2**30)
    assert told.processes == ()


def test_settings_may_stand_beside_the_library(ask: Ask, nvml_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes((nvml_folder / "libnvidia-ml.so.1").read_bytes())
    (tmp_path / "stand_in_nvml.conf").write_text("STAND_IN_NVML_GPUS=1\nSTAND_IN_NVML_LINKS=4\n")
    told = ask(tmp_path)
    assert [gpu.nvlink_links_active for gpu in told.inventory.gpus] == [4]
    assert ask(tmp_path, LINKS=2).inventory.gpus[0].nvlink_links_active == 2


def test_no_identity_of_a_card_has_a_field() -> None:
    names = {*Inventory.__struct_fields__, *Reading.__struct_fields__}
    assert not {name for name in names if "serial" in name or "uuid" in name}


def test_no_mask_is_no_reasons_told() -> None:
    assert nvml.clock_reasons(None) is None
    assert nvml.clock_reasons(0) == ()


@pytest.mark.parametrize(
    ("told", "kernel"),
    [("00000000:65:00.0", "0000:65:00.0"), ("0000:B3:00.0", "0000:b3:00.0")],
)
def test_bus_ids_are_spelled_as_the_kernel_does(told: str, kernel: str) -> None:
    assert nvml.kernel_bus_id(told) == kernel
