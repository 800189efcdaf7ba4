"""A verdict as lines for a terminal: the answer first, then what did not pass."""

from collections.abc import Iterator

from kit.check.finding import Finding, Outcome, Verdict
from kit.claims.verdict import ClaimOutcome, JudgedSet, Judgement, judged_bundle
from kit.report import verdict_wording as wording
from kit.report.escape import printable


def lines(verdict: Verdict) -> Iterator[str]:
    """Yield the verdict on one bundle."""
    bundle = judged_bundle(verdict)
    yield f"{wording.answer(bundle)}  {printable(bundle.path)}  id {(bundle.id or '?')[:16]}"
    for finding in verdict.findings:
        if finding.outcome in (Outcome.FAIL, Outcome.WARN):
            yield from _finding(finding)
    for finding in verdict.findings:
        if finding.outcome is Outcome.COULD_NOT_CHECK:
            yield f"  {finding.outcome.value}  {finding.code}: {printable(finding.observed)}"
    if (quotable := wording.quotable(bundle)) is not None:
        yield f"  {quotable}"
    yield f"  {wording.outcome_counts(verdict.findings)}"


def claim_lines(judged: JudgedSet) -> Iterator[str]:
    """Yield the judgements on a reference's claims; what could not be tested comes last."""
    yield f"{wording.claim_answer(judged)}  {judged.reference}: {wording.claim_counts(judged)}"
    yield from (f"  {printable(line)}" for line in wording.about(judged))
    for claim in wording.decided(judged):
        yield from _claim(claim)
    for reason, claims in wording.not_testable(judged).items():
        yield f"  not-testable  {printable(reason)}"
        yield f"    {', '.join(claim.claim for claim in claims)}"
    for excluded in judged.excluded:
        yield f"  left out  {printable(excluded.bundle)}: {printable(excluded.reason)}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {finding.outcome.value}  {finding.code}  {printable(finding.subject)}"
    yield f"    observed  {printable(finding.observed)}"
    yield f"    expected  {printable(finding.expected)}"
    yield f"    hint      {printable(finding.hint)}"


def _claim(claim: Judgement) -> Iterator[str]:
    """Yield one line for a claim that was reproduced, else everything that decided it."""
    if claim.outcome is ClaimOutcome.REPRODUCED:
        figures = f"{wording.measured(claim)}; published {wording.published(claim)}"
        yield f"  {claim.outcome.value}  {claim.claim}: {figures}"
        return
    yield f"  {claim.outcome.value}  {claim.claim}  ({claim.where})"
    yield f"    claim     {claim.statement}"
    yield f"    measured  {wording.measured(claim)}"
    yield f"    accepted  {wording.accepted(claim)}; published {wording.published(claim)}"
    if claim.advice:
        yield f"    decided by  {claim.advice}"
