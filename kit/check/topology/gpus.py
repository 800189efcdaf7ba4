"""The topology tier's look at the GPUs: slowdowns, limits, clocks, and what else ran."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kit.bundle.bag import TELEMETRY
from kit.bundle.telemetry import ClockReason, GpuFacts, Reading, Sample, by_gpu
from kit.check.codes import Code
from kit.check.evidence import Evidence, while_measured
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, shown, unchecked, warn
from kit.check.topology import links, samples
from kit.check.topology.links import gpu_name, gpus_of
from kit.check.topology.samples import no_telemetry
from kit.plan.plan import Engine
from kit.roofline.gpus import Gpu

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


def check(evidence: Evidence, engine: Engine, cards: Mapping[str, Gpu]) -> Iterator[Finding]:
    """Yield what telemetry says of the GPUs of the plan's engine."""
    yield from findings(Code.TOPOLOGY_NVLINK, links.nvlink(evidence, engine))
    yield from findings(Code.TOPOLOGY_TELEMETRY, _telemetry(evidence, engine, cards))
    yield from findings(Code.TOPOLOGY_SLOWDOWN, _slowdowns(evidence))
    yield from findings(Code.TOPOLOGY_LIMITS, _limits(evidence))
    yield from findings(Code.TOPOLOGY_PCIE, links.pcie(evidence))
    yield from findings(Code.TOPOLOGY_PROCESSES, _processes(evidence))


def _telemetry(evidence: Evidence, engine: Engine, cards: Mapping[str, Gpu]) -> Iterator[Problem]:
    fault = evidence.observed.telemetry_fault
    if fault is not None:
        yield fail(TELEMETRY, clip(fault), "canonical lines in order")
    else:
        yield from samples.problems(evidence, engine, cards)


def _slowdowns(evidence: Evidence) -> Iterator[Problem]:
    """Fail where measured passes were slowed down; outside of them a warning is enough."""
    expected = "no slowdown by heat or by the board"
    told = evidence.observed.telemetry
    if told is None:
        yield no_telemetry(evidence, expected)
        return
    measured = while_measured(evidence)
    silent_by_gpu = [
        [one.clock_reasons is None for one in readings] for readings in by_gpu(measured).values()
    ]
    silent = [each for ones in silent_by_gpu if not all(ones) for each in ones]
    if not silent:
        observed = "no sample of the measured passes tells why clocks are not higher"
        yield unchecked(TELEMETRY, observed, expected)
    elif any(silent):
        observed = f"{silent.count(True)} of {len(silent)} readings do not tell, and others do"
        yield unchecked(TELEMETRY, observed, expected)
    inside, anywhere = _reasons(measured), _reasons(told.samples)
    for (index, reason), count in sorted(anywhere.items(), key=str):
        problem = fail if inside[index, reason] else warn
        observed = f"{reason.value} in {count} samples, {inside[index, reason]} of measured passes"
        yield problem(f"GPU {index}", observed, expected)


def _limits(evidence: Evidence) -> Iterator[Problem]:
    """Whoever owns a card may hold it back: the figures are true, and of a slower card."""
    yield from _power_limits(evidence)
    measured = by_gpu(while_measured(evidence))
    for gpu in gpus_of(evidence):
        readings = measured[gpu.index]
        if not _is_idle(readings):
            memory_mhz = [one.memory_clock_mhz for one in readings]
            yield from _held_back(gpu, memory_mhz, gpu.memory_clock_max_mhz)


def _is_idle(readings: Sequence[Reading]) -> bool:
    """Tell whether a card says that it did nothing: its clocks may then stand still."""
    told = [one.utilization_percent for one in readings if one.utilization_percent is not None]
    return bool(told) and max(told) == 0


def _held_back(
    gpu: GpuFacts, clocks_mhz: Sequence[int | None], most_mhz: int | None
) -> Iterator[Problem]:
    """Warn of memory that is clocked low under load; processors are, at their power limit."""
    highest_mhz = max((one for one in clocks_mhz if one is not None), default=0)
    if most_mhz and 0 < highest_mhz < most_mhz * (1 - UNDER_LOAD_RATIO):
        yield warn(
            gpu_name(gpu), f"memory at {highest_mhz} MHz at most", f"near {shown(most_mhz)} MHz"
        )


def _power_limits(evidence: Evidence) -> Iterator[Problem]:
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, Code.TOPOLOGY_LIMITS.holds)
    for gpu in gpus_of(evidence):
        limit_w, default_w = gpu.power_limit_w, gpu.power_default_limit_w
        if limit_w is None or default_w is None:
            yield unchecked(
                gpu_name(gpu), "not both limits are told", "the one in force, and its own"
            )
        elif limit_w < default_w - LIMIT_TOLERANCE_W:
            yield warn(gpu_name(gpu), f"limited to {limit_w:g} W", f"{default_w:g} W, its default")


def _reasons(samples: Sequence[Sample]) -> Counter[tuple[int, ClockReason]]:
    return Counter(
        (one.index, reason)
        for sample in samples
        for one in sample.gpus
        for reason in one.clock_reasons or ()
        if reason in SLOWDOWNS
    )


def _processes(evidence: Evidence) -> Iterator[Problem]:
    facts = evidence.observed.host_facts
    told = None if facts is None else facts.gpu_processes
    if told is None:
        yield unchecked(BUNDLE, "what was on the GPUs is not known", "an empty list, from the host")
    for one in told or ():
        if one.compute_count:
            yield fail(f"GPU {one.index}", f"{one.compute_count} processes that compute", "none")
        if one.graphics_count:
            yield warn(f"GPU {one.index}", f"{one.graphics_count} processes that draw", "none")
