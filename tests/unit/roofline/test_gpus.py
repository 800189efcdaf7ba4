"""The table of GPUs: read whole, refused in part."""

import pytest

from kit.errors import SpecError
from kit.roofline.gpus import Gpu, parse_gpus
from tests.catalog import GPUS
from tests.factory import ROOT

TABLE = (ROOT / "docker/gpus.toml").read_text()


@pytest.mark.parametrize("name", GPUS)
def test_every_gpu_is_plausible(name: str) -> None:
    """A digit too many or a doubled clock would let through, or accuse, what it should not."""
    gpu = GPUS[name]
    assert gpu.name == name
    assert name.startswith("NVIDIA ")
    assert len(gpu.source) > 5
    assert 8.0 <= float(gpu.compute_capability) <= 12.0
    is_hbm = gpu.bus_bits > 512
    low_mhz, high_mhz = (1000, 4500) if is_hbm else (6000, 16000)
    assert low_mhz < gpu.memory_clock_mhz < high_mhz
    assert 100 <= gpu.tensor_tflops <= 5000
    assert 6 <= gpu.l2_cache_mib <= 128
    assert 12 <= gpu.memory_gib <= 192


@pytest.mark.parametrize(
    ("name", "clock_mhz"),
    [
        ("NVIDIA GeForce RTX 3090", 9751),
        ("NVIDIA GeForce RTX 4090", 10501),
        ("NVIDIA RTX A6000", 8001),
        ("NVIDIA A100-SXM4-40GB", 1215),
        ("NVIDIA A100-SXM4-80GB", 1593),
        ("NVIDIA A100 80GB PCIe", 1512),
        ("NVIDIA L4", 6251),
        ("NVIDIA L40S", 9001),
        ("NVIDIA A10G", 6251),
        ("NVIDIA A30", 1215),
        ("NVIDIA A40", 7251),
        ("NVIDIA GeForce RTX 4080", 11201),
        ("NVIDIA GeForce RTX 4080 SUPER", 11501),
        ("NVIDIA RTX 6000 Ada Generation", 10001),
        ("NVIDIA H100 PCIe", 1593),
        ("NVIDIA H100 80GB HBM3", 2619),
        ("NVIDIA H100 NVL", 2619),
        ("NVIDIA H200", 3201),
        ("NVIDIA H200 NVL", 3201),
        ("NVIDIA B200", 3996),
        ("NVIDIA GeForce RTX 5070 Ti", 14001),
        ("NVIDIA GeForce RTX 5080", 15001),
        ("NVIDIA GeForce RTX 5090", 14001),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 14001),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 12481),
    ],
)
def test_the_memory_clock_is_the_one_that_drivers_tell(name: str, clock_mhz: int) -> None:
    """As nvidia-smi shows them under load: two bits a pin and cycle, whatever the memory."""
    assert GPUS[name].memory_clock_mhz == pytest.approx(clock_mhz, rel=1e-3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bandwidth_gb_s = 936.2\n", ""),
        ("bandwidth_gb_s = 936.2", "bandwidth_gb_s = 0"),
        ("bandwidth_gb_s = 936.2", 'bandwidth_gb_s = "936.2"'),
        ("bus_bits = 384", "bus_bits = -384"),
        ("l2_cache_mib = 6\n", "l2_cache_mib = [6]\n"),
        ("memory_gib = 24\n", ""),
        ('compute_capability = "8.0"', "compute_capability = 8.0"),
        ('compute_capability = "8.0"', 'compute_capability = "8"'),
        ('source = "NVIDIA A10 datasheet"', 'source = ""'),
        ('["NVIDIA A10"]', "[["),
    ],
)
def test_one_thing_wrong_in_the_table(old: str, new: str) -> None:
    assert old in TABLE
    with pytest.raises(SpecError, match="cannot use gpus: "):
        parse_gpus(TABLE.replace(old, new).encode(), "gpus")


def test_a_table_that_is_no_text() -> None:
    with pytest.raises(SpecError):
        parse_gpus(b"\xff", "gpus")
    assert parse_gpus(b"", "gpus") == {}


def test_a_gpu_is_a_frozen_value() -> None:
    gpu: Gpu = GPUS["NVIDIA A10"]
    with pytest.raises(AttributeError):
        gpu.bus_bits = 1  # type: ignore[misc]  # that it cannot be is what is tested
