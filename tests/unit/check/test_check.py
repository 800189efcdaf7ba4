"""A check's value becomes findings: needs, scope, and how many problems are shown."""

import re

from kit.check import duplicates, tiers
from kit.check.check import (
    SHOWN,
    TEXT_LIMIT,
    Check,
    Need,
    Problem,
    Seen,
    fail,
    run,
    unchecked,
    warn,
)
from kit.check.finding import Outcome, Tier
from kit.tools import checks_page
from tests.factory import ROOT

ALL = (*tiers.ALL, duplicates.COPY)


def a_check(*problems: Problem, needs: tuple[Need[int], ...] = ()) -> Check[int]:
    return Check(
        id="protocol-example", holds="it holds", hint="do", look=lambda _: problems, needs=needs
    )


def outcomes(check: Check[int], evidence: int = 0) -> list[Outcome]:
    return [finding.outcome for finding in run(check, evidence)]


def test_a_check_without_a_problem_passes() -> None:
    (finding,) = run(a_check(), 0)
    assert (finding.outcome, finding.expected, finding.hint) == (Outcome.PASS, "it holds", "")
    assert finding.tier is Tier.PROTOCOL


def test_a_check_that_does_not_apply_has_no_finding() -> None:
    check = Check(
        id="protocol-even", holds="", hint="", look=lambda _: (), applies=lambda n: n % 2 == 0
    )
    assert outcomes(check, 1) == []
    assert outcomes(check, 2) == [Outcome.PASS]


def test_without_its_evidence_a_check_is_not_asked() -> None:
    need: Need[int] = Need(subject="a log", missing=lambda n: None if n else "no log")
    check = a_check(fail("x", "observed", "expected"), needs=(need,))
    (finding,) = run(check, 0)
    assert finding.outcome is Outcome.COULD_NOT_CHECK
    assert (finding.subject, finding.observed, finding.expected) == ("a log", "no log", "it holds")
    assert outcomes(check, 1) == [Outcome.FAIL]


def test_problems_keep_their_outcomes_and_their_own_hint() -> None:
    check = a_check(fail("a", "b", "c", "own"), warn("a", "b", "c"), unchecked("a", "b", "c"))
    findings = run(check, 0)
    assert [finding.outcome for finding in findings] == [
        Outcome.FAIL,
        Outcome.WARN,
        Outcome.COULD_NOT_CHECK,
    ]
    assert [finding.hint for finding in findings] == ["own", "do", "do"]


def test_problems_beyond_the_shown_ones_are_counted_by_the_gravest() -> None:
    problems = [warn("a", "b", "c")] * SHOWN + [unchecked("a", "b", "c"), fail("a", "b", "c")]
    findings = run(a_check(*problems), 0)
    assert len(findings) == SHOWN + 1
    assert findings[-1].outcome is Outcome.FAIL
    assert findings[-1].observed == "and 2 more"


def test_texts_of_a_bundle_are_cut_short() -> None:
    (finding,) = run(a_check(fail("s" * 999, "o" * 999, "e" * 999)), 0)
    assert {len(finding.subject), len(finding.observed), len(finding.expected)} == {TEXT_LIMIT}


def test_ids_are_distinct_kebab_case_and_begin_with_their_tier() -> None:
    ids = [check.id for check in ALL]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", id_) for id_ in ids)
    assert {check.tier for check in ALL} == set(Tier)


def test_texts_fit_into_a_finding_and_a_table() -> None:
    for check in ALL:
        assert 0 < len(check.hint) <= TEXT_LIMIT
        assert 0 < len(check.holds) <= TEXT_LIMIT
        assert "|" not in check.holds + check.hint


def test_the_page_is_the_rendered_table() -> None:
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert page == checks_page.page(), "make pages"


def test_what_no_run_has_shown_is_on_the_page() -> None:
    section = checks_page.page().partition("## Evidence that was not seen yet")[2]
    unseen = [check.id for check in ALL if check.seen is Seen.SOURCE]
    assert unseen
    assert all(f"- `{id_}`" in section for id_ in unseen)
