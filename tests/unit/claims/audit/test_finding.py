"""Rules keep their ids, and the page of `results/` lists them all."""

import re

from kit.claims.audit import finding
from kit.claims.audit.finding import AuditOutcome, Rule, exit_code, outcome_of
from kit.errors import ExitCode
from tests.factory import ROOT


def of(*outcomes: AuditOutcome) -> ExitCode:
    return exit_code(
        [
            finding.finding(Rule.CLAIM, one, "a", said="b", found="c", evidence="d")
            for one in outcomes
        ]
    )


def test_ids_are_distinct_kebab_case_and_fit_a_table() -> None:
    ids = [rule.id for rule in Rule]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"audit(-[a-z]+)+", id_) for id_ in ids)
    assert all("|" not in rule.holds for rule in Rule)


def test_the_page_of_results_lists_every_rule() -> None:
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert page.endswith(finding.page())


def test_one_contradiction_is_enough_and_nothing_to_tell_is_7() -> None:
    yes, no, neither = outcome_of(True), outcome_of(False), outcome_of(None)
    assert of(yes, no, neither) is ExitCode.DIFFERS
    assert of(yes, neither) is ExitCode.DONE
    assert of(neither) is of() is ExitCode.NOTHING_TO_JUDGE


def test_long_texts_are_cut() -> None:
    a, b, c, d = (letter * 2000 for letter in "abcd")
    one = finding.finding(Rule.CLAIM, outcome_of(True), a, said=b, found=c, evidence=d)
    assert {len(text) for text in (one.subject, one.said, one.found, one.evidence)} == {1000}
