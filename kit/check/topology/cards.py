"""What the GPUs were held back by, and what else ran on them."""

from collections import Counter
from collections.abc import Iterator, Sequence

from kit.bundle.bag import TELEMETRY
from kit.bundle.telemetry import ClockReason, GpuFacts, GpuSample, Reading, by_gpu
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, while_measured
from kit.check.needs import TELEMETRY_THERE

SLOWDOWNS = (
    ClockReason.HW_SLOWDOWN,
    ClockReason.HW_THERMAL_SLOWDOWN,
    ClockReason.HW_POWER_BRAKE_SLOWDOWN,
    ClockReason.SW_THERMAL_SLOWDOWN,
)
"""Not `sw-power-cap`: a card at its power limit is as it should be."""

LIMIT_TOLERANCE_W = 1.0
"""A limit that the driver rounds on its way is still the card's own."""

UNDER_LOAD_RATIO = 0.1
"""A driver may clock the memory of a card that computes a little lower than it can."""


def _slowdowns(evidence: Evidence) -> Iterator[Problem]:
    """Fail where measured passes were slowed down; outside of them a warning is enough."""
    expected = "no slowdown by heat or by the board"
    measured = while_measured(evidence)
    yield from _silent(measured, expected)
    inside, anywhere = _reasons(measured), _reasons(evidence.gpu_telemetry.samples)
    for (index, reason), count in sorted(anywhere.items(), key=str):
        problem = fail if inside[index, reason] else warn
        observed = f"{reason.value} in {count} samples, {inside[index, reason]} of measured passes"
        yield problem(f"GPU {index}", observed, expected)


def _silent(measured: Sequence[GpuSample], expected: str) -> Iterator[Problem]:
    """Look for readings without reasons, of cards that have them in others."""
    has_reasons = [
        reading.clock_reasons is not None
        for readings in by_gpu(measured).values()
        if any(reading.clock_reasons is not None for reading in readings)
        for reading in readings
    ]
    if not has_reasons or not all(has_reasons):
        without = has_reasons.count(False) if has_reasons else "all"
        observed = f"{without} readings of measured passes have no reasons for the clocks"
        yield unchecked(TELEMETRY, observed, expected)


def _reasons(samples: Sequence[GpuSample]) -> Counter[tuple[int, ClockReason]]:
    return Counter(
        (reading.index, reason)
        for sample in samples
        for reading in sample.gpus
        for reason in reading.clock_reasons or ()
        if reason in SLOWDOWNS
    )


def _limits(evidence: Evidence) -> Iterator[Problem]:
    """The owner of a card may limit it: the figures are true, and those of a slower card."""
    readings = by_gpu(while_measured(evidence))
    for gpu in evidence.gpus:
        yield from _power_limit(gpu)
        yield from _memory_clock(gpu, readings[gpu.index])


def _power_limit(gpu: GpuFacts) -> Iterator[Problem]:
    limit_w, default_w = gpu.power_limit_w, gpu.power_default_limit_w
    if limit_w is None or default_w is None:
        expected = "the limit in force, and the card's default"
        yield unchecked(f"GPU {gpu.index}", "telemetry does not have both limits", expected)
    elif limit_w < default_w - LIMIT_TOLERANCE_W:
        yield warn(f"GPU {gpu.index}", f"limited to {limit_w:g} W", f"{default_w:g} W, its default")


def _memory_clock(gpu: GpuFacts, readings: Sequence[Reading]) -> Iterator[Problem]:
    """Under load, memory runs near its maximum; processors may not, at their power limit."""
    used = [reading.utilization_percent for reading in readings]
    if all(percent == 0 for percent in used if percent is not None) and any(
        percent is not None for percent in used
    ):
        return
    clocks_mhz = [reading.memory_clock_mhz or 0 for reading in readings]
    highest_mhz, most_mhz = max(clocks_mhz, default=0), gpu.memory_clock_max_mhz
    if most_mhz and 0 < highest_mhz < most_mhz * (1 - UNDER_LOAD_RATIO):
        observed = f"memory at {highest_mhz} MHz at most"
        yield warn(f"GPU {gpu.index}", observed, f"near {most_mhz} MHz")


def _processes(evidence: Evidence) -> Iterator[Problem]:
    facts = evidence.observed.host_facts
    processes = None if facts is None else facts.gpu_processes
    if processes is None:
        observed = "what was on the GPUs before is not known"
        yield unchecked(BUNDLE, observed, "an empty list, from the host")
    for gpu in processes or ():
        if gpu.compute_count:
            yield fail(f"GPU {gpu.index}", f"{gpu.compute_count} processes that compute", "none")
        if gpu.graphics_count:
            yield warn(f"GPU {gpu.index}", f"{gpu.graphics_count} processes that draw", "none")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-slowdown",
        holds="no GPU was slowed down by heat or by its board; the power cap is normal",
        hint="improve cooling and power supply, then measure again",
        look=_slowdowns,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(TELEMETRY_THERE,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-limits",
        holds="no GPU was held back: power limit at its default, memory clock near its maximum",
        hint="sudo nvidia-smi -pl WATTS and -rmc undo it; or say that the cards were limited",
        look=_limits,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(TELEMETRY_THERE,),
    ),
    Check(
        id="topology-processes",
        holds="nothing else was on the GPUs before the engine was started",
        hint="end other programs on the GPUs (nvidia-smi lists them), then measure again",
        look=_processes,
        applies=lambda evidence: evidence.is_on_gpus,
        for_figures=ForFigures.CHECKED,
    ),
)
