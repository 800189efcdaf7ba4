"""Checks of records beyond their types: total sizes of arrays, fields that must go together."""

from collections.abc import Iterable, Iterator

from kit.bundle.limits import ARRAY_LIMIT, CHUNK_LIMIT, TOKEN_ID_LIMIT
from kit.bundle.record import SHORTEST_S, Record
from kit.check.check import Problem, fail
from kit.check.evidence import ROUNDING_S, subject_of
from kit.plan.schedule import Phase

_USAGE = ("prompt_tokens", "completion_tokens", "finish_reason", "text")


class Sizes:
    """How much the arrays of records hold together, as they are read one after another."""

    def __init__(self) -> None:
        self._token_ids = 0
        self._chunks = 0

    def add(self, record: Record) -> Problem | None:
        """Count what a record holds; return what is then over a limit of the format."""
        asked, answered = len(record.prompt_token_ids or ()), len(record.token_ids or ())
        self._token_ids += asked + answered
        self._chunks += len(record.chunks or ())
        for what, count, limit in (
            ("token ids in one array", max(asked, answered), ARRAY_LIMIT),
            ("token ids, with those before it", self._token_ids, TOKEN_ID_LIMIT),
            ("chunks, with those before it", self._chunks, CHUNK_LIMIT),
        ):
            if count > limit:
                return fail(subject_of(record), f"more {what}, than there may be", f"{limit}")
        return None


def bad_arrays(records: Iterable[Record]) -> Iterator[Problem]:
    """Look at when the chunks of records arrived; numbers have the bounds of their types."""
    for record in records:
        if not record.chunks:
            continue
        arrivals = [arrival_s for arrival_s, _ in record.chunks]
        ordered = sorted(arrivals)
        if arrivals != ordered:
            observed = "a chunk that arrives before the one before it"
            yield fail(subject_of(record), observed, "chunks in order")
        if ordered[0] < 0 or ordered[-1] > record.wall_s + ROUNDING_S:
            span = f"chunks from {ordered[0]} to {ordered[-1]} s"
            yield fail(subject_of(record), span, f"within the response's {record.wall_s} s")


def incomplete(records: Iterable[Record]) -> Iterator[Problem]:
    """Tell what records without an error lack, or hold although they cannot.

    The responses of agents are streamed in every phase.
    """
    for record in records:
        streamed = record.phase is Phase.STREAM or record.agent is not None
        if (record.chunks is not None) != streamed:
            wanted = "chunks" if streamed else "no chunks"
            observed = "chunks" if record.chunks is not None else "no chunks"
            yield fail(subject_of(record), observed, wanted)
        if record.error is not None:
            continue
        if record.wall_s < SHORTEST_S:
            yield fail(subject_of(record), f"wall_s {record.wall_s}", f"{SHORTEST_S} s or more")
        usage = (record.prompt_tokens, record.completion_tokens, record.finish_reason, record.text)
        for name, value in zip(_USAGE, usage, strict=True) if None in usage else ():
            if value is None:
                yield fail(subject_of(record), f"no {name}", f"{name}, or the code of an error")
