"""Cases that tamper with when requests were sent, how long they took, and with the run's clocks.

Where a forger would, later requests are moved along, so that nothing overlaps.
"""

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.plan.schedule import Phase
from tests.cases.case import edit, forged, group
from tests.cases.runs import CPU, ENDPOINT, MANY_PASSES, OPENAI
from tests.edits.document import set_document, set_end, set_plan, step_utc_clock
from tests.edits.metrics import divide_sums
from tests.edits.records import copy_fields, each_record, edit_record, set_records
from tests.factory import Draft, change_record
from tests.settings import utc

MEASURED = range(3, 12)
FIRST_TO_SECOND_PASS = ((3, 6), (4, 7), (5, 8))
FIRST_TO_THIRD_PASS = ((3, 9), (4, 10), (5, 11))


def lasting(record: Record, wall_s: float) -> Record:
    """Return a record that took this long, in whole microseconds."""
    return replace(record, wall_s=round(wall_s, 6))


def divide_wall_times(draft: Draft, factor: float) -> None:
    """Divide how long every request took that is not streamed."""
    for phase in (Phase.WARMUP, Phase.MEASURED):
        each_record(draft, lambda record: lasting(record, record.wall_s / factor), phase=phase)


def shorten_measured(draft: Draft, positions: range) -> None:
    """Take a twentieth from the time of each of these requests."""
    for position in positions:
        edit_record(draft, position, lambda record: lasting(record, record.wall_s * 0.95))


def stretch_one_request(draft: Draft, position: int, seconds: float) -> None:
    """Let one request take longer, and all that follows come later."""
    edit_record(draft, position, lambda record: replace(record, wall_s=record.wall_s + seconds))
    for later in range(position + 1, len(draft.records)):
        change_record(draft, later, sent_s=draft.records[later].sent_s + seconds)
    set_end(draft, draft.document.clock.end_s + seconds)


def halve_where_they_stand(draft: Draft) -> None:
    """Halve every response, its chunks and the server's sums; when each was sent stays."""

    def halved(record: Record) -> Record:
        chunks = tuple((round(at_s / 2, 6), tokens) for at_s, tokens in record.chunks or ())
        return replace(
            lasting(record, record.wall_s / 2), chunks=None if record.chunks is None else chunks
        )

    each_record(draft, halved)
    divide_sums(draft, 2)


def delay_each_measured_pass(draft: Draft, seconds: float) -> None:
    """Begin each measured pass later than the one before ended, as if that had been shortened."""
    later_s = 0.0
    for position, record in enumerate(draft.records):
        is_first = record.prompt_id == draft.records[0].prompt_id
        later_s += seconds if is_first and record.phase is Phase.MEASURED else 0.0
        change_record(draft, position, sent_s=round(record.sent_s + later_s, 6))
    set_end(draft, draft.document.clock.end_s + later_s)


def delay_stream(draft: Draft, seconds: float) -> None:
    """Begin the streamed pass later: what the measured passes took less is spent before it."""
    each_record(
        draft, lambda record: replace(record, sent_s=record.sent_s + seconds), phase=Phase.STREAM
    )
    set_end(draft, draft.document.clock.end_s + seconds)


def send_before(draft: Draft, position: int, other: int) -> None:
    """Let one request be sent at the time of an earlier one."""
    change_record(draft, position, sent_s=draft.records[other].sent_s)


def end_before_last_response(draft: Draft) -> None:
    """Let the run end when its last request was sent."""
    set_document(draft, "clock.end_s", draft.records[-1].sent_s)


def use_mean_time(draft: Draft) -> None:
    """Give every measured request the mean time, with a few microseconds added here and there."""
    mean_s = sum(draft.records[position].wall_s for position in MEASURED) / len(MEASURED)
    for number, position in enumerate(MEASURED):
        change_record(draft, position, wall_s=round(mean_s + number % 5 * 1e-6, 6))


TIMES = group(
    "Times of requests and the run's clocks",
    forged("The time of every request that is not streamed is divided by 10",
           "arithmetic-time-witness",
           edit(divide_wall_times, 10)),
    forged("The requests of the first measured pass are 5 % faster", "arithmetic-time-witness",
           edit(shorten_measured, range(3, 6)), runs=(CPU, ENDPOINT)),
    forged("One request is half a second slower, and all later ones move along",
           "arithmetic-time-witness",
           edit(stretch_one_request, 4, 0.5)),
    forged("All measured requests are 5 % faster, and the UTC clock was slewed by 1.9 s",
           "arithmetic-time-witness",
           edit(step_utc_clock, 1.9), edit(shorten_measured, MEASURED)),
    forged("Every response time is halved, and so are the server's sums; send times stay",
           "arithmetic-idle",
           halve_where_they_stand, runs=(MANY_PASSES,)),
    forged("Each measured pass begins 0.9 s later than the one before ended", "arithmetic-idle",
           edit(delay_each_measured_pass, 0.9)),
    forged("The streamed pass begins 20 s later than the measured passes ended", "arithmetic-idle",
           edit(delay_stream, 20)),
    forged("One request is sent 0.1 s earlier, before the response to the one before",
           "arithmetic-overlap",
           edit(edit_record, 4, lambda record: replace(record, sent_s=record.sent_s - 0.1))),
    forged("One request has the send time of an earlier one", "arithmetic-overlap",
           edit(send_before, 4, 2)),
    forged("One request is sent before the run's start", "schema-shape",
           edit(change_record, 0, sent_s=-1.0)),
    forged("Every request took 5e-324 s, the smallest double", "schema-answer",
           edit(set_records, wall_s=5e-324)),
    forged("One request took 12 s; its timeout was 1 s", "arithmetic-span",
           edit(set_plan, "timeout_s", 1.0), edit(change_record, -1, wall_s=12.0)),
    forged("The run ends before its last response", "arithmetic-span", end_before_last_response),
    forged("The times of requests are in whole milliseconds", "arithmetic-resolution",
           edit(each_record, lambda record: replace(record, wall_s=round(record.wall_s, 3)))),
    forged("Each prompt has the same time in every measured pass", "arithmetic-repeats",
           edit(copy_fields, FIRST_TO_SECOND_PASS, "wall_s"),
           edit(copy_fields, FIRST_TO_THIRD_PASS, "wall_s")),
    forged("The second measured pass has the times of the first", "arithmetic-repeats",
           edit(copy_fields, FIRST_TO_SECOND_PASS, "wall_s"), runs=(OPENAI,)),
    forged("All measured requests have the same time, give or take a few microseconds",
           "arithmetic-overlap",
           use_mean_time),
    forged("The start of the run is in month 13", "arithmetic-clock",
           edit(set_document, "clock.start_utc", "2026-13-06T12:00:00.000000Z")),
    forged("The UTC clock steps by two hours during the run", "arithmetic-clock",
           edit(step_utc_clock, 7200)),
    forged("The UTC clock runs backwards", "arithmetic-clock",
           edit(set_document, "clock.end_utc", utc(-7200)), runs=(ENDPOINT,)),
)  # fmt: skip
