"""Every kind of tampering is named by its codes, and every code that can fail has a case."""

import pytest

from kit.check import tiers
from kit.check.finding import Outcome
from kit.errors import ExitCode
from tests.cases.case import Case
from tests.cases.runs import Run
from tests.cases.tampering import CASES, page
from tests.catalog import ROOT
from tests.factory import judge

WITHOUT_A_CASE = {
    # The reader of folders and archives fails with these: see `tests/unit/edge/`.
    "integrity-bag",
    "integrity-entry",
    "integrity-copy",
    "integrity-archive",
    "integrity-size",
    "integrity-count",
    "integrity-depth",
    # They stand for a tier that could not be checked.
    "arithmetic-tier",
    "topology-tier",
    "physics-tier",
    "protocol-tier",
    # It compares several bundles: see `tests/unit/check/test_agreement.py`.
    "protocol-same-files",
    # They only warn.
    "physics-memory-clock",
    "protocol-failed-requests",
    "protocol-client-error",
    "protocol-duration",
    "protocol-published-level",
    "topology-limits",
    "topology-pcie",
    "protocol-fresh-engine",
    "protocol-passes",
    "protocol-first-pass",
    "protocol-spread",
    "protocol-host-load",
    "protocol-governor",
    # No file of a bundle has its evidence yet.
    "topology-processes",
}


@pytest.mark.parametrize(
    ("case", "run"),
    [
        pytest.param(case, run, id=f"{case.what} ({run.name})")
        for case in CASES
        for run in case.runs
    ],
)
def test_tampering_fails_with_its_codes(case: Case, run: Run) -> None:
    verdict = judge(case.files(run))
    named = {finding.code for finding in verdict.findings if finding.outcome is case.outcome}
    assert named >= set(case.codes)
    if case.outcome is Outcome.FAIL:
        assert verdict.exit_code is ExitCode.BUNDLE_INVALID
    else:
        assert verdict.is_reportable


def test_the_page_lists_every_kind_of_tampering() -> None:
    shown = (ROOT / "tests" / "cases" / "README.md").read_text(encoding="utf-8")
    assert shown == page(), "run `make pages`"


def test_every_case_is_described_in_its_own_words() -> None:
    assert len({case.what for case in CASES}) == len(CASES)


def test_every_code_that_can_fail_has_a_case() -> None:
    failing = (case for case in CASES if case.outcome is Outcome.FAIL)
    codes = {code for case in failing for code in case.codes}
    assert codes == {check.id for check in tiers.ALL} - WITHOUT_A_CASE
