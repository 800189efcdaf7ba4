"""The topology tier's look at the GPUs: links, slowdowns, and what else ran."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kit.bundle import TELEMETRY
from kit.check.codes import Code
from kit.check.evidence import Evidence, while_measured, while_serving
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, unchecked, warn
from kit.check.topology import samples
from kit.check.topology.samples import no_telemetry
from kit.hardware import Gpu
from kit.plan import Engine
from kit.spec import Transport
from kit.telemetry import ClockReason, GpuFacts, Reading, Sample, by_gpu

SLOWDOWNS = (
    ClockReason.HW_SLOWDOWN,
    ClockReason.HW_THERMAL_SLOWDOWN,
    ClockReason.HW_POWER_BRAKE_SLOWDOWN,
    ClockReason.SW_THERMAL_SLOWDOWN,
)
"""Not `sw-power-cap`: a card at its power limit is as it should be."""

LIMIT_TOLERANCE_W = 1.0
"""A limit that the driver rounds on its way is still the card's own."""

HIGHEST_LIMIT, MOST_W = 2.0, 1500.0
"""Makers of cards allow some tenths above the default; no card has a default of more."""

UNDER_LOAD_RATIO = 0.1
"""A driver may clock the memory of a card that computes a little lower than it can."""

STILL_BYTES = 2**20
"""What a link may carry and still count as unused; a single response moves more."""


def check(evidence: Evidence, engine: Engine, cards: Mapping[str, Gpu]) -> Iterator[Finding]:
    """Yield what telemetry says of the GPUs of the plan's engine."""
    yield from findings(Code.TOPOLOGY_NVLINK, _nvlink(evidence, engine))
    yield from findings(Code.TOPOLOGY_TELEMETRY, _telemetry(evidence, engine, cards))
    yield from findings(Code.TOPOLOGY_SLOWDOWN, _slowdowns(evidence))
    yield from findings(Code.TOPOLOGY_LIMITS, _limits(evidence))
    yield from findings(Code.TOPOLOGY_PCIE, _pcie(evidence))
    yield from findings(Code.TOPOLOGY_PROCESSES, _processes(evidence))


def _nvlink(evidence: Evidence, engine: Engine) -> Iterator[Problem]:
    match engine.transport:
        case Transport.NVLINK:
            yield from _links_up(evidence)
            yield from _links_used(evidence)
        case Transport.SHARED_MEMORY | Transport.SOCKET:
            yield from _links_unused(evidence)
        case Transport.NONE | Transport.GLOO:
            return


def _links_up(evidence: Evidence) -> Iterator[Problem]:
    """Peer to peer may also be PCI Express: only links that are up make NVLink of it."""
    expected = "NVLink links that are up"
    for gpu in _facts(evidence):
        if gpu.nvlink_links_active == 0:
            yield fail(_name(gpu), "no NVLink link is up", expected)
    log = evidence.observed.nccl_log
    told = [gpu.nvlink_links_active for gpu in _facts(evidence)]
    if (not told or None in told) and not (log and log.nvlink_gb_s):
        yield unchecked(BUNDLE, "neither telemetry nor NCCL tells of NVLink links", expected)


def _links_used(evidence: Evidence) -> Iterator[Problem]:
    """A card that counts bytes must have counted some; GeForce cards do not count."""
    served = by_gpu(while_serving(evidence))
    for gpu in _facts(evidence):
        moved = _nvlink_bytes(served[gpu.index])
        if moved is not None and moved <= STILL_BYTES:
            yield fail(_name(gpu), f"{moved} bytes over NVLink in the run", "the ranks' traffic")


def _links_unused(evidence: Evidence) -> Iterator[Problem]:
    expected = "NVLink counters that stand still, or no link that is up"
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, expected)
    served = by_gpu(while_serving(evidence))
    for gpu in _facts(evidence):
        moved = _nvlink_bytes(served[gpu.index])
        if moved is not None and moved > STILL_BYTES:
            yield fail(_name(gpu), f"{moved} bytes over NVLink in the run", expected)
        elif moved is None and gpu.nvlink_links_active != 0:
            yield unchecked(_name(gpu), "the card does not count bytes on its links", expected)


def _nvlink_bytes(readings: Sequence[Reading]) -> int | None:
    """Return the bytes that one GPU moved over its links, by its counters; None without them."""
    totals = [
        one.nvlink_received_bytes + one.nvlink_sent_bytes
        for one in readings
        if one.nvlink_received_bytes is not None and one.nvlink_sent_bytes is not None
    ]
    return max(totals) - min(totals) if len(totals) > 1 else None


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
    if not any(one.clock_reasons is not None for sample in measured for one in sample.gpus):
        observed = "no sample of the measured passes tells why clocks are not higher"
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
    for gpu in _facts(evidence):
        readings = measured[gpu.index]
        memory_mhz = [one.memory_clock_mhz for one in readings]
        yield from _clock(gpu, "memory", memory_mhz, gpu.memory_clock_max_mhz)
        yield from _clock(gpu, "processors", [one.sm_clock_mhz for one in readings], None)


def _clock(
    gpu: GpuFacts, what: str, clocks_mhz: Sequence[int | None], most_mhz: int | None
) -> Iterator[Problem]:
    """Hold a clock under load; where its maximum is not given, that it runs at all."""
    told = [one for one in clocks_mhz if one is not None]
    highest_mhz = max(told, default=0)
    if told and highest_mhz == 0:
        yield fail(_name(gpu), f"{what} at 0 MHz throughout", "a clock, under load")
    elif told and most_mhz and highest_mhz < most_mhz * (1 - UNDER_LOAD_RATIO):
        yield warn(_name(gpu), f"{what} at {highest_mhz} MHz at most", f"near {most_mhz} MHz")
    elif told and most_mhz and highest_mhz > most_mhz:
        yield warn(_name(gpu), f"{what} at {highest_mhz} MHz", f"{most_mhz} MHz at most, its own")


def _power_limits(evidence: Evidence) -> Iterator[Problem]:
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, Code.TOPOLOGY_LIMITS.holds)
    for gpu in _facts(evidence):
        limit_w, default_w = gpu.power_limit_w, gpu.power_default_limit_w
        if limit_w is None or default_w is None:
            yield unchecked(_name(gpu), "not both limits are told", "the one in force, and its own")
        elif not 0 < limit_w <= default_w * HIGHEST_LIMIT or default_w > MOST_W:
            observed = f"limits of {limit_w:g} W, and {default_w:g} by default"
            yield fail(_name(gpu), observed, f"{HIGHEST_LIMIT:g} times its default at most")
        elif limit_w < default_w - LIMIT_TOLERANCE_W:
            yield warn(_name(gpu), f"limited to {limit_w:g} W", f"{default_w:g} W, its default")


def _reasons(samples: Sequence[Sample]) -> Counter[tuple[int, ClockReason]]:
    return Counter(
        (one.index, reason)
        for sample in samples
        for one in sample.gpus
        for reason in one.clock_reasons or ()
        if reason in SLOWDOWNS
    )


def _pcie(evidence: Evidence) -> Iterator[Problem]:
    """An idle card lowers its link: what counts is the best that it had in measured passes."""
    expected = "the link's generation and width under load"
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, expected)
    measured = by_gpu(while_measured(evidence))
    for gpu in _facts(evidence):
        yield from _link(gpu, measured[gpu.index], expected)


def _link(gpu: GpuFacts, readings: Sequence[Reading], expected: str) -> Iterator[Problem]:
    pairs = (
        ("generation", gpu.pcie_generation_max, [one.pcie_generation for one in readings]),
        ("width", gpu.pcie_width_max, [one.pcie_width for one in readings]),
    )
    for name, best, values in pairs:
        told = [value for value in values if value is not None]
        if best is None or not told:
            yield unchecked(_name(gpu), f"no {name} is told", expected)
        elif max(told) < best:
            yield warn(_name(gpu), f"PCI Express {name} {max(told)} under load", f"{best}")


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


def _facts(evidence: Evidence) -> tuple[GpuFacts, ...]:
    told = evidence.observed.telemetry
    return () if told is None else told.header.inventory.gpus


def _name(gpu: GpuFacts) -> str:
    return f"GPU {gpu.index}"
