"""What the engine did: what it had done before, what it took from its cache, what it was sent.

The ways to tamper with it are in `tests/cases/`.
"""

import pytest

from kit.bundle.document import Runtime
from kit.bundle.record import FinishReason
from kit.check.finding import Finding, Outcome
from kit.errors import ExitCode
from kit.plan.plan import Dialect
from tests.factory import (
    Draft,
    Settings,
    change_record,
    draft,
    judge,
    outcomes_of,
)

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
ON_GPU = Settings(topology="tp1", model="moe")
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def _outcome(code: str, made: Draft) -> Outcome:
    return _findings(code, made)[0].outcome


def outcomes(made: Draft, code: str) -> set[Outcome]:
    return outcomes_of(made, f"protocol-{code}")


@pytest.mark.parametrize(
    ("settings", "expected"), [(ENDPOINT, WARN), (Settings(), FAIL), (ON_GPU, FAIL)]
)
def test_a_template_may_name_the_date_and_a_run_go_over_midnight(
    settings: Settings, expected: Outcome
) -> None:
    """Of a server of somebody else's; the kit's models have templates without a date."""
    made = draft(settings)
    for position in range(len(made.records) // 2, len(made.records)):
        ids = made.records[position].prompt_token_ids or ()
        change_record(made, position, prompt_token_ids=(*ids[:-1], 999))
    assert outcomes(made, "prompt-token-ids") == {expected}
    assert (judge(made.seal()).exit_code is ExitCode.DONE) is (expected is WARN)


def test_an_endpoint_with_a_short_context_is_a_warning() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5)
    assert _outcome("output-length", made) is WARN


def test_a_response_that_stops_by_itself_is_no_fault() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5, finish_reason=FinishReason.STOP)
    assert _outcome("output-length", made) is PASS


def test_an_unusual_end_is_a_warning() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5, finish_reason=FinishReason.OTHER)
    assert _outcome("output-length", made) is WARN


@pytest.mark.parametrize(
    ("settings", "copied", "expected"),
    [
        (Settings(), (), {Outcome.PASS}),
        (Settings(), (3,), {Outcome.WARN}),
        (Settings(), (3, 5), {Outcome.FAIL}),
        (Settings(runtime=Runtime.ENDPOINT), (3, 4, 5), {Outcome.WARN}),
    ],
)
def test_a_response_may_come_out_again_and_a_pass_may_not(
    settings: Settings, copied: tuple[int, ...], expected: set[Outcome]
) -> None:
    """An endpoint may ignore temperature and seed; our own engine may not."""
    made = draft(settings)
    for position in copied:
        source = made.records[position]
        change_record(made, position + 3, token_ids=source.token_ids, text=source.text)
    found = [one for one in judge(made.seal()).findings if one.code == "protocol-copies"]
    assert {one.outcome for one in found} == expected
