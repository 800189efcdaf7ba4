"""What figures are compared with: the model's shape, and what its GPUs can do at most.

Or why there is no such limit: then figures are not judged, and that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.bundle.telemetry import ClockReason, Reading, Telemetry, by_gpu
from kit.check.evidence import Evidence, while_measured
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.gpus import Gpu
from kit.roofline.model import Ceiling, Shape

SEEN_CLOCK_RATIO = 1.1
"""A card may clock its memory a little higher between two samples than in any of them."""

FEWEST_READINGS = 5
"""A driver averages utilization over up to a second: fewer readings may all miss the load."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The evidence, the model's shape, and what the engine's GPUs can do together.

    `memory_clock_ratio` is the highest clock of any GPU's memory over that of its datasheet.
    """

    evidence: Evidence
    shape: Shape
    ceiling: Ceiling
    memory_clock_ratio: float

    @property
    def wording(self) -> str:
        gpu = self.ceiling.gpus[-1].name
        return f"{self.ceiling.bytes_per_s / 1e9:.0f} GB/s of {len(self.ceiling.gpus)} x {gpu}"


def limits_of(evidence: Evidence) -> Limits | str:
    """Return the limits, or why there are none."""
    telemetry, catalog = evidence.observed.telemetry, evidence.catalog
    if (reason := _no_gpus(evidence)) is not None or telemetry is None:
        return reason or "no telemetry that names the GPUs"
    names = _names(evidence, telemetry)
    clock_ratio = _memory_clock_ratio(telemetry, catalog.gpus)
    bandwidth_ratio = min(_bandwidth_ratio(evidence, clock_ratio), roofline.MEMORY_HEADROOM)
    ranks = evidence.engine.tensor_parallel_size
    ceiling = roofline.ceiling_of(names, ranks, catalog.gpus, bandwidth_ratio)
    if ceiling is None:
        return f"not all of these GPUs are known: {', '.join(names) or 'none'}"
    shape = None if evidence.model is None else roofline.shape_of(evidence.model.config)
    if shape is None:
        return f"the shape of model {evidence.document.plan.cell.model} is not known"
    return Limits(evidence=evidence, shape=shape, ceiling=ceiling, memory_clock_ratio=clock_ratio)


def _no_gpus(evidence: Evidence) -> str | None:
    """Return why no GPU can have served the plan's model, as far as the bundle says."""
    plan = evidence.document.plan
    if plan.engine is None or not evidence.is_own_engine:
        return "the kit did not start this endpoint's server"
    if plan.rehearsal:
        return "a rehearsal serves a twin on CPU in place of the model"
    if plan.engine.device is not Device.GPU:
        return "a CPU's memory bandwidth is not known: it depends on its modules and sockets"
    return None


def _names(evidence: Evidence, telemetry: Telemetry) -> list[str]:
    """Return the GPUs' names, without unknown cards that did nothing.

    All known cards count: a faster card than those that served only raises the limit. An unknown
    one that was busy may have served: then there is no limit.
    """
    readings = by_gpu(while_measured(evidence))
    return [
        gpu.name
        for gpu in telemetry.header.inventory.gpus
        if gpu.name in evidence.catalog.gpus or not was_idle(readings[gpu.index])
    ]


def was_idle(readings: Sequence[Reading]) -> bool:
    """Tell whether a GPU had nothing to do in any of its readings."""
    return len(readings) >= FEWEST_READINGS and all(
        reading.utilization_percent == 0 or ClockReason.GPU_IDLE in (reading.clock_reasons or ())
        for reading in readings
    )


def _memory_clock_ratio(telemetry: Telemetry, table: Mapping[str, Gpu]) -> float:
    """Return the highest ratio over all samples, not only of measured passes; 1 without any."""
    datasheet_mhz = {
        gpu.index: table[gpu.name].memory_clock_mhz
        for gpu in telemetry.header.inventory.gpus
        if gpu.name in table
    }
    ratios = (
        reading.memory_clock_mhz / datasheet_mhz[reading.index]
        for sample in telemetry.samples
        for reading in sample.gpus
        if reading.memory_clock_mhz is not None and reading.index in datasheet_mhz
    )
    return max(ratios, default=1.0)


def _bandwidth_ratio(evidence: Evidence, clock_ratio: float) -> float:
    """Return the achievable bandwidth as a fraction of the datasheet's, from the memory clock.

    A lower clock counts only if enough readings have it; then a little is added.
    """
    if clock_ratio >= 1:
        return clock_ratio
    clocks_mhz = [
        reading.memory_clock_mhz
        for readings in by_gpu(while_measured(evidence)).values()
        for reading in readings
    ]
    is_known = len(clocks_mhz) >= FEWEST_READINGS and None not in clocks_mhz and clock_ratio > 0
    return min(1.0, clock_ratio * SEEN_CLOCK_RATIO) if is_known else 1.0
