"""Ways to make up timings and responses, each with the code that must name it.

Where a forger would, sending times are moved along, so that nothing overlaps.
"""

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.plan.schedule import Phase
from tests.factory import Draft, change_record, utc


def _measured(made: Draft) -> list[int]:
    return [at for at, record in enumerate(made.records) if record.phase is Phase.MEASURED]


def durations_in_milliseconds(made: Draft) -> None:
    for position, record in enumerate(made.records):
        change_record(made, position, wall_s=round(record.wall_s, 3))


def chunks_on_a_grid(made: Draft) -> None:
    for position, record in enumerate(made.records):
        if record.chunks:
            chunks = tuple((round(at_s, 4), tokens) for at_s, tokens in record.chunks)
            change_record(made, position, chunks=chunks)


def three_durations_for_all(made: Draft) -> None:
    """Each prompt takes what it took in the first pass, in every pass."""
    first = [made.records[position].wall_s for position in _measured(made)[:3]]
    for number, position in enumerate(_measured(made)):
        change_record(made, position, wall_s=first[number % 3])


def a_pass_copied_under_another_number(made: Draft) -> None:
    """All of it but the seeds, which are those of its new number."""
    for position in _measured(made)[:3]:
        _copy(made, position, position + 3)


def durations_copied_into_another_pass(made: Draft) -> None:
    for position in _measured(made)[:3]:
        change_record(made, position + 3, wall_s=made.records[position].wall_s)


def responses_copied_into_another_pass(made: Draft) -> None:
    for position in _measured(made)[:3]:
        source = made.records[position]
        change_record(made, position + 3, token_ids=source.token_ids, text=source.text)


def responses_copied_from_two_passes(made: Draft) -> None:
    for position, source in zip(_measured(made)[6:], (3, 7, 8), strict=True):
        copied = made.records[source]
        change_record(made, position, token_ids=copied.token_ids, text=copied.text)


def one_pace_for_all(made: Draft) -> None:
    """The mean, with a microsecond or two added here and there."""
    positions = _measured(made)
    mean_s = sum(made.records[position].wall_s for position in positions) / len(positions)
    for number, position in enumerate(positions):
        change_record(made, position, wall_s=round(mean_s + number % 5 * 1e-6, 6))


def chunks_equally_far_apart(made: Draft) -> None:
    for position, record in enumerate(made.records):
        if record.chunks:
            gap_s = record.chunks[-1][0] / len(record.chunks)
            chunks = tuple(
                (round(gap_s * number, 6), tokens)
                for number, (_, tokens) in enumerate(record.chunks, start=1)
            )
            change_record(made, position, chunks=chunks)


def a_clock_that_jumps_by_hours(made: Draft) -> None:
    clock = made.document.clock
    later = replace(clock, end_utc=utc(clock.end_s + 7200))
    made.document = replace(made.document, clock=later)


def a_clock_that_runs_backwards(made: Draft) -> None:
    clock = made.document.clock
    earlier = replace(clock, end_utc=utc(-7200))
    made.document = replace(made.document, clock=earlier)


def _copy(made: Draft, source: int, target: int) -> None:
    copied: Record = made.records[source]
    change_record(made, target, wall_s=copied.wall_s, token_ids=copied.token_ids, text=copied.text)
