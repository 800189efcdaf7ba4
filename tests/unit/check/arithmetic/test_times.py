"""Client times beside the server's own sums: what is allowed for, and what is not."""

import random
from collections.abc import Callable

import pytest

from kit.bundle.document import Runtime
from kit.bundle.record import Chunk
from kit.check.finding import Outcome
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase
from tests import six_cells
from tests.edits.document import step_utc_clock
from tests.edits.metrics import add_to_metric, drop_metric, each_exposition, moments_since
from tests.edits.speed import faster_client
from tests.factory import (
    Draft,
    Settings,
    change_record,
    draft,
    judge,
    outcomes_of,
)
from tests.six_cells import Shape

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
PASS, WARN, FAIL, UNCHECKED = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.COULD_NOT_CHECK


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


def _outcome(made: Draft, check: str = "time-witness") -> Outcome:
    found = judge(made.seal()).findings
    outcomes = [one.outcome for one in found if one.code == f"arithmetic-{check}"]
    return FAIL if FAIL in outcomes else outcomes[0]


@pytest.mark.parametrize(("factor", "expected"), [(1.0, PASS), (1.004, PASS), (1.02, FAIL)])
def test_requests_of_a_gpu_may_not_be_stretched_by_two_percent(
    factor: float, expected: Outcome
) -> None:
    made = six_cells.cell_draft(Shape(cell="dense@tp1", seed=1))
    faster_client(made, 1 / factor)
    assert _outcome(made) is expected


@pytest.mark.parametrize("step_s", [-900.0, -0.4, 0.0, 0.5, 900.0])
def test_a_clock_that_is_set_in_mid_run_accuses_nobody(step_s: float) -> None:
    """The server's UTC sums move with it; the monotonic ones witness."""
    made = draft()
    step_utc_clock(made, step_s)
    later = moments_since(made, "measured-1-after")
    add_to_metric(made, vllm_metrics.E2E_LATENCY_SUM, step_s, later)
    assert _outcome(made) in (PASS, WARN)
    assert FAIL not in {one.outcome for one in judge(made.seal()).findings}


@pytest.mark.parametrize(
    ("stepped", "expected"),
    [(["measured-2"], WARN), (["warmup-0"], WARN), (["measured-1", "measured-2"], WARN)],
)
def test_the_clock_of_a_server_elsewhere_may_be_set(stepped: list[str], expected: Outcome) -> None:
    """Its sums by the UTC clock then jump, and those by the monotonic clock do not."""
    made = draft(Settings(runtime=Runtime.ENDPOINT, passes=3))
    for moved in stepped:
        later = moments_since(made, f"{moved}-after")
        add_to_metric(made, vllm_metrics.E2E_LATENCY_SUM, 900.0, later)
    assert _outcome(made) is expected


def test_a_clock_set_elsewhere_needs_a_witness() -> None:
    made = draft(ENDPOINT)
    later = moments_since(made, "warmup-0-after")
    add_to_metric(made, vllm_metrics.E2E_LATENCY_SUM, 900.0, later)
    assert _outcome(made) is WARN
    each_exposition(made, lambda text: text.replace(b"http_request", b"other_request"))
    assert _outcome(made) is FAIL


def test_a_request_may_be_counted_late_by_the_web_server() -> None:
    made = draft()
    earlier = made.metrics["measured-1-before"]
    counted = _value(earlier, vllm_metrics.HTTP_COUNT) + len(made.document.plan.prompts) - 1
    after = made.metrics["measured-1-after"]
    missing = counted - _value(after, vllm_metrics.HTTP_COUNT)
    add_to_metric(made, vllm_metrics.HTTP_COUNT, missing, ["measured-1-after"])
    for name in (vllm_metrics.HTTP_SUM, vllm_metrics.HTTP_BY_HANDLER_SUM):
        add_to_metric(made, name, -0.01, ["measured-1-after"])
    assert _outcome(made) is PASS
    step_utc_clock(made, 900)
    assert _outcome(made) is UNCHECKED, "no clock is left to witness the first pass"


def test_an_endpoint_that_does_not_sum_over_http_has_its_latencies_as_witness() -> None:
    made = draft(ENDPOINT)
    drop_metric(made, "http_")
    assert _outcome(made) is PASS


def test_a_front_end_held_up_at_a_first_token_makes_nobody_wait_longer() -> None:
    """It is told the engine's token late, and is at once told of those that came meanwhile."""
    made = draft()
    later = moments_since(made, "warmup-0-after")
    add_to_metric(made, vllm_metrics.FIRST_TOKEN_SUM, 0.05, later)
    assert _outcome(made) is PASS


def _value(text: bytes, sample: str) -> float:
    return vllm_metrics.totals(text, [sample])[sample]


def test_a_clock_that_was_set_is_no_witness() -> None:
    made = draft()
    later = moments_since(made, "measured-2-after")
    add_to_metric(made, vllm_metrics.E2E_LATENCY_SUM, 5.0, later)
    step_utc_clock(made, 5.0)
    found = {one.code: one.outcome for one in judge(made.seal()).findings}
    assert found["arithmetic-clock"] is WARN
    assert found["arithmetic-time-witness"] is PASS


@pytest.mark.parametrize(
    "change", [list, in_pairs, first_two_together, with_a_role_first, now_and_then_late, jittery]
)
def test_chunks_may_come_as_a_busy_host_sends_them(
    change: Callable[[list[Chunk]], list[Chunk]],
) -> None:
    assert outcomes(arriving(change)) == {PASS}
