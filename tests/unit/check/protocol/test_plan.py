"""The plan and what came of it: what is unknown here, and what an endpoint may do."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.evidence import Catalog
from kit.check.finding import Finding, Outcome
from kit.check.verify import Known, verify
from kit.errors import ExitCode
from kit.plan.plan import CachePolicy, Dialect
from kit.plan.suite import Prompt
from tests.edits.document import set_plan
from tests.factory import KNOWN, Draft, Settings, change_plan, change_record, draft, judge

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def _outcome(code: str, made: Draft) -> Outcome:
    return _findings(code, made)[0].outcome


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        ("model-files", ENDPOINT, UNCHECKED),
        ("metrics-files", OPENAI, UNCHECKED),
        ("cache", OPENAI, UNCHECKED),
        ("prompt-token-ids", OPENAI, UNCHECKED),
        ("evidence", OPENAI, PASS),
        ("cache", Settings(tells_cached_tokens=False), FAIL),
        ("cache", Settings(runtime=Runtime.ENDPOINT, tells_cached_tokens=False), UNCHECKED),
        ("cache", Settings(cache=CachePolicy.COLD), PASS),
        ("passes", Settings(passes=2), WARN),
        ("first-pass", Settings(passes=2), UNCHECKED),
        ("spread", Settings(passes=1), UNCHECKED),
    ],
)
def test_outcomes_by_kind_of_run(code: str, settings: Settings, expected: Outcome) -> None:
    assert _outcome(code, draft(settings)) is expected


NOTHING = Known(
    validators=KNOWN.validators, catalog=Catalog(suites={}, models={}, engines={}, gpus={})
)


def test_an_endpoint_may_serve_what_is_not_known_here() -> None:
    verdict = verify("case", draft(ENDPOINT).seal(), (), NOTHING).verdict
    outcomes = {found.code: found.outcome for found in verdict.findings}
    assert outcomes["protocol-plan"] is WARN
    assert outcomes["protocol-model-files"] is UNCHECKED
    assert verdict.exit_code is ExitCode.DONE


def test_the_kits_own_engine_serves_only_what_is_shipped() -> None:
    verdict = verify("case", draft().seal(), (), NOTHING).verdict
    failed = [found.code for found in verdict.findings if found.outcome is Outcome.FAIL]
    assert failed == ["protocol-plan"]


def test_each_field_that_differs_is_named_with_both_values() -> None:
    made = draft()
    set_plan(made, "twin_of", None)
    set_plan(made, "sampling.max_tokens", 9)
    set_plan(made, "warmup_passes", 2)
    first, second, third = made.document.plan.prompts
    set_plan(made, "prompts", (first, Prompt(id=second.id, text="Say yes."), third))
    found = [(one.observed, one.expected) for one in _findings("plan", made)]
    assert found == [
        ("twin_of: none", "moe"),
        ("warmup_passes: 2", "1"),
        ("sampling.max_tokens: 9", "8"),
        ("prompts[1].text: Say yes.", second.text),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("warmup_passes", 0),
        ("sampling.temperature", 0.0),
        ("published_max_tokens", 8),
    ],
)
def test_an_endpoint_that_was_sent_another_suite_is_held_to_its_protocol(
    path: str, value: object
) -> None:
    made = draft(ENDPOINT)
    set_plan(made, path, value)
    verdict = verify("case", made.seal(), (), NOTHING).verdict
    found = {one.outcome for one in verdict.findings if one.code == "protocol-plan"}
    assert found == {WARN, FAIL}


def test_an_error_in_the_middle_of_a_partial_run_fails() -> None:
    made = draft(Settings(stop_after=3))
    change_record(made, 0, error=made.records[-1].error)
    assert _outcome("status", made) is FAIL


def test_an_interrupted_run_without_an_error_is_sound() -> None:
    made = draft(Settings(stop_after=5))
    made.records.pop()
    assert judge(made.seal()).exit_code is ExitCode.NOTHING_TO_JUDGE


def test_a_plan_of_an_unknown_suite_is_still_held_against_its_own_records() -> None:
    made = draft()
    change_plan(made, cell=replace(made.document.plan.cell, suite="mine"))
    made.records.pop()
    assert _outcome("requests", made) is FAIL
