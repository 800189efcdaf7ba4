"""Tier 5, physics: no figure is better than the hardware in the bundle allows.

Limits follow from the model's configuration and the GPUs that telemetry names, never from a flat
cap. They are bounds and not estimates; only `_bursts` and `_power` judge by averages.
What has no known limit (an endpoint, a CPU, a GPU or model that the checkout does not list) is not
judged, and that is said.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from kit.bundle.bag import TELEMETRY
from kit.bundle.record import Record
from kit.bundle.telemetry import Reading, by_gpu
from kit.check.ceiling import Limits, was_idle
from kit.check.check import Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import ROUNDING_S, Evidence, subject_of, while_measured
from kit.plan.schedule import Phase
from kit.roofline import model as roofline

DATASHEET_RATIO = 0.005
"""Datasheets round: a bandwidth of three digits is off by at most half a percent."""

BURST_RATIO = 0.9
FEWEST_GAPS = 20
"""A chunk that the client reads late seems to be followed by a fast one. For nine gaps of ten to be
shorter than a step, it would have to stall for ten steps at a time, throughout."""

OVER_LIMIT_RATIO = 1.10
"""A card holds its power limit on average; NVIDIA calls its sensor accurate to 5 % (NVML,
`nvmlDeviceGetPowerUsage`), and the limit is regulated by the same sensor."""


def _roofline(limits: Limits) -> Iterator[Problem]:
    for record in limits.evidence.answered:
        tokens, prompt = record.completion_tokens or 0, record.prompt_tokens or 0
        floor_s = roofline.tokens_s(limits.shape, limits.ceiling, prompt, tokens)
        yield from _too_fast(subject_of(record), tokens, record.wall_s, floor_s, limits)
    for pass_ in limits.evidence.passes:
        answered = [record for record in pass_.records if record.error is None]
        tokens = sum(record.completion_tokens or 0 for record in answered)
        in_flight, busy_s = _in_flight(answered)
        steps = -(-tokens // max(1, in_flight))
        floor_s = steps * roofline.step_s(limits.shape, limits.ceiling)
        yield from _too_fast(pass_.name, tokens, busy_s, floor_s, limits)


def _too_fast(
    subject: str, tokens: int, took_s: float, floor_s: float, limits: Limits
) -> Iterator[Problem]:
    if took_s < floor_s * (1 - DATASHEET_RATIO):
        expected = f"{floor_s:.6f} s or more, by {limits.wording}"
        yield fail(subject, f"{tokens} tokens in {took_s:.6f} s", expected)


def _in_flight(records: Sequence[Record]) -> tuple[int, float]:
    """Return how many requests ran at once at most, and the seconds in which any of them ran.

    A step gives each running request one token: what ran at once shares its steps.
    """
    starts = [(record.sent_s, 1) for record in records]
    ends = [(record.sent_s + record.wall_s - ROUNDING_S, -1) for record in records]
    running, most, busy_s, earlier_s = 0, 0, 0.0, 0.0
    for at_s, change in sorted(starts + ends):
        if running > 0:
            busy_s += at_s - earlier_s
        running += change
        most = max(most, running)
        earlier_s = at_s
    return most, busy_s + ROUNDING_S * len(records)


def _prefill(limits: Limits) -> Iterator[Problem]:
    for record in limits.evidence.answered:
        first_s = next((at_s for at_s, tokens in record.chunks or () if tokens > 0), None)
        if first_s is None or record.prompt_tokens is None:
            continue
        uncached = max(1, record.prompt_tokens - (record.cached_tokens or 0))
        floor_s = roofline.prefill_s(limits.shape, limits.ceiling, uncached)
        if first_s < floor_s * (1 - DATASHEET_RATIO) - ROUNDING_S:
            observed = f"the first token after {first_s:.6f} s"
            expected = f"{floor_s:.6f} s or more for {uncached} tokens that were not cached"
            yield fail(subject_of(record), observed, expected)


def _streams(limits: Limits) -> Iterator[Problem]:
    for record in limits.evidence.answered:
        if record.chunks:
            yield from _early(record, limits)
            yield from _bursts(record, limits)


def _early(record: Record, limits: Limits) -> Iterator[Problem]:
    """Compare each chunk's arrival with the steps of all tokens so far: delays never make it fail.

    Several tokens in a chunk count as several.
    """
    prompt, count = record.prompt_tokens or 0, record.completion_tokens or 0
    mean_pace_s = roofline.tokens_s(limits.shape, limits.ceiling, prompt, count) / max(1, count)
    so_far = 0
    for at_s, tokens in record.chunks or ():
        so_far += tokens
        if so_far > count:
            return  # `arithmetic-chunks` names it
        if at_s >= so_far * mean_pace_s:
            continue  # later steps take longer than earlier ones: it is not early
        floor_s = roofline.tokens_s(limits.shape, limits.ceiling, prompt, so_far)
        if at_s < floor_s * (1 - DATASHEET_RATIO) - ROUNDING_S:
            observed = f"token {so_far} after {at_s:.6f} s"
            yield fail(subject_of(record), observed, f"{floor_s:.6f} s or more")
            return


def _bursts(record: Record, limits: Limits) -> Iterator[Problem]:
    """Count the gaps that are as long as a step: of an honest stream most, of ten at least one."""
    step_s = roofline.step_s(limits.shape, limits.ceiling) * (1 - DATASHEET_RATIO)
    arrivals = [chunk for chunk in record.chunks or () if chunk[1] > 0]
    gaps, long = max(0, len(arrivals) - 1), 0
    for (earlier_s, _), (later_s, tokens) in pairwise(arrivals):
        long += later_s - earlier_s >= step_s * tokens - ROUNDING_S
    if gaps >= FEWEST_GAPS and long < (1 - BURST_RATIO) * gaps:
        observed = f"{gaps - long} of {gaps} chunks came faster than a step of the model"
        yield fail(subject_of(record), observed, f"{step_s * 1000:.3f} ms or more a token")


def _power(limits: Limits) -> Iterator[Problem]:
    evidence, ranks = limits.evidence, limits.evidence.engine.tensor_parallel_size
    readings = by_gpu(while_measured(evidence))
    mean_w = {
        index: fmean(watts) for index, of_gpu in readings.items() if (watts := _watts(of_gpu))
    }
    yield from _over_limit(evidence, mean_w)
    yield from _energy(limits, mean_w)
    busy = [index for index, of_gpu in readings.items() if not was_idle(of_gpu)]
    if readings and len(busy) < ranks:
        observed = f"{len(busy)} GPUs did anything in the measured passes"
        yield fail(TELEMETRY, observed, f"{ranks} that served")


def _watts(readings: Sequence[Reading]) -> list[float]:
    """Return the power readings; a driver may report one that is below 0."""
    return [
        reading.power_w
        for reading in readings
        if reading.power_w is not None and reading.power_w >= 0
    ]


def _over_limit(evidence: Evidence, mean_w: dict[int, float]) -> Iterator[Problem]:
    for gpu in evidence.gpus:
        if gpu.power_limit_w is not None and gpu.index in mean_w:
            allowed_w = gpu.power_limit_w * OVER_LIMIT_RATIO
            if mean_w[gpu.index] > allowed_w:
                observed = f"{mean_w[gpu.index]:.1f} W on average in the measured passes"
                yield fail(f"GPU {gpu.index}", observed, f"at most {allowed_w:.1f} W")


def _energy(limits: Limits, mean_w: dict[int, float]) -> Iterator[Problem]:
    """Compare the energy per token with what the memory alone takes; all GPUs' power counts."""
    evidence = limits.evidence
    measured = [record for record in evidence.answered if record.phase is Phase.MEASURED]
    tokens = sum(record.completion_tokens or 0 for record in measured)
    if len(mean_w) < evidence.engine.tensor_parallel_size:
        yield unchecked(TELEMETRY, "no power in telemetry of the measured passes", "W of each GPU")
        return
    batch, busy_s = _in_flight(measured)
    floor_j = roofline.token_energy_j(limits.shape, limits.ceiling) / max(1, batch)
    spent_j = sum(mean_w.values()) * busy_s / max(1, tokens)
    if tokens and spent_j < floor_j:
        expected = f"{floor_j:.4f} J or more, to read its weights"
        yield fail(TELEMETRY, f"{spent_j:.4f} J a token", expected)


def _memory_clock(limits: Limits) -> Iterator[Problem]:
    """Warn of overclocked memory: the ceiling rises with it, but not without end."""
    if (ratio := limits.memory_clock_ratio) > 1 + DATASHEET_RATIO:
        observed = f"memory at {ratio:.2f} times the clock of its datasheet"
        yield warn(TELEMETRY, observed, "1, or less")


CHECKS: tuple[Check[Limits], ...] = (
    Check(
        id="physics-roofline",
        holds="no request and no pass is faster than memory can deliver the bytes of its tokens",
        hint="do not use these figures: this model cannot be so fast on this hardware",
        look=_roofline,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="physics-prefill",
        holds="no first token comes before its prompt, less what was cached, can be computed",
        hint="do not use the latencies of this bundle",
        look=_prefill,
    ),
    Check(
        id="physics-stream",
        holds="no chunk comes before the steps of its tokens can have been made",
        hint="do not use the latencies of this bundle",
        look=_streams,
    ),
    Check(
        id="physics-power",
        holds="the GPUs drew what reading the weights takes, no more than they may, and were busy",
        hint="telemetry and records do not belong together: do not use these figures",
        look=_power,
    ),
    Check(
        id="physics-memory-clock",
        holds="memory ran at the clock of its datasheet, or below",
        hint="figures from overclocked memory are not comparable: reset the clocks, measure again",
        look=_memory_clock,
    ),
)
