"""Codes are stable, and `CHECKS.md` is what they render to."""

import re

from kit.bundle.document import Runtime
from kit.check.codes import Code
from kit.check.finding import Outcome, Tier
from kit.check.problem import SHOWN, TEXT_LIMIT, fail, findings, unchecked, warn
from kit.tools import checks_page
from tests.factory import ROOT, Settings, draft, judge


def test_codes_are_distinct_kebab_case_and_begin_with_their_tier() -> None:
    ids = [code.id for code in Code]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", id_) for id_ in ids)
    assert {code.tier for code in Code} == set(Tier)


def test_names_of_members_are_their_ids() -> None:
    assert all(code.name.lower().replace("_", "-") == code.id for code in Code)


def test_texts_fit_into_a_finding_and_a_table() -> None:
    for code in Code:
        assert 0 < len(code.hint) <= TEXT_LIMIT
        assert 0 < len(code.holds) <= TEXT_LIMIT
        assert "|" not in code.holds + code.hint


def test_the_page_is_the_rendered_table() -> None:
    page = (ROOT / "CHECKS.md").read_text(encoding="utf-8")
    assert page == checks_page.page(), "make pages"


def shown(settings: Settings) -> set[str]:
    return {finding.code for finding in judge(draft(settings).seal()).findings}


def test_a_good_bundle_shows_every_check_that_looked() -> None:
    in_containers = Settings(runtime=Runtime.DOCKER, topology="tp2-pcie", model="moe")
    assert shown(in_containers) == {code.id for code in Code} - {"integrity-copy"}


def test_a_good_bundle_of_the_cpu_lacks_only_what_is_asked_of_gpus() -> None:
    assert {code.id for code in Code} - shown(Settings()) == {
        "integrity-copy",
        "topology-nccl-environment",
        "topology-kernels",
        "topology-nvlink",
        "topology-telemetry",
        "topology-slowdown",
        "topology-limits",
        "topology-pcie",
        "topology-processes",
        "topology-containers",
        "physics-roofline",
        "physics-prefill",
        "physics-stream",
        "physics-power",
        "physics-memory-clock",
        "protocol-base-image",
    }


def test_nothing_wrong_is_one_pass() -> None:
    (finding,) = findings(Code.SCHEMA_JSON, [])
    assert finding.outcome is Outcome.PASS
    assert finding.subject == "bundle"


def test_many_problems_are_cut_and_counted_with_the_gravest_outcome() -> None:
    problems = [unchecked("a", "b", "c")] * SHOWN + [warn("a", "b", "c"), fail("a", "b", "c")]
    found = list(findings(Code.SCHEMA_JSON, problems))
    assert len(found) == SHOWN + 1
    assert found[-1].observed == "and 2 more"
    assert found[-1].outcome is Outcome.FAIL


def test_hostile_text_is_cut() -> None:
    (finding,) = findings(Code.SCHEMA_JSON, [fail("s" * 999, "o" * 999, "e" * 999, "h" * 999)])
    texts = (finding.subject, finding.observed, finding.expected, finding.hint)
    assert all(len(text) == TEXT_LIMIT for text in texts)


def test_an_own_hint_replaces_the_codes() -> None:
    (finding,) = findings(Code.SCHEMA_JSON, [fail("a", "b", "c", "do that")])
    assert finding.hint == "do that"
