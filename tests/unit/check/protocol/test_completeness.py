"""Whether all evidence is there."""

import pytest

from kit.bundle.document import Runtime
from kit.check.finding import Finding, Outcome
from kit.errors import ExitCode
from tests.factory import (
    Draft,
    Settings,
    change_record,
    draft,
    judge,
    outcomes_of,
)

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def outcomes(made: Draft, code: str) -> set[Outcome]:
    return outcomes_of(made, f"protocol-{code}")


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def _outcome(code: str, made: Draft) -> Outcome:
    return _findings(code, made)[0].outcome


def test_metrics_that_an_endpoint_lost_on_the_way_cannot_be_checked() -> None:
    made = draft(ENDPOINT)
    del made.metrics["measured-2-after"]
    assert _outcome("metrics-files", made) is UNCHECKED
    assert judge(made.seal()).exit_code is ExitCode.DONE


@pytest.mark.parametrize(("token_ids", "expected"), [((), {PASS}), (None, {FAIL})])
def test_no_tokens_are_not_the_same_as_no_token_ids(
    token_ids: tuple[int, ...] | None, expected: set[Outcome]
) -> None:
    """A server may answer with nothing throughout, and says so in an empty list."""
    made = draft(ENDPOINT)
    for place in range(len(made.records)):
        change_record(made, place, token_ids=token_ids, completion_tokens=0, text="")
    assert outcomes(made, "evidence") == expected
