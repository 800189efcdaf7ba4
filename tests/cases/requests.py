"""Cases that tamper with which requests were sent, in which order and with which seeds.

A small run has three prompts: records 0 to 2 are the warm-up, 3 to 5 the first measured pass, 6 to
8 the second, 9 to 11 the third, 12 to 14 the streamed pass.
"""

from msgspec.structs import replace

from kit.bundle.record import ErrorCode
from kit.plan.schedule import Phase
from tests.cases.case import edit, forged, group
from tests.cases.runs import OPENAI, PARTIAL
from tests.edits.records import edit_record, set_records
from tests.factory import Draft, change_record


def drop_request(draft: Draft, position: int) -> None:
    """Remove one record."""
    del draft.records[position]


def repeat_request(draft: Draft, position: int) -> None:
    """List one record twice in a row."""
    draft.records.insert(position + 1, draft.records[position])


def swap_requests(draft: Draft, first: int, second: int) -> None:
    """Exchange two records, each at the time of the other."""
    records = draft.records
    a, b = records[first], records[second]
    records[first] = replace(b, sent_s=a.sent_s, wall_s=a.wall_s)
    records[second] = replace(a, sent_s=b.sent_s, wall_s=b.wall_s)


def rename_pass(draft: Draft, records: range, phase: Phase, pass_number: int) -> None:
    """Put some records into another pass."""
    for position in records:
        change_record(draft, position, phase=phase, pass_number=pass_number)


def replace_first_pass_by_warm_up(draft: Draft) -> None:
    """Replace the first measured pass by the warm-up's records, whose seeds are other ones."""
    draft.records[3:6] = [
        replace(record, phase=Phase.MEASURED, pass_number=1) for record in draft.records[:3]
    ]


REQUESTS = group(
    "Requests: which were sent, in which order, with which seed",
    forged("One request is removed", "protocol-requests arithmetic-server-counter",
           edit(drop_request, 5)),
    forged("One request to an endpoint without counters is removed", "protocol-requests",
           edit(drop_request, 5), runs=(OPENAI,)),
    forged("One request in the middle of a run that stopped early is removed", "protocol-requests",
           edit(drop_request, 1), runs=(PARTIAL,)),
    forged("One request is listed twice", "protocol-requests", edit(repeat_request, 4)),
    forged("Two requests of a pass are swapped", "protocol-requests", edit(swap_requests, 3, 4)),
    forged("The warm-up is declared a fourth measured pass", "protocol-requests",
           edit(rename_pass, range(3), Phase.MEASURED, 4)),
    forged("The first and the second measured pass exchange their numbers", "protocol-seed",
           edit(rename_pass, range(3, 6), Phase.MEASURED, 2),
           edit(rename_pass, range(6, 9), Phase.MEASURED, 1)),
    forged("The slow first measured pass is replaced by a copy of the warm-up", "protocol-seed",
           replace_first_pass_by_warm_up),
    forged("The seed of one request differs by one bit", "protocol-seed",
           edit(edit_record, 4, lambda record: replace(record, seed=record.seed ^ 1))),
    forged("All requests have the same seed", "protocol-seed", edit(set_records, seed=1)),
    forged("One request of a complete bundle has timed out", "protocol-status",
           edit(change_record, 4, error=ErrorCode.TIMED_OUT)),
)  # fmt: skip
