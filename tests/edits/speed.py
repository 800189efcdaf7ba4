"""Edits that make a whole run faster and leave its parts in agreement.

Each takes the draft first and changes it in place.
"""

from collections.abc import Collection

from msgspec.structs import replace

from kit.bundle.record import Record
from tests.edits.document import set_end
from tests.edits.metrics import divide_sums
from tests.edits.records import each_record
from tests.factory import Draft
from tests.settings import utc


def faster(draft: Draft, factor: float) -> None:
    """Divide every time of a run: records, chunks, both clocks, server's sums, telemetry."""
    _divide_records(draft, factor)
    set_end(draft, round(draft.document.clock.end_s / factor, 6))
    divide_sums(draft, factor)
    _divide_telemetry(draft, factor)


def faster_client(draft: Draft, factor: float, sums: Collection[str] = ()) -> None:
    """Divide every time of the client, and of the server only these sums."""
    metrics = draft.metrics
    faster(draft, factor)
    draft.metrics = metrics
    divide_sums(draft, factor, sums)


def _divide_records(draft: Draft, factor: float) -> None:
    def divided(record: Record) -> Record:
        chunks = tuple((round(at_s / factor, 6), tokens) for at_s, tokens in record.chunks or ())
        return replace(
            record,
            sent_s=round(record.sent_s / factor, 6),
            wall_s=round(record.wall_s / factor, 6),
            chunks=None if record.chunks is None else chunks,
        )

    each_record(draft, divided)


def _divide_telemetry(draft: Draft, factor: float) -> None:
    telemetry = draft.telemetry
    if telemetry is None:
        return
    assert telemetry.end is not None
    end_s = round(telemetry.end.t_s / factor, 6)
    draft.telemetry = replace(
        telemetry,
        samples=tuple(
            replace(sample, t_s=round(sample.t_s / factor, 6)) for sample in telemetry.samples
        ),
        end=replace(telemetry.end, t_s=end_s, utc=utc(end_s)),
    )
