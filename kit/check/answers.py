"""What neither type nor schema says of a record: sizes, order, and what must go together."""

from collections.abc import Iterator

from kit.check.evidence import ROUNDING_S
from kit.check.problem import Problem, fail
from kit.record import SHORTEST_S, Phase, Record

ARRAY_LIMIT = 1_000_000
TEXT_LIMIT_CHARACTERS = 16 * 2**20


def over_limits(subject: str, record: Record) -> Iterator[Problem]:
    """Hold the sizes of a record's arrays and text against the format's limits."""
    sizes = (
        ("prompt_token_ids", len(record.prompt_token_ids or ()), ARRAY_LIMIT),
        ("token_ids", len(record.token_ids or ()), ARRAY_LIMIT),
        ("chunks", len(record.chunks or ()), ARRAY_LIMIT),
        ("text", len(record.text or ""), TEXT_LIMIT_CHARACTERS),
    )
    for name, size, limit in sizes:
        if size > limit:
            yield fail(subject, f"{name} holds {size}", f"at most {limit}")


def bad_arrays(subject: str, record: Record) -> Iterator[Problem]:
    """Look at when a record's chunks arrived; numbers have the bounds of their types."""
    if not record.chunks:
        return
    arrivals = [arrival_s for arrival_s, _ in record.chunks]
    ordered = sorted(arrivals)
    if arrivals != ordered:
        yield fail(subject, "a chunk that arrives before the one before it", "chunks in order")
    if ordered[0] < 0 or ordered[-1] > record.wall_s + ROUNDING_S:
        span = f"chunks from {ordered[0]} to {ordered[-1]} s"
        yield fail(subject, span, f"within the response's {record.wall_s} s")


def incomplete(subject: str, record: Record) -> Iterator[Problem]:
    """Tell what a record without an error lacks, or holds although it cannot."""
    streamed = record.phase is Phase.STREAM
    if (record.chunks is not None) != streamed:
        wanted = "chunks" if streamed else "no chunks"
        yield fail(subject, "chunks" if record.chunks is not None else "no chunks", wanted)
    if record.error is not None:
        return
    if record.wall_s < SHORTEST_S:
        yield fail(subject, f"wall_s {record.wall_s}", f"{SHORTEST_S} s or more")
    for name, value in (
        ("prompt_tokens", record.prompt_tokens),
        ("completion_tokens", record.completion_tokens),
        ("finish_reason", record.finish_reason),
        ("text", record.text),
    ):
        if value is None:
            yield fail(subject, f"no {name}", f"{name}, or the code of an error")
