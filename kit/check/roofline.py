"""Tier 5, physics: no figure is better than the hardware in the bundle allows.

Limits follow from the model's configuration and the GPUs that telemetry names, never from a flat
cap. They are bounds and not estimates: nothing here depends on chance, but for the two that say so.
What has no known limit (an endpoint, a CPU, a GPU or model that the checkout does not list) is not
judged, and that is said.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from operator import ge

from kit.bundle.bag import TELEMETRY
from kit.bundle.record import Record
from kit.bundle.telemetry import GpuFacts, by_gpu
from kit.check.ceiling import Footing, footing_of, was_idle
from kit.check.codes import Code
from kit.check.evidence import ROUNDING_S, Catalog, Evidence, subject_of, while_measured
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, unchecked, warn
from kit.plan.schedule import Phase
from kit.roofline import model as roofline

DATASHEET_RATIO = 0.005
"""Datasheets round: a bandwidth of three digits is off by at most half a percent."""

BURST_RATIO = 0.9
FEWEST_GAPS = 20
"""A chunk that the client reads late seems to be followed by a fast one. For nine gaps of ten to be
shorter than a step, it would have to stall for ten steps at a time, throughout."""

LONGEST_CHUNK = 10**6
"""Tokens; beyond it a chunk is nonsense, of which the arithmetic tier tells."""

OVER_LIMIT_RATIO = 1.10
"""A card holds its power limit on average; NVIDIA calls its sensor accurate to 5 % (NVML,
`nvmlDeviceGetPowerUsage`), and the limit is regulated by the same sensor."""


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield the findings of this tier."""
    footing = footing_of(evidence, catalog)
    if isinstance(footing, str):
        nothing = unchecked(BUNDLE, clip(footing), Code.PHYSICS_TIER.holds)
        yield from findings(Code.PHYSICS_TIER, [nothing])
        return
    yield from findings(Code.PHYSICS_TIER, ())
    yield from findings(Code.PHYSICS_ROOFLINE, _roofline(evidence, footing))
    yield from findings(Code.PHYSICS_PREFILL, _prefill(evidence, footing))
    yield from findings(Code.PHYSICS_STREAM, _streams(evidence, footing))
    yield from findings(Code.PHYSICS_POWER, _power(evidence, footing))
    yield from findings(Code.PHYSICS_MEMORY_CLOCK, _memory_clock(footing))


def _roofline(evidence: Evidence, footing: Footing) -> Iterator[Problem]:
    for record in evidence.answered:
        tokens = record.completion_tokens or 0
        floor_s = roofline.tokens_s(
            footing.shape, footing.ceiling, record.prompt_tokens or 0, tokens
        )
        yield from _too_fast(subject_of(record), tokens, record.wall_s, floor_s, footing)
    for one in evidence.passes:
        answered = [record for record in one.records if record.error is None]
        tokens = sum(record.completion_tokens or 0 for record in answered)
        in_flight, busy_s = _in_flight(answered)
        steps = -(-tokens // max(1, in_flight))
        floor_s = steps * roofline.step_s(footing.shape, footing.ceiling)
        yield from _too_fast(one.name, tokens, busy_s, floor_s, footing)


def _too_fast(
    subject: str, tokens: int, took_s: float, floor_s: float, footing: Footing
) -> Iterator[Problem]:
    if took_s < floor_s * (1 - DATASHEET_RATIO):
        yield fail(
            subject,
            f"{tokens} tokens in {took_s:.6f} s",
            f"{floor_s:.6f} s or more, by {footing.wording}",
        )


def _in_flight(records: Sequence[Record]) -> tuple[int, float]:
    """Return how many requests ran at once at most, and the seconds in which any of them ran.

    A step gives each running request one token: what ran at once shares its steps.
    """
    edges = sorted(
        edge
        for record in records
        for edge in ((record.sent_s, 1), (record.sent_s + record.wall_s - ROUNDING_S, -1))
    )
    running, most, busy_s = 0, 0, 0.0
    for (moment_s, change), (next_s, _) in pairwise([*edges, (edges[-1][0], 0)] if edges else []):
        running += change
        most = max(most, running)
        busy_s += next_s - moment_s if running > 0 else 0.0
    return most, busy_s + ROUNDING_S * len(records)


def _prefill(evidence: Evidence, footing: Footing) -> Iterator[Problem]:
    for record in evidence.answered:
        first_s = next((at_s for at_s, tokens in record.chunks or () if tokens > 0), None)
        if first_s is None or record.prompt_tokens is None:
            continue
        uncached = max(1, record.prompt_tokens - (record.cached_tokens or 0))
        floor_s = roofline.prefill_s(footing.shape, footing.ceiling, uncached)
        if first_s < floor_s * (1 - DATASHEET_RATIO) - ROUNDING_S:
            observed = f"the first token after {first_s:.6f} s"
            expected = f"{floor_s:.6f} s or more for {uncached} tokens that were not cached"
            yield fail(subject_of(record), observed, expected)


def _streams(evidence: Evidence, footing: Footing) -> Iterator[Problem]:
    for record in evidence.answered:
        if record.chunks:
            yield from _early(record, footing)
            yield from _bursts(record, footing)


def _early(record: Record, footing: Footing) -> Iterator[Problem]:
    """Hold each chunk's arrival against the steps of all tokens so far: delays never make it fail.

    Several tokens in a chunk count as several.
    """
    prompt, count = record.prompt_tokens or 0, record.completion_tokens or 0
    arrivals_s, tokens = zip(*record.chunks or (), strict=True)
    mean_pace_s = roofline.tokens_s(footing.shape, footing.ceiling, prompt, count) / max(1, count)
    if all(map(ge, arrivals_s, accumulate(map(mean_pace_s.__mul__, tokens)))):
        return  # later steps take longer: at the mean pace of all, no token is early
    for at_s, so_far in zip(arrivals_s, accumulate(tokens), strict=True):
        if so_far > count:
            return  # the arithmetic tier says so
        floor_s = roofline.tokens_s(footing.shape, footing.ceiling, prompt, so_far)
        if at_s < floor_s * (1 - DATASHEET_RATIO) - ROUNDING_S:
            observed = f"token {so_far} after {at_s:.6f} s"
            yield fail(subject_of(record), observed, f"{floor_s:.6f} s or more")
            return


def _bursts(record: Record, footing: Footing) -> Iterator[Problem]:
    """Look at gaps until enough are long: of an honest stream at one in ten, or a few more."""
    step_s = roofline.step_s(footing.shape, footing.ceiling) * (1 - DATASHEET_RATIO)
    chunks = record.chunks or ()
    arrivals = (chunk for chunk in chunks if 0 < chunk[1] <= LONGEST_CHUNK)
    gaps, long = 0, 0
    for (earlier_s, _), (later_s, tokens) in pairwise(arrivals):
        gaps += 1
        long += later_s - earlier_s >= step_s * tokens - ROUNDING_S
        if long >= (1 - BURST_RATIO) * len(chunks):
            return
    if gaps >= FEWEST_GAPS and long < (1 - BURST_RATIO) * gaps:
        observed = f"{gaps - long} of {gaps} chunks came faster than a step of the model"
        yield fail(subject_of(record), observed, f"{step_s * 1000:.3f} ms or more a token")


def _power(evidence: Evidence, footing: Footing) -> Iterator[Problem]:
    readings = by_gpu(while_measured(evidence))
    mean_w = {
        index: sum(told) / len(told)
        for index, ones in readings.items()
        if (told := [one.power_w for one in ones if one.power_w is not None and one.power_w >= 0])
    }
    yield from _over_limit(evidence, mean_w)
    yield from _energy(evidence, footing, mean_w)
    busy = [index for index, ones in readings.items() if not was_idle(ones)]
    ranks = footing.engine.tensor_parallel_size
    if readings and len(busy) < ranks:
        observed = f"{len(busy)} GPUs did anything in the measured passes"
        yield fail(TELEMETRY, observed, f"{ranks} that served")


def _over_limit(evidence: Evidence, mean_w: dict[int, float]) -> Iterator[Problem]:
    for gpu in _facts(evidence):
        if gpu.power_limit_w is not None and gpu.index in mean_w:
            allowed_w = gpu.power_limit_w * OVER_LIMIT_RATIO
            if mean_w[gpu.index] > allowed_w:
                observed = f"{mean_w[gpu.index]:.1f} W on average in the measured passes"
                yield fail(f"GPU {gpu.index}", observed, f"at most {allowed_w:.1f} W")


def _energy(evidence: Evidence, footing: Footing, mean_w: dict[int, float]) -> Iterator[Problem]:
    """Hold the energy per token against what the memory alone takes; all GPUs' power counts."""
    measured = [record for record in evidence.answered if record.phase is Phase.MEASURED]
    tokens = sum(record.completion_tokens or 0 for record in measured)
    if len(mean_w) < footing.engine.tensor_parallel_size:
        yield unchecked(TELEMETRY, "no power is told in the measured passes", "W of each GPU")
        return
    batch, busy_s = _in_flight(measured)
    floor_j = roofline.token_energy_j(footing.shape, footing.ceiling) / max(1, batch)
    spent_j = sum(mean_w.values()) * busy_s / max(1, tokens)
    if tokens and spent_j < floor_j:
        observed = f"{spent_j:.4f} J a token"
        yield fail(TELEMETRY, observed, f"{floor_j:.4f} J or more, to read its weights")


def _memory_clock(footing: Footing) -> Iterator[Problem]:
    ratio = footing.memory_clock_ratio
    observed = f"memory at {ratio:.2f} times the clock of its datasheet"
    if ratio > roofline.MEMORY_HEADROOM:
        yield fail(TELEMETRY, observed, f"at most {roofline.MEMORY_HEADROOM:.2f} times")
    elif ratio > 1 + DATASHEET_RATIO:
        yield warn(TELEMETRY, observed, "1, or less")


def _facts(evidence: Evidence) -> tuple[GpuFacts, ...]:
    told = evidence.observed.telemetry
    return () if told is None else told.header.inventory.gpus
