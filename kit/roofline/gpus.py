"""Datasheet limits of GPUs, from `docker/gpus.toml`."""

import tomllib
from dataclasses import dataclass
from typing import Annotated

import msgspec

from kit.errors import SpecError

Positive = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU by its datasheet; `docker/gpus.toml` explains each number and gives its source.

    `name` is the driver's. GB and TFLOPS are decimal, MiB and GiB binary.
    """

    name: str
    bandwidth_gb_s: Positive
    bus_bits: Annotated[int, msgspec.Meta(ge=1)]
    tensor_tflops: Positive
    l2_cache_mib: Positive
    memory_gib: Positive
    compute_capability: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,2}\.[0-9]$")]
    source: Annotated[str, msgspec.Meta(min_length=1)]

    @property
    def memory_clock_mhz(self) -> float:
        """Memory clock at this bandwidth, as NVIDIA's driver reports it.

        It is the clock of the data strobe: two bits per cycle and pin. The driver reports 9751 MHz
        for a 3090 (384 pins, 936.2 GB/s) and 1215 MHz for an A100 (5120 pins, 1555 GB/s). GDDR7 is
        counted alike, though it signals three levels: 14001 MHz for a 5090 (512 pins, 1792 GB/s).
        """
        return self.bandwidth_gb_s * 1e9 * 8 / (2 * self.bus_bits) / 1e6


def parse_gpus(data: bytes, name: str) -> dict[str, Gpu]:
    """Read `docker/gpus.toml`: GPUs by the driver's name."""
    try:
        table = tomllib.loads(data.decode())
        return {key: msgspec.convert({"name": key, **fields}, Gpu) for key, fields in table.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "the file was edited, or belongs to another version of the kit",
            f"git diff -- {name}",
        ) from error
