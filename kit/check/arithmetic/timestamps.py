"""Timestamps must have the last digits of a clock, and not be copies of each other.

Times are read from a clock of nanoseconds and kept to the microsecond, and a request over HTTP
scatters by far more than that: the last digits of measured times are as good as random, and two of
them are rarely equal. Each check says how rarely it would accuse an honest run: less than once in a
million, by figures of the quietest machine thinkable, whose requests scatter by 0.1 ms.
"""

import math
from collections.abc import Iterator, Sequence

from kit.bundle.record import Record
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked
from kit.check.evidence import Evidence, Pass
from kit.plan.schedule import Phase

GRID_MICROSECONDS = 10
IMPROBABLE = 1e-9
FEWEST_REQUESTS = 9
FEWEST_OF_A_PASS = 3
LONGEST_S = 1e8
SAMPLED_CHUNKS = 200
"""A stream may have thousands of chunks; so many of them, evenly spread, show a grid as well."""


def _resolution(evidence: Evidence) -> Iterator[Problem]:
    """Count the times that are whole multiples of 10 microseconds: one in ten, by chance.

    The bound on the chance of more is Hoeffding's (J. Am. Stat. Assoc. 58, 1963, theorem 1). Chunks
    that came at once count once. Fewer than nine times can never be improbable enough.
    """
    records = evidence.answered
    if len(records) < FEWEST_REQUESTS:
        yield unchecked(BUNDLE, f"{len(records)} responses", f"{FEWEST_REQUESTS} or more")
    families = (
        ("durations", [record.wall_s for record in records]),
        ("times of sending", [record.sent_s for record in records]),
        ("times of chunks", [at_s for record in records for at_s in _spread_arrivals_s(record)]),
    )
    for name, times_s in families:
        microseconds = [round(at_s * 1e6) for at_s in times_s if 0 <= at_s <= LONGEST_S]
        on_grid = sum(at % GRID_MICROSECONDS == 0 for at in microseconds)
        if _chance_of(on_grid, len(microseconds), 1 / GRID_MICROSECONDS) <= IMPROBABLE:
            observed = f"{on_grid} of {len(microseconds)} {name} are multiples of 10 microseconds"
            yield fail(BUNDLE, observed, "about one in ten")


def _spread_arrivals_s(record: Record) -> set[float]:
    chunks = record.chunks or ()
    step = max(1, len(chunks) // SAMPLED_CHUNKS)
    return {at_s for at_s, _ in chunks[::step]}


def _chance_of(hits: int, trials: int, chance: float) -> float:
    """Return a bound on the probability of at least so many hits, exp(-trials x divergence)."""
    if hits <= trials * chance:
        return 1.0
    share = hits / trials
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return math.exp(-trials * divergence) * (1 - 1e-9)  # nothing hangs on a logarithm's rounding


def _repeats(evidence: Evidence) -> Iterator[Problem]:
    yield from _equal_durations(evidence)
    yield from _equal_passes(evidence.passes)


def _equal_durations(evidence: Evidence) -> Iterator[Problem]:
    """Fail where half of the measured requests took exactly as long as another.

    Two times that scatter by 0.1 ms are equal once in 350 times, so that nine take four values at
    most once in a billion.
    """
    durations = [one.wall_s for one in evidence.answered if one.phase is Phase.MEASURED]
    distinct = len(set(durations))
    if len(durations) < FEWEST_REQUESTS:
        yield unchecked(BUNDLE, f"{len(durations)} measured requests", f"{FEWEST_REQUESTS} or more")
    elif distinct <= len(durations) / 2:
        observed = f"{distinct} different durations of {len(durations)} measured requests"
        yield fail(BUNDLE, observed, "as many as requests, or nearly")


def _equal_passes(passes: Sequence[Pass]) -> Iterator[Problem]:
    """Fail where a pass took exactly as long as another, request by request.

    Two requests are equal at 0.1 ms of scatter once in 350 times, three once in 40 million.
    """
    first_with: dict[tuple[object, ...], Pass] = {}
    for pass_ in passes:
        answered = [record for record in pass_.records if record.error is None]
        if len(answered) < FEWEST_OF_A_PASS:
            continue
        durations = tuple((record.prompt_id, record.wall_s) for record in answered)
        earlier = first_with.setdefault(durations, pass_)
        if earlier is not pass_:
            yield fail(pass_.name, f"the durations of {earlier.name}", "durations of its own")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="arithmetic-resolution",
        holds="times have the last digits of a clock, and are not on a coarser grid",
        hint="do not use these figures: times were rounded or typed in",
        look=_resolution,
    ),
    Check(
        id="arithmetic-repeats",
        holds="no pass and few requests took exactly as long as others, to the microsecond",
        hint="do not use these figures: times were copied",
        look=_repeats,
    ),
)
