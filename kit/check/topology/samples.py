"""The topology tier's look at telemetry itself: a driver's, of this run, and over all of it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from kit.bundle.bag import TELEMETRY
from kit.bundle.document import Clock, Status
from kit.bundle.telemetry import GpuFacts, Telemetry
from kit.check import clocks
from kit.check.codes import Code
from kit.check.evidence import Evidence, of_measured_passes, span_s, while_measured
from kit.check.problem import Problem, clip, fail, unchecked, warn
from kit.plan.plan import Engine
from kit.roofline.gpus import Gpu

LEAST_TOLD_RATIO = 0.9
"""Of a card's memory: with error correction on, an A10 tells 22.5 of 24 GiB."""

GAP_INTERVALS = 5
GAP_S = 5.0
"""A sample may come late: the driver answers slowly while an engine loads."""


def problems(evidence: Evidence, engine: Engine, cards: Mapping[str, Gpu]) -> Iterator[Problem]:
    """Yield what is wrong with the telemetry of the plan's engine; `cards` are those known."""
    told = evidence.observed.telemetry
    if told is None:
        yield no_telemetry(evidence, Code.TOPOLOGY_TELEMETRY.holds)
        return
    gpus = len(told.header.inventory.gpus)
    if gpus < engine.tensor_parallel_size:
        yield fail(TELEMETRY, f"{gpus} GPUs", f"{engine.tensor_parallel_size}, one a rank")
    for gpu in told.header.inventory.gpus:
        if gpu.name in cards:
            yield from _card(gpu, cards[gpu.name])
    yield from _indexes(told)
    yield from _of_this_run(told, evidence.document.clock)
    yield from _covers(told, evidence, engine.tensor_parallel_size)
    yield from _gaps(told)


def no_telemetry(evidence: Evidence, expected: str) -> Problem:
    """Return that nothing could be looked at, which is a failure of what cannot be read alone."""
    fault = evidence.observed.telemetry_fault
    return unchecked(TELEMETRY, "no telemetry" if fault is None else "not readable", expected)


def _card(gpu: GpuFacts, card: Gpu) -> Iterator[Problem]:
    """Hold a card against its datasheet; a driver keeps a part of the memory, and tells no more."""
    gib = card.memory_gib if gpu.memory_bytes is None else gpu.memory_bytes / 2**30
    if not card.memory_gib * LEAST_TOLD_RATIO <= gib <= card.memory_gib:
        # Somebody may have soldered larger chips to it.
        observed = f"{gib:.2f} GiB of a {card.name}"
        yield warn(f"GPU {gpu.index}", observed, f"{card.memory_gib:g} GiB, or nearly")


def _indexes(told: Telemetry) -> Iterator[Problem]:
    """Whoever is asked tells of each card once: in the inventory, and in every sample."""
    known = [gpu.index for gpu in told.header.inventory.gpus]
    if len(set(known)) < len(known):
        yield fail(TELEMETRY, f"GPUs {_spelled(known)} in the inventory", "each GPU once")
    of_samples = (tuple(one.index for one in sample.gpus) for sample in told.samples)
    for indexes in dict.fromkeys(of_samples):
        if len(set(indexes)) < len(indexes) or not set(indexes) <= set(known):
            observed = f"readings of GPUs {_spelled(indexes)}"
            yield fail(TELEMETRY, observed, f"of each of {_spelled(known) or 'none'} once")


def _spelled(indexes: list[int] | tuple[int, ...]) -> str:
    return clip(", ".join(map(str, indexes)))


def _of_this_run(told: Telemetry, clock: Clock) -> Iterator[Problem]:
    """Join the two clocks: telemetry of another run has another distance between them.

    The sampler begins before the engine loads, and the host's clock may be set meanwhile. Then its
    end has the distance of the run's end: of another run, neither has.
    """
    try:
        apart_s = clocks.utc_s(told.header.utc, clock.start_utc) - told.header.t_s
        is_stepped = _is_stepped(told, clock, apart_s)
    except (ValueError, TypeError) as error:
        yield fail(TELEMETRY, clip(error), "a date and time in UTC")
        return
    if abs(apart_s) > clocks.TOLERANCE_S:
        problem = warn if is_stepped else fail
        observed = f"begun {apart_s + told.header.t_s:.3f} s after the run's start by the UTC clock"
        yield problem(TELEMETRY, observed, f"{told.header.t_s:.3f} s, by the monotonic clock")


def _is_stepped(told: Telemetry, clock: Clock, apart_s: float) -> bool:
    """Tell whether the UTC clock may have been set between the sampler's start and the run's."""
    if abs(apart_s) > clocks.STEP_S + clocks.TOLERANCE_S or told.header.t_s > 0:
        return False
    if told.end is None:
        return True
    at_end_s = clocks.utc_s(told.end.utc, clock.end_utc) - (told.end.t_s - clock.end_s)
    return abs(at_end_s) <= clocks.TOLERANCE_S


def _covers(told: Telemetry, evidence: Evidence, ranks: int) -> Iterator[Problem]:
    """Hold the samples against the records: from before the first until after the last.

    Sealing takes what is there, so that none is from after it.
    """
    is_complete = evidence.document.status is Status.COMPLETE
    if told.end is None and is_complete:
        yield fail(TELEMETRY, "no last line", "a last line, since sealing comes after it")
    start_s, end_s = span_s(evidence.records)
    times_s = [sample.t_s for sample in told.samples]
    sealed_s = evidence.document.clock.end_s
    if times_s and times_s[-1] > sealed_s + clocks.TOLERANCE_S:
        yield fail(TELEMETRY, f"a sample at {times_s[-1]} s", f"none after the end, {sealed_s} s")
    if not evidence.records:
        return
    if not times_s or times_s[0] > start_s:
        observed = f"the first sample at {times_s[0]} s" if times_s else "no sample"
        yield fail(TELEMETRY, observed, f"one before the first request, at {start_s} s")
    if times_s and times_s[-1] < end_s and is_complete:
        expected = f"one after the last response, at {end_s:.6f} s"
        yield fail(TELEMETRY, f"the last sample at {times_s[-1]} s", expected)
    if is_complete and of_measured_passes(evidence):
        yield from _at_work(evidence, ranks)


def _at_work(evidence: Evidence, ranks: int) -> Iterator[Problem]:
    """Look for what each rank's GPU did in the measured passes: an index alone tells nothing."""
    readings = (one for sample in while_measured(evidence) for one in sample.gpus)
    told = {
        one.index
        for one in readings
        if one.power_w is not None or one.utilization_percent is not None
    }
    if len(told) < ranks:
        observed = f"readings of {len(told)} GPUs in the measured passes"
        yield unchecked(TELEMETRY, observed, f"what {ranks} did while they were measured")


def _gaps(told: Telemetry) -> Iterator[Problem]:
    allowed_s = max(GAP_S, GAP_INTERVALS * told.header.interval_s)
    for earlier, later in pairwise(told.samples):
        if later.t_s - earlier.t_s > allowed_s:
            observed = f"no sample from {earlier.t_s} to {later.t_s} s"
            yield warn(TELEMETRY, observed, f"gaps of at most {allowed_s:g} s")
