"""The arithmetic tier's look at timings that no clock and no machine would give.

Times are read from a clock of nanoseconds and kept to the microsecond, and a request over HTTP
scatters by far more than that. So the last digits of honest times are as good as random, and two
of them are rarely equal. Each check says how rarely it would accuse an honest run: less than once
in a million, by figures that take the quietest machine thinkable, whose requests scatter by 0.1 ms.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain

from kit.bundle.record import Chunk, Record
from kit.check.codes import Code
from kit.check.evidence import Evidence, Pass
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, fail, findings, unchecked
from kit.plan.schedule import Phase

MICROSECONDS_OF_GRID = 10
IMPROBABLE = 1e-9

FEWEST_REQUESTS = 9

FEWEST_OF_A_PASS = 3

LONGEST_S = 1e8
_MICROSECONDS_PER_S = 1e6

SAMPLED_CHUNKS = 200
"""A stream may have thousands of chunks; so many of them, evenly spread, tell of a grid as well."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier."""
    yield from findings(Code.ARITHMETIC_RESOLUTION, _resolution(evidence.answered))
    repeats = chain(_equal_durations(evidence), _equal_passes(evidence.passes))
    yield from findings(Code.ARITHMETIC_REPEATS, repeats)


def _resolution(records: Sequence[Record]) -> Iterator[Problem]:
    """Count the times that are whole multiples of 10 microseconds: one in ten, by chance.

    The bound on the chance of more is Hoeffding's (J. Am. Stat. Assoc. 58, 1963, theorem 1). Times
    of chunks that came at once count once. Fewer than nine times can never be improbable enough.
    """
    if len(records) < FEWEST_REQUESTS:
        yield unchecked(BUNDLE, f"{len(records)} responses", f"{FEWEST_REQUESTS} or more")
    families = (
        ("durations", _microseconds([record.wall_s for record in records])),
        ("times of sending", _microseconds([record.sent_s for record in records])),
        ("times of chunks", [at for record in records for at in _spread_arrivals(record)]),
    )
    for name, usable in families:
        round_ones = [at % MICROSECONDS_OF_GRID for at in usable].count(0)
        if _chance_of(round_ones, len(usable), 1 / MICROSECONDS_OF_GRID) <= IMPROBABLE:
            observed = f"{round_ones} of {len(usable)} {name} are multiples of 10 microseconds"
            yield fail(BUNDLE, observed, "about one in ten")


def _spread_arrivals(record: Record) -> set[int]:
    chunks = record.chunks or ()
    step = max(1, len(chunks) // SAMPLED_CHUNKS)
    return set(_arrivals(chunks[::step]))


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


def _equal_durations(evidence: Evidence) -> Iterator[Problem]:
    """Fail where half of the measured requests took exactly as long as another.

    Two times that scatter by 0.1 ms are equal once in 350 times, so that nine take four values at
    most once in a billion.
    """
    durations = [one.wall_s for one in evidence.answered if one.phase is Phase.MEASURED]
    distinct = len(set(durations))
    if len(durations) < FEWEST_REQUESTS:
        observed = f"{len(durations)} measured requests"
        yield unchecked(BUNDLE, observed, f"{FEWEST_REQUESTS} or more")
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


def _arrivals(chunks: Sequence[Chunk]) -> list[int]:
    return _microseconds([at_s for at_s, _ in chunks])


def _microseconds(times_s: Sequence[float]) -> list[int]:
    """Return these times without those that are out of range, of which other checks tell."""
    if times_s and not 0 <= min(times_s) <= max(times_s) <= LONGEST_S:
        times_s = [at_s for at_s in times_s if 0 <= at_s <= LONGEST_S]
    return [round(at_s * _MICROSECONDS_PER_S) for at_s in times_s]
