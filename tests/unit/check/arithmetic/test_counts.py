"""Numbers against numbers: tolerances, and what an endpoint makes of the same difference."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.arithmetic import sums
from kit.check.finding import Outcome
from kit.parse import vllm_metrics
from kit.plan.plan import Dialect, ProtocolName
from tests.edits.metrics import add_to_metric, moments_since
from tests.factory import Draft, Settings, change_record, draft, judge, utc

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
SHARED = Settings(runtime=Runtime.ENDPOINT, is_shared=True)
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def _outcome(code: str, made: Draft) -> Outcome:
    """Return the outcome of a code's first finding."""
    found = judge(made.seal()).findings
    return next(finding.outcome for finding in found if finding.code == f"arithmetic-{code}")


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        ("completion-tokens", OPENAI, UNCHECKED),
        ("prompt-tokens", OPENAI, UNCHECKED),
        ("chunks", OPENAI, PASS),
        ("server-counter", OPENAI, UNCHECKED),
        ("counter-gap", OPENAI, UNCHECKED),
        ("time-witness", OPENAI, UNCHECKED),
        ("server-counter", ENDPOINT, PASS),
        ("counter-gap", ENDPOINT, PASS),
        ("time-witness", ENDPOINT, PASS),
        ("server-counter", SHARED, UNCHECKED),
        ("counter-gap", SHARED, UNCHECKED),
        ("time-witness", SHARED, UNCHECKED),
    ],
)
def test_what_cannot_be_checked_is_no_pass(
    code: str, settings: Settings, expected: Outcome
) -> None:
    assert _outcome(code, draft(settings)) is expected


def test_chunks_that_hold_other_counts_cannot_be_checked_without_token_ids() -> None:
    made = draft(OPENAI)
    change_record(made, -1, chunks=(made.records[-1].chunks or ())[:-1])
    assert _outcome("chunks", made) is UNCHECKED


def _slower(seconds: float) -> Callable[[Draft], None]:
    def change(made: Draft) -> None:
        """Spend this much more on the last request, after which nothing is sent."""
        change_record(made, -1, wall_s=made.records[-1].wall_s + seconds)
        clock = made.document.clock
        end_s = round(clock.end_s + max(0.0, seconds), 6)
        made.document = replace(
            made.document, clock=replace(clock, end_s=end_s, end_utc=utc(end_s))
        )

    return change


@pytest.mark.parametrize(
    ("seconds", "settings", "expected"),
    [
        (0.0, Settings(), PASS),
        (0.1, Settings(), PASS),
        (0.3, Settings(), WARN),
        (0.3, Settings(protocol=ProtocolName.ARTICLE), FAIL),
        (0.3, ENDPOINT, WARN),
        (-0.02, Settings(), FAIL),
        (-0.02, ENDPOINT, FAIL),
    ],
)
def test_the_time_witness_allows_for_the_way_and_for_nothing_else(
    seconds: float, settings: Settings, expected: Outcome
) -> None:
    made = draft(settings)
    if made.records[-1].chunks is not None:
        change_record(made, -1, chunks=((0.01, made.records[-1].completion_tokens or 0),))
    _slower(seconds)(made)
    assert _outcome("time-witness", made) is expected


def test_two_percent_of_a_real_request_is_outside_of_the_tolerance() -> None:
    """Four seconds are what a twin's request takes."""
    tolerance_s = sums.SHAVED.ratio * 4 + sums.SHAVED.per_request
    assert tolerance_s < 0.02 * 4 / 4


def test_as_many_requests_of_others_are_not_taken_for_ours() -> None:
    """One address may stand for several replicas: then one of ours is counted elsewhere."""
    made = draft(ENDPOINT)
    later = moments_since(made, "measured-2-after")
    add_to_metric(made, vllm_metrics.GENERATION_TOKENS, -3, later)
    add_to_metric(made, vllm_metrics.PROMPT_TOKENS, -40, later)
    add_to_metric(made, vllm_metrics.E2E_LATENCY_SUM, 4.0, later)
    found = judge(made.seal()).findings
    assert [one for one in found if one.outcome is FAIL] == []


def test_counters_that_others_moved_cannot_be_checked_but_ours_alone_can() -> None:
    def longer(made: Draft) -> Draft:
        for position, record in enumerate(made.records):
            ids = (record.token_ids or ()) * 2
            chunks = (
                None if record.chunks is None else (*record.chunks, (record.wall_s, len(ids) // 2))
            )
            change_record(made, position, token_ids=ids, completion_tokens=len(ids), chunks=chunks)
        return made

    shared = Settings(runtime=Runtime.ENDPOINT, is_shared=True)
    for settings, expected in ((ENDPOINT, {FAIL}), (shared, {WARN, UNCHECKED})):
        files = longer(draft(settings)).seal()
        found = [one for one in judge(files).findings if one.code == "arithmetic-server-counter"]
        assert {one.outcome for one in found} == expected


def test_a_request_of_others_may_still_run_when_ours_are_counted() -> None:
    made = draft(ENDPOINT)
    later = moments_since(made, "measured-1-after")
    add_to_metric(made, vllm_metrics.GENERATION_TOKENS, 57, later)
    found = [one for one in judge(made.seal()).findings if one.code == "arithmetic-server-counter"]
    assert {one.outcome for one in found} == {UNCHECKED}
