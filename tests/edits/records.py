"""Edits of a draft's records. Each takes the draft first and changes it in place."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.plan.schedule import Phase
from tests.factory import Draft, change_record

Chunks = tuple[tuple[float, int], ...]


def each_record(
    draft: Draft, change: Callable[[Record], Record], *, phase: Phase | None = None
) -> None:
    """Change every record, or those of one phase."""
    draft.records = [
        change(record) if phase in (None, record.phase) else record for record in draft.records
    ]


def edit_record(draft: Draft, position: int, change: Callable[[Record], Record]) -> None:
    """Change one record by its position."""
    draft.records[position] = change(draft.records[position])


def set_records(draft: Draft, **fields: object) -> None:
    """Set fields of every record to the same values."""
    each_record(draft, lambda record: replace(record, **fields))


def copy_fields(draft: Draft, positions: Sequence[tuple[int, int]], *names: str) -> None:
    """Copy fields from record to record, for each pair of a source and a target."""
    for source, target in positions:
        record = draft.records[source]
        change_record(draft, target, **{name: getattr(record, name) for name in names})


def each_stream(draft: Draft, change: Callable[[Chunks], Sequence[tuple[float, int]]]) -> None:
    """Change the chunks of every streamed response; arrivals are rounded to microseconds."""
    for position, record in enumerate(draft.records):
        if record.chunks:
            chunks = tuple((round(at_s, 6), tokens) for at_s, tokens in change(record.chunks))
            change_record(draft, position, chunks=chunks)
