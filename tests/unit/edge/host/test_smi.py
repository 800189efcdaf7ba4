"""The command in place of the library. It is a stand-in script: no GPU was seen.

Its output is spelled as the documentation of `nvidia-smi --query-gpu` (driver 570) says.
"""

from pathlib import Path

import pytest

from kit.bundle.telemetry import ClockReason, GpuProcesses, Reading, Source
from kit.edge.host import smi
from kit.errors import MachineError

SCRIPT = r"""#!/bin/sh
case "$1" in
  --query-gpu=index) printf '0\n1\n' ;;
  --query-gpu=index,name,*)
    printf '0, NVIDIA GeForce RTX 3090, 00000000:65:00.0, 570.133.20, 24576, 8.6, 350.00, '
    printf '350.00, 2100, 9751, 4, 16, Enabled\n'
    printf '1, NVIDIA GeForce RTX 3090, 00000000:B3:00.0, 570.133.20, 24576, 8.6, [N/A], '
    printf '[Not Supported], 2100, 9751, 4, 8, Disabled\n' ;;
  --query-gpu=index,pci.bus_id) printf '0, 00000000:65:00.0\n1, 00000000:B3:00.0\n' ;;
  --query-gpu=index,clocks.sm,*)
    printf '0, 1695, 9501, 349.25, 71, 97, 21504, 0x0000000000000024, 4, 16\n'
    printf '1, [GPU is lost], [N/A], N/A, [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]\n' ;;
  --query-compute-apps=*)
    printf '00000000:65:00.0, 1024\n00000000:65:00.0, 512\n00000000:B3:00.0, [N/A]\n' ;;
  nvlink)
    printf 'GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-1)\n\t Link 0: 14.062 GB/s\n'
    printf '\t Link 1: 14.062 GB/s\n\t Link 2: <inactive>\nGPU 1: NVIDIA GeForce RTX 3090\n' ;;
  *) exit 2 ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> smi.Smi:
    script = tmp_path / "nvidia-smi"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return smi.require()


def test_facts(asked: smi.Smi) -> None:
    found = asked.inventory()
    assert (found.source, found.driver_version) == (Source.NVIDIA_SMI, "570.133.20")
    first, second = found.gpus
    assert (first.pci_bus_id, second.pci_bus_id) == ("0000:65:00.0", "0000:b3:00.0")
    assert first.memory_bytes == 24 * 2**30
    assert (first.compute_capability, first.power_limit_w) == ("8.6", 350.0)
    assert (first.sm_clock_max_mhz, first.pcie_width_max) == (2100, 16)
    assert (first.persistence_mode, second.persistence_mode) == (True, False)
    assert (first.nvlink_links_active, first.nvlink_link_gb_s) == (2, 14.062)
    assert (second.power_limit_w, second.power_default_limit_w) == (None, None)
    assert second.nvlink_links_active is None


def test_readings(asked: smi.Smi) -> None:
    first, second = asked.readings()
    assert first == Reading(
        index=0,
        sm_clock_mhz=1695,
        memory_clock_mhz=9501,
        power_w=349.25,
        temperature_c=71,
        utilization_percent=97,
        memory_used_bytes=21 * 2**30,
        clock_reasons=(ClockReason.SW_POWER_CAP, ClockReason.SW_THERMAL_SLOWDOWN),
        pcie_generation=4,
        pcie_width=16,
    )
    assert second == Reading(index=1)


def test_processes(asked: smi.Smi) -> None:
    assert asked.processes() == (
        GpuProcesses(index=0, compute_count=2, compute_memory_bytes=1536 * 2**20),
        GpuProcesses(index=1, compute_count=1),
    )


def test_no_command_is_said_to_be_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="no NVIDIA GPU"):
        smi.require()


@pytest.mark.parametrize("code", ["exit 9", "echo No devices were found", "kill -9 $$"])
def test_a_command_that_fails_is_no_gpu(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text(f"#!/bin/sh\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if code.startswith("echo"):  # it says so on standard output, and exits 6
        script.write_text(f"#!/bin/sh\n{code}\nexit 6\n")
    with pytest.raises(MachineError):
        smi.require()


def test_a_line_of_another_length_is_not_a_row() -> None:
    assert smi.rows("1, 2\n3\n4, 5, 6\n7,8", ("a", "b")) == (
        {"a": "1", "b": "2"},
        {"a": "7", "b": "8"},
    )
