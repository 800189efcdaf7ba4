"""When chunks came, beside the server's own sums: what a busy host may do to them."""

import random
from collections.abc import Callable

import pytest

from kit.bundle.record import Chunk
from kit.check.finding import Outcome
from kit.plan.schedule import Phase
from tests import six_cells
from tests.factory import Draft, change_record, outcomes_of
from tests.six_cells import Shape

PASS, FAIL = Outcome.PASS, Outcome.FAIL


def arriving(change: Callable[[list[Chunk]], list[Chunk]]) -> Draft:
    """Return a long run whose streamed chunks came otherwise."""
    made = six_cells.cell_draft(Shape(cell="dense@tp1"))
    for position, record in enumerate(made.records):
        if record.phase is Phase.STREAM:
            change_record(made, position, chunks=tuple(change(list(record.chunks or ()))))
    return made


def outcomes(made: Draft) -> set[Outcome]:
    return outcomes_of(made, "arithmetic-stream-witness")


def in_pairs(chunks: list[Chunk]) -> list[Chunk]:
    """As a front end sends them that was held up: two tokens with the later one's chunk."""
    pairs = zip(chunks[::2], chunks[1::2], strict=False)
    return [(later_s, 2) for _, (later_s, _) in pairs] + chunks[len(chunks) // 2 * 2 :]


def first_two_together(chunks: list[Chunk]) -> list[Chunk]:
    return [(chunks[1][0], 2), *chunks[2:]]


def with_a_role_first(chunks: list[Chunk]) -> list[Chunk]:
    return [(chunks[0][0] / 2, 0), *chunks]


def now_and_then_late(chunks: list[Chunk]) -> list[Chunk]:
    """One in twenty comes as late as the next one."""
    return [
        (chunks[place + 1][0] if place % 20 == 10 and place + 1 < len(chunks) else at_s, tokens)
        for place, (at_s, tokens) in enumerate(chunks)
    ]


def jittery(chunks: list[Chunk]) -> list[Chunk]:
    noise = random.Random(1)
    late = [(round(at_s + noise.uniform(0, 0.003), 6), tokens) for at_s, tokens in chunks[:-1]]
    return [*sorted(late), chunks[-1]]


@pytest.mark.parametrize(
    "change", [list, in_pairs, first_two_together, with_a_role_first, now_and_then_late, jittery]
)
def test_chunks_may_come_as_a_busy_host_sends_them(
    change: Callable[[list[Chunk]], list[Chunk]],
) -> None:
    assert outcomes(arriving(change)) == {PASS}
