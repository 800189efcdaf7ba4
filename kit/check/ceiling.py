"""What the physics tier holds figures against: the model's shape, and what its GPUs can do.

Or why there is nothing: then figures are not judged, and that is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.bundle.telemetry import ClockReason, Reading, Telemetry, by_gpu
from kit.check.evidence import Catalog, Evidence, while_measured
from kit.plan.plan import Engine
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.gpus import Gpu
from kit.roofline.model import Ceiling, Shape

SEEN_CLOCK_RATIO = 1.1
"""A card may clock its memory a little higher between two samples than in any of them."""

FEWEST_READINGS = 5
"""A driver averages utilization over up to a second: fewer readings may all miss the load."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footing:
    """What figures are held against: the model's shape, and what the engine's GPUs can do.

    `memory_clock_ratio` is the highest clock of any GPU's memory over that of its datasheet.
    """

    engine: Engine
    shape: Shape
    ceiling: Ceiling
    memory_clock_ratio: float

    @property
    def wording(self) -> str:
        gpu = self.ceiling.gpus[-1].name
        return f"{self.ceiling.bytes_per_s / 1e9:.0f} GB/s of {len(self.ceiling.gpus)} x {gpu}"


def footing_of(evidence: Evidence, catalog: Catalog) -> Footing | str:
    """Return what can be held against, or why there is nothing."""
    plan, told = evidence.document.plan, evidence.observed.telemetry
    if (reason := _no_gpus(evidence)) is not None or plan.engine is None or told is None:
        return reason or "no telemetry that names the GPUs"
    names = _names(evidence, told, catalog.gpus)
    clock_ratio = _memory_clock_ratio(told, catalog.gpus)
    ceiling = roofline.ceiling_of(
        names,
        plan.engine.tensor_parallel_size,
        catalog.gpus,
        min(_fastest_ratio(evidence, clock_ratio), roofline.MEMORY_HEADROOM),
    )
    if ceiling is None:
        return f"not all of these GPUs are known: {', '.join(names) or 'none'}"
    model = catalog.models.get(plan.cell.model)
    shape = None if model is None else roofline.shape_of(model.config)
    if shape is None:
        return f"the shape of model {plan.cell.model} is not known"
    return Footing(engine=plan.engine, shape=shape, ceiling=ceiling, memory_clock_ratio=clock_ratio)


def _names(evidence: Evidence, told: Telemetry, table: Mapping[str, Gpu]) -> list[str]:
    """Return the GPUs' names, less those of cards that nobody knows and that did nothing.

    All that are known count, since a faster card than those that served accuses nobody. One that
    is not known and was busy may have served: then there is no limit.
    """
    readings = by_gpu(while_measured(evidence))
    return [
        gpu.name
        for gpu in told.header.inventory.gpus
        if gpu.name in table or not was_idle(readings[gpu.index])
    ]


def _no_gpus(evidence: Evidence) -> str | None:
    """Return why no GPU can have served the plan's model, as far as the bundle tells."""
    plan = evidence.document.plan
    if plan.engine is None or not evidence.is_own_engine:
        return "nothing is known of the server"
    if plan.rehearsal:
        return "a rehearsal serves a twin on CPU in place of the model"
    if plan.engine.device is not Device.GPU:
        return "no memory bandwidth is known of a CPU: it depends on its modules and sockets"
    return None


def was_idle(readings: Sequence[Reading]) -> bool:
    """Tell whether a GPU says of every moment that it had nothing to do."""
    return len(readings) >= FEWEST_READINGS and all(
        one.utilization_percent == 0 or ClockReason.GPU_IDLE in (one.clock_reasons or ())
        for one in readings
    )


def _memory_clock_ratio(told: Telemetry, table: Mapping[str, Gpu]) -> float:
    """Return the highest over all samples, since not only measured passes have a limit.

    It is 1 where none is told.
    """
    known = {
        gpu.index: table[gpu.name].memory_clock_mhz
        for gpu in told.header.inventory.gpus
        if gpu.name in table
    }
    ratios = (
        one.memory_clock_mhz / known[one.index]
        for sample in told.samples
        for one in sample.gpus
        if one.memory_clock_mhz is not None and one.index in known
    )
    return max(ratios, default=1.0)


def _fastest_ratio(evidence: Evidence, clock_ratio: float) -> float:
    """Return what the memory's bandwidth may be, of its datasheet's: with its clock it falls.

    Of the clocks that were told of enough moments, the highest counts, and a little is added.
    """
    if clock_ratio >= 1:
        return clock_ratio
    readings = by_gpu(while_measured(evidence)).values()
    told = [one.memory_clock_mhz for ones in readings for one in ones]
    is_told = len(told) >= FEWEST_READINGS and None not in told and clock_ratio > 0
    return min(1.0, clock_ratio * SEEN_CLOCK_RATIO) if is_told else 1.0
