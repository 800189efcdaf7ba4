"""Client times beside the server's own sums: what is allowed for, and what is not."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.finding import Outcome
from kit.parse import vllm_metrics
from tests import six_cells
from tests.factory import Draft, Settings, change_record, draft, judge, utc
from tests.six_cells import Shape

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
PASS, WARN, FAIL, UNCHECKED = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.COULD_NOT_CHECK


def _outcome(made: Draft, check: str = "time-witness") -> Outcome:
    found = judge(made.seal()).findings
    outcomes = [one.outcome for one in found if one.code == f"arithmetic-{check}"]
    return FAIL if FAIL in outcomes else outcomes[0]


def _set_clock(made: Draft, step_s: float) -> None:
    clock = made.document.clock
    changed = replace(clock, end_utc=utc(clock.end_s + step_s))
    made.document = replace(made.document, clock=changed)


def _slower(made: Draft, factor: float) -> None:
    """Stretch every time of the client."""
    for position, record in enumerate(made.records):
        chunks = tuple((round(at_s * factor, 6), tokens) for at_s, tokens in record.chunks or ())
        change_record(
            made,
            position,
            sent_s=round(record.sent_s * factor, 6),
            wall_s=round(record.wall_s * factor, 6),
            chunks=chunks or None,
        )
    end_s = round(made.document.clock.end_s * factor, 6)
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, PASS), (1.004, PASS), (1.02, FAIL)])
def test_requests_of_a_gpu_may_not_be_stretched_by_two_percent(
    factor: float, expected: Outcome
) -> None:
    made = six_cells.cell_draft(Shape(cell="dense@tp1", seed=1))
    _slower(made, factor)
    assert _outcome(made) is expected


@pytest.mark.parametrize("step_s", [-900.0, -0.4, 0.0, 0.5, 900.0])
def test_a_clock_that_is_set_in_mid_run_accuses_nobody(step_s: float) -> None:
    """The server's UTC sums move with it; the monotonic ones witness."""
    made = draft()
    _set_clock(made, step_s)
    for name, text in made.metrics.items():
        if name not in ("warmup-0-before", "warmup-0-after", "measured-1-before"):
            made.metrics[name] = _moved(text, vllm_metrics.E2E_LATENCY_SUM, step_s)
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
        is_later = False
        for name, text in made.metrics.items():
            is_later |= name == f"{moved}-after"
            if is_later:
                made.metrics[name] = _moved(text, vllm_metrics.E2E_LATENCY_SUM, 900.0)
    assert _outcome(made) is expected


def test_a_clock_set_elsewhere_needs_a_witness() -> None:
    made = draft(ENDPOINT)
    for name, text in made.metrics.items():
        if name != "warmup-0-before":
            made.metrics[name] = _moved(text, vllm_metrics.E2E_LATENCY_SUM, 900.0)
    assert _outcome(made) is WARN
    for name, text in made.metrics.items():
        made.metrics[name] = text.replace(b"http_request", b"other_request")
    assert _outcome(made) is FAIL


def test_a_request_may_be_counted_late_by_the_web_server() -> None:
    made = draft()
    earlier = made.metrics["measured-1-before"]
    counted = _value(earlier, vllm_metrics.HTTP_COUNT) + len(made.document.plan.prompts) - 1
    after = made.metrics["measured-1-after"]
    missing = counted - _value(after, vllm_metrics.HTTP_COUNT)
    after = _moved(after, vllm_metrics.HTTP_COUNT, missing)
    for name in (vllm_metrics.HTTP_SUM, vllm_metrics.HTTP_BY_HANDLER_SUM):
        after = _moved(after, name, -0.01)
    made.metrics["measured-1-after"] = after
    assert _outcome(made) is PASS
    _set_clock(made, 900)
    assert _outcome(made) is UNCHECKED, "no clock is left to witness the first pass"


def test_an_endpoint_that_does_not_sum_over_http_has_its_latencies_as_witness() -> None:
    made = draft(ENDPOINT)
    for name, text in made.metrics.items():
        lines = text.decode().splitlines(keepends=True)
        made.metrics[name] = "".join(x for x in lines if not x.startswith("http_")).encode()
    assert _outcome(made) is PASS


def test_a_front_end_held_up_at_a_first_token_makes_nobody_wait_longer() -> None:
    """It is told the engine's token late, and is at once told of those that came meanwhile."""
    made = draft()
    for name, text in made.metrics.items():
        if name != "warmup-0-before":
            made.metrics[name] = _moved(text, vllm_metrics.FIRST_TOKEN_SUM, 0.05)
    assert _outcome(made) is PASS


def _value(text: bytes, sample: str) -> float:
    return vllm_metrics.totals(text, [sample])[sample]


def _moved(text: bytes, sample: str, by: float) -> bytes:
    lines = []
    for line in text.decode().splitlines():
        name, _, value = line.rpartition(" ")
        is_sample = name.partition("{")[0] == sample
        lines.append(f"{name} {float(value) + by}" if is_sample else line)
    return ("\n".join(lines) + "\n").encode()
