"""Telemetry itself: a driver's, of this run, and over all of it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from kit.bundle.bag import TELEMETRY
from kit.bundle.document import Clock, Status
from kit.bundle.telemetry import GpuFacts, Telemetry
from kit.check import clocks
from kit.check.check import Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, measured_records, span_s, while_measured
from kit.roofline.gpus import Gpu

LEAST_MEMORY_RATIO = 0.9
"""Of a card's memory: with error correction on, an A10's driver reports 22.5 of 24 GiB."""

GAP_INTERVALS = 5
GAP_S = 5.0
"""A sample may come late: the driver answers slowly while an engine loads."""


def _telemetry(evidence: Evidence) -> Iterator[Problem]:
    fault, telemetry = evidence.observed.telemetry_fault, evidence.observed.telemetry
    if fault is not None:
        yield fail(TELEMETRY, fault, "canonical lines in order")
        return
    if telemetry is None:
        yield unchecked(TELEMETRY, "no telemetry", "samples over the run")
        return
    ranks = evidence.engine.tensor_parallel_size
    if len(evidence.gpus) < ranks:
        yield fail(TELEMETRY, f"{len(evidence.gpus)} GPUs", f"{ranks}, one a rank")
    for gpu in evidence.gpus:
        if gpu.name in evidence.catalog.gpus:
            yield from _memory(gpu, evidence.catalog.gpus[gpu.name])
    yield from _indexes(telemetry)
    yield from _of_this_run(telemetry, evidence.document.clock)
    yield from _covers(evidence, telemetry)
    yield from _gaps(telemetry)


def _memory(gpu: GpuFacts, card: Gpu) -> Iterator[Problem]:
    """Compare with the datasheet: a driver keeps a part of the memory, and cards are modified."""
    gib = card.memory_gib if gpu.memory_bytes is None else gpu.memory_bytes / 2**30
    if not card.memory_gib * LEAST_MEMORY_RATIO <= gib <= card.memory_gib:
        observed = f"{gib:.2f} GiB of a {card.name}"
        yield warn(f"GPU {gpu.index}", observed, f"{card.memory_gib:g} GiB, or nearly")


def _indexes(telemetry: Telemetry) -> Iterator[Problem]:
    """Each card is once in the inventory, and at most once in a sample."""
    known = [gpu.index for gpu in telemetry.header.inventory.gpus]
    if len(set(known)) < len(known):
        yield fail(TELEMETRY, f"GPUs {_spelled(known)} in the inventory", "each GPU once")
    sampled = (tuple(reading.index for reading in sample.gpus) for sample in telemetry.samples)
    for indexes in dict.fromkeys(sampled):
        if len(set(indexes)) < len(indexes) or not set(indexes) <= set(known):
            expected = f"of each of {_spelled(known) or 'none'} once"
            yield fail(TELEMETRY, f"readings of GPUs {_spelled(indexes)}", expected)


def _spelled(indexes: Sequence[int]) -> str:
    return ", ".join(map(str, indexes))


def _of_this_run(telemetry: Telemetry, clock: Clock) -> Iterator[Problem]:
    """Join the two clocks: telemetry of another run has another distance between them.

    The sampler starts before the engine loads, and the host's clock may be set in between. Then the
    distance still matches at the end; for another run it matches at neither.
    """
    header = telemetry.header
    try:
        apart_s = clocks.utc_s(header.utc, clock.start_utc) - header.t_s
        is_stepped = _is_stepped(telemetry, clock, apart_s)
    except (ValueError, TypeError) as error:
        yield fail(TELEMETRY, str(error), "a date and time in UTC")
        return
    if abs(apart_s) > clocks.TOLERANCE_S:
        problem = warn if is_stepped else fail
        observed = f"started {apart_s + header.t_s:.3f} s after the run's start by the UTC clock"
        yield problem(TELEMETRY, observed, f"{header.t_s:.3f} s, by the monotonic clock")


def _is_stepped(telemetry: Telemetry, clock: Clock, apart_s: float) -> bool:
    """Tell whether the UTC clock may have been set between the sampler's start and the run's."""
    if abs(apart_s) > clocks.STEP_S + clocks.TOLERANCE_S or telemetry.header.t_s > 0:
        return False
    if telemetry.end is None:
        return True
    end_apart_s = clocks.utc_s(telemetry.end.utc, clock.end_utc)
    return abs(end_apart_s - (telemetry.end.t_s - clock.end_s)) <= clocks.TOLERANCE_S


def _covers(evidence: Evidence, telemetry: Telemetry) -> Iterator[Problem]:
    """Compare samples with records: from before the first until after the last.

    Sealing takes what is there, so that no sample is from after it.
    """
    is_complete = evidence.document.status is Status.COMPLETE
    if telemetry.end is None and is_complete:
        yield fail(TELEMETRY, "no last line", "a last line, since sealing comes after it")
    start_s, end_s = span_s(evidence.records)
    times_s = [sample.t_s for sample in telemetry.samples]
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
    if is_complete and measured_records(evidence):
        yield from _at_work(evidence)


def _at_work(evidence: Evidence) -> Iterator[Problem]:
    """Readings of each rank's GPU must say what it did: an index alone says nothing."""
    ranks = evidence.engine.tensor_parallel_size
    known = {
        reading.index
        for sample in while_measured(evidence)
        for reading in sample.gpus
        if reading.power_w is not None or reading.utilization_percent is not None
    }
    if len(known) < ranks:
        observed = f"readings of {len(known)} GPUs in the measured passes"
        yield unchecked(TELEMETRY, observed, f"what {ranks} did while they were measured")


def _gaps(telemetry: Telemetry) -> Iterator[Problem]:
    allowed_s = max(GAP_S, GAP_INTERVALS * telemetry.header.interval_s)
    for earlier, later in pairwise(telemetry.samples):
        if later.t_s - earlier.t_s > allowed_s:
            observed = f"no sample from {earlier.t_s} to {later.t_s} s"
            yield warn(TELEMETRY, observed, f"gaps of at most {allowed_s:g} s")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-telemetry",
        holds="telemetry is a driver's, and covers the run without a gap, to a line that ends it",
        hint="measure again: without telemetry nothing is known of what the GPUs did",
        look=_telemetry,
        applies=lambda evidence: evidence.is_on_gpus,
        for_figures=ForFigures.CHECKED,
    ),
)
