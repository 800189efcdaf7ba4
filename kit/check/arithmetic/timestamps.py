"""The arithmetic tier's look at timings that no clock and no machine would give.

Times are read from a clock of nanoseconds and kept to the microsecond, and a request over HTTP
scatters by far more than that. So the last digits of honest times are as good as random, and two
of them are rarely equal. Each check says how rarely it would accuse an honest run: less than once
in a million, by figures that take the quietest machine thinkable, whose requests scatter by 0.1 ms.
"""

import math
from collections.abc import Iterator, Sequence
from operator import sub
from statistics import fmean
from typing import TypeAlias

from kit.bundle.record import Chunk, Record
from kit.check.codes import Code
from kit.check.evidence import Evidence, Pass, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, fail, findings, unchecked
from kit.figures.intervals import coefficient_of_variation
from kit.plan.schedule import Phase

MICROSECONDS_OF_GRID = 10
IMPROBABLE = 1e-9

FEWEST_REQUESTS = 9
SMOOTHEST_RATIO = 1e-5
"""0.1 ms of 1 s is ten times that; in a longer request the steps of the model add up to more."""

FEWEST_OF_A_PASS = 3
FEWEST_GAPS = 6
EQUAL_GAPS_MICROSECONDS = 3
"""Rounding moves each end of a gap by half a microsecond."""

PACED_GAP_MICROSECONDS = 100
"""Chunks that are closer were sent apart and read at once: of these, equal gaps say nothing."""

LONGEST_S = 1e8
_MICROSECONDS_PER_S = 1e6

SAMPLED_CHUNKS = 200
"""A stream may have thousands of chunks; so many of them, evenly spread, tell of a grid as well."""

_Stream: TypeAlias = tuple[Record, Sequence[int]]
"""A streamed response, and the microseconds at which the first of its chunks arrived."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier."""
    streams = [
        (record, _arrivals(record.chunks[:SAMPLED_CHUNKS]))
        for record in evidence.answered
        if record.chunks
    ]
    yield from findings(Code.ARITHMETIC_RESOLUTION, _resolution(evidence.answered, streams))
    yield from findings(Code.ARITHMETIC_REPEATS, _repeats(evidence, streams))
    yield from findings(Code.ARITHMETIC_SMOOTHNESS, _smoothness(evidence, streams))


def _resolution(records: Sequence[Record], streams: Sequence[_Stream]) -> Iterator[Problem]:
    """Count the times that are whole multiples of 10 microseconds: one in ten, by chance.

    The bound on the chance of more is Hoeffding's (J. Am. Stat. Assoc. 58, 1963, theorem 1). Times
    of chunks that came at once count once. Fewer than nine times can never be improbable enough.
    """
    if len(records) < FEWEST_REQUESTS:
        yield unchecked(BUNDLE, f"{len(records)} responses", f"{FEWEST_REQUESTS} or more")
    families = (
        ("durations", _microseconds([record.wall_s for record in records])),
        ("times of sending", _microseconds([record.sent_s for record in records])),
        ("times of chunks", [at for stream in streams for at in _spread_arrivals(stream)]),
    )
    for name, usable in families:
        round_ones = [at % MICROSECONDS_OF_GRID for at in usable].count(0)
        if _chance_of(round_ones, len(usable), 1 / MICROSECONDS_OF_GRID) <= IMPROBABLE:
            observed = f"{round_ones} of {len(usable)} {name} are multiples of 10 microseconds"
            yield fail(BUNDLE, observed, "about one in ten")


def _spread_arrivals(stream: _Stream) -> set[int]:
    record, first = stream
    chunks = record.chunks or ()
    step = max(1, len(chunks) // SAMPLED_CHUNKS)
    return set(first if len(chunks) <= SAMPLED_CHUNKS else _arrivals(chunks[::step]))


def _chance_of(hits: int, trials: int, chance: float) -> float:
    """Return a bound on the probability of at least so many hits, exp(-trials x divergence)."""
    if hits <= trials * chance:
        return 1.0
    share = hits / trials
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    # What is exactly as improbable as the bound is not to be saved by the rounding of logarithms.
    return math.exp(-trials * divergence) * (1 - 1e-9)


def _repeats(evidence: Evidence, streams: Sequence[_Stream]) -> Iterator[Problem]:
    yield from _equal_durations(evidence)
    yield from _equal_passes(evidence.passes)
    yield from _equal_streams(streams)


def _equal_durations(evidence: Evidence) -> Iterator[Problem]:
    """Fail where half of the measured requests took exactly as long as another.

    Two times that scatter by 0.1 ms are equal once in 350 times, so that nine take four values at
    most once in a billion.
    """
    durations = [one.wall_s for one in evidence.answered if one.phase is Phase.MEASURED]
    distinct = len(set(durations))
    if len(durations) < FEWEST_REQUESTS:
        yield _too_few(len(durations))
    elif distinct <= len(durations) / 2:
        observed = f"{distinct} different durations of {len(durations)} measured requests"
        yield fail(BUNDLE, observed, "as many as requests, or nearly")


def _equal_passes(passes: Sequence[Pass]) -> Iterator[Problem]:
    """Fail where a pass took exactly as long as another, request by request.

    Two requests are equal at 0.1 ms of scatter once in 350 times, three once in 40 million.
    """
    seen: dict[tuple[object, ...], Pass] = {}
    for one in passes:
        answered = [record for record in one.records if record.error is None]
        if len(answered) < FEWEST_OF_A_PASS:
            continue
        key = tuple((record.prompt_id, record.wall_s) for record in answered)
        earlier = seen.setdefault(key, one)
        if earlier is not one:
            yield fail(one.name, f"the very durations of {earlier.name}", "durations of its own")


def _equal_streams(streams: Sequence[_Stream]) -> Iterator[Problem]:
    """Fail where chunks came at the very distances of another response's.

    Looked at are the first of them, and only with six different distances or more: an equal one of
    each is out of the question, while chunks that were read at once are all at the distance 0.
    """
    seen: dict[tuple[int, ...], Record] = {}
    for record, first in streams:
        gaps = _gaps(first)
        if len(set(gaps)) < FEWEST_GAPS:
            continue
        earlier = seen.setdefault(gaps, record)
        if earlier is not record:
            observed = f"chunks at the very distances of {subject_of(earlier)}"
            yield fail(subject_of(record), observed, "distances of its own")


def _smoothness(evidence: Evidence, streams: Sequence[_Stream]) -> Iterator[Problem]:
    yield from _equal_paces(evidence)
    for record, first in streams:
        yield from _equal_gaps(record, _gaps(first))


def _equal_paces(evidence: Evidence) -> Iterator[Problem]:
    """Fail where seconds a token vary by less than a hundred thousandth over measured requests.

    Nine requests that vary by one part in ten thousand would seem so smooth once in 10 million
    runs (chi-squared of 8 degrees of freedom); real ones vary by more.
    """
    paces = [
        record.wall_s / record.completion_tokens
        for record in evidence.answered
        if record.phase is Phase.MEASURED and record.completion_tokens
    ]
    if len(paces) < FEWEST_REQUESTS:
        yield _too_few(len(paces))
    elif (ratio := coefficient_of_variation(paces)) < SMOOTHEST_RATIO:
        observed = f"seconds a token vary by {ratio:.1e} of their mean"
        yield fail(BUNDLE, observed, f"{SMOOTHEST_RATIO:.0e} or more over {len(paces)} requests")


def _equal_gaps(record: Record, first_gaps: Sequence[int]) -> Iterator[Problem]:
    """Fail where all chunks are equally far apart, to the rounding.

    With 0.1 ms of scatter six gaps fall within 3 microseconds less than once in a billion times.
    """
    if len(first_gaps) < FEWEST_GAPS:
        return
    if max(first_gaps) - min(first_gaps) > EQUAL_GAPS_MICROSECONDS:
        return  # and so do all
    if max(first_gaps) + EQUAL_GAPS_MICROSECONDS < PACED_GAP_MICROSECONDS:
        return  # where all are equal, none is longer; a million chunks at once need no look
    gaps = _gaps(_arrivals(record.chunks or ()))
    is_paced = max(gaps) >= PACED_GAP_MICROSECONDS
    if is_paced and max(gaps) - min(gaps) <= EQUAL_GAPS_MICROSECONDS:
        each_s = fmean(gaps) / _MICROSECONDS_PER_S
        observed = f"{len(gaps)} chunks, each {each_s:.6f} s after the one before"
        yield fail(subject_of(record), observed, "distances that vary")


def _too_few(requests: int) -> Problem:
    return unchecked(BUNDLE, f"{requests} measured requests", f"{FEWEST_REQUESTS} or more")


def _gaps(arrivals: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sub, arrivals[1:], arrivals))


def _arrivals(chunks: Sequence[Chunk]) -> list[int]:
    return _microseconds([at_s for at_s, _ in chunks])


def _microseconds(times_s: Sequence[float]) -> list[int]:
    """Return these times without those that are out of range, of which other checks tell."""
    if times_s and not 0 <= min(times_s) <= max(times_s) <= LONGEST_S:
        times_s = [at_s for at_s in times_s if 0 <= at_s <= LONGEST_S]
    return [round(at_s * _MICROSECONDS_PER_S) for at_s in times_s]
