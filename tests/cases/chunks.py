"""Cases that tamper with the chunks of streamed responses: arrival times and tokens."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.plan.schedule import Phase
from tests.cases.case import edit, forged, group
from tests.cases.runs import COLD_NVLINK, DENSE_TP1, ENDPOINT, NVLINK, OPENAI, TP1
from tests.edits.document import step_utc_clock
from tests.edits.records import Chunks, each_record, each_stream, edit_record
from tests.factory import Draft, change_record


def scaled(chunks: Chunks, first: float, rest: float) -> Chunks:
    """Scale the time to the first chunk, and the times between chunks."""
    begun_s = chunks[0][0]
    return tuple((first * begun_s + rest * (at_s - begun_s), tokens) for at_s, tokens in chunks)


def held_back(chunks: Chunks) -> Chunks:
    """Let all chunks arrive in the last tenth of the response."""
    last_s = chunks[-1][0]
    return tuple((max(at_s, last_s * 0.9), 1) for at_s, _ in chunks)


def evenly_spaced(chunks: Chunks) -> Chunks:
    """Let chunks arrive with one gap between all of them."""
    gap_s = chunks[-1][0] / len(chunks)
    return tuple((gap_s * number, tokens) for number, (_, tokens) in enumerate(chunks, start=1))


def first_at(chunks: Chunks, at_s: float) -> Chunks:
    """Let the first chunk arrive at another time."""
    (_, tokens), *later = chunks
    return ((at_s, tokens), *later)


def all_at_once(draft: Draft) -> None:
    """Let 21 tokens arrive in 0.2 ms at the end of each streamed response."""

    def at_the_end(record: Record) -> Record:
        chunks = tuple((round(record.wall_s - 1e-5 * (21 - n), 6), 1) for n in range(21))
        return replace(record, chunks=chunks, completion_tokens=21)

    each_record(draft, at_the_end, phase=Phase.STREAM)


def set_last_chunks(draft: Draft, choose: Callable[[Chunks], Sequence[tuple[float, int]]]) -> None:
    """Replace the chunks of the last response by others made from them."""
    chunks = tuple(choose(draft.records[-1].chunks or ()))
    change_record(draft, -1, chunks=chunks)


def overflow_chunks(record: Record) -> Record:
    """Return a record whose chunks add up to more digits than Python converts."""
    tokens = int("9" * 4300)
    return replace(record, chunks=((record.wall_s / 2, tokens), (record.wall_s, tokens)))


CHUNKS = group(
    "Chunks of streamed responses",
    forged("Time to first token is divided by 10", "arithmetic-stream-witness",
           edit(each_stream, lambda chunks: scaled(chunks, 0.1, 1.0))),
    forged("Time to first token is divided by 20, and the UTC clock was slewed by 1.9 s",
           "arithmetic-stream-witness",
           edit(step_utc_clock, 1.9), edit(each_stream, lambda chunks: scaled(chunks, 0.05, 1.0))),
    forged("All tokens arrive in the last tenth of the response", "arithmetic-stream-witness",
           edit(each_stream, held_back)),
    forged("Inter-token latency is divided by 10", "arithmetic-stream-witness",
           edit(each_stream, lambda chunks: scaled(chunks, 1.0, 0.1))),
    forged("Inter-token latency is a quarter less: last tokens arrive before they are generated",
           "arithmetic-stream-witness",
           edit(each_stream, lambda chunks: scaled(chunks, 1.0, 0.75))),
    forged("Arrival times are in tenths of a millisecond", "arithmetic-resolution",
           edit(each_stream, lambda chunks: [(round(at_s, 4), n) for at_s, n in chunks]),
           runs=(ENDPOINT,)),
    forged("Chunks arrive at equal intervals", "arithmetic-stream-witness",
           edit(each_stream, evenly_spaced), runs=(NVLINK,)),
    forged("The first token arrives after 2 ms, before a GPU can have read the prompt",
           "physics-prefill",
           edit(each_stream, lambda chunks: first_at(chunks, 0.002)), runs=(COLD_NVLINK,)),
    forged("Inter-token latency is divided by 5, to less than the GPU's memory bandwidth allows",
           "physics-stream",
           edit(each_stream, lambda chunks: scaled(chunks, 1.0, 0.2)), runs=(DENSE_TP1,)),
    forged("All tokens arrive within 0.2 ms at the end of the response", "physics-stream",
           all_at_once, runs=(TP1,)),
    forged("The last chunk of one response is removed", "arithmetic-chunks",
           edit(set_last_chunks, lambda chunks: chunks[:-1])),
    forged("One response has a chunk of a million tokens", "arithmetic-chunks",
           edit(set_last_chunks, lambda _: ((0.0001, 1), (0.0002, 999_999))), runs=(OPENAI,)),
    forged("One response has chunks of 4,300-digit token counts", "schema-arrays",
           edit(edit_record, -1, overflow_chunks)),
    forged("The chunks of one response arrive in reverse order", "schema-arrays",
           edit(set_last_chunks, lambda chunks: chunks[::-1])),
    forged("The last chunk arrives after the response ended", "schema-arrays",
           edit(set_last_chunks, lambda chunks: (*chunks[:-1], (99.0, 1)))),
    forged("A response that is not streamed has chunks", "schema-answer",
           edit(change_record, 4, chunks=((0.1, 8),))),
)  # fmt: skip
