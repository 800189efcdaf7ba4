"""The ids of rules, the page of `results/` that lists them, and the exit code of an audit."""

import re

from kit.claims.audit.finding import Rule, exit_code
from kit.errors import ExitCode
from kit.tools import checks_page
from tests.factory import ROOT


def code_of(*holds: bool | None) -> ExitCode:
    return exit_code(
        [Rule.CLAIM.finding(value, "a", said="b", found="c", evidence="d") for value in holds]
    )


def test_ids_are_distinct_kebab_case_and_fit_a_table() -> None:
    ids = [rule.id for rule in Rule]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"audit(-[a-z]+)+", id_) for id_ in ids)
    assert all("|" not in rule.statement for rule in Rule)


def test_the_page_of_results_lists_every_rule() -> None:
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert page.endswith(checks_page.audit_rules())


def test_one_contradiction_is_enough_for_1_and_no_outcome_is_7() -> None:
    assert code_of(True, False, None) is ExitCode.DIFFERS
    assert code_of(True, None) is ExitCode.DONE
    assert code_of(None) is code_of() is ExitCode.NOTHING_TO_JUDGE


def test_long_texts_are_cut() -> None:
    a, b, c, d = (letter * 2000 for letter in "abcd")
    long = Rule.CLAIM.finding(True, a, said=b, found=c, evidence=d)
    assert {len(text) for text in (long.subject, long.said, long.found, long.evidence)} == {1000}
