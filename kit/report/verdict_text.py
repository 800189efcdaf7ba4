"""A verdict as lines for a terminal: the answer first, then every finding that is not a pass."""

from collections.abc import Iterator

from kit.check.finding import Finding, Outcome, Verdict
from kit.claims.verdict import judged_bundle
from kit.report import verdict_words as words
from kit.report.escape import printable


def lines(verdict: Verdict) -> Iterator[str]:
    """Yield the verdict on one bundle."""
    bundle = judged_bundle(verdict)
    yield f"{words.answer(bundle)}  {printable(bundle.path)}  id {(bundle.id or '?')[:16]}"
    for finding in verdict.findings:
        if finding.outcome in (Outcome.FAIL, Outcome.WARN):
            yield from _in_full(finding)
    for finding in verdict.findings:
        if finding.outcome is Outcome.COULD_NOT_CHECK:
            yield f"  {finding.outcome.value}  {finding.code}: {printable(finding.observed)}"
    if (quotable := words.quotable(bundle)) is not None:
        yield f"  {quotable}"
    yield f"  {words.outcome_counts(verdict.findings)}"


def _in_full(finding: Finding) -> Iterator[str]:
    yield f"  {finding.outcome.value}  {finding.code}  {printable(finding.subject)}"
    yield f"    observed  {printable(finding.observed)}"
    yield f"    expected  {printable(finding.expected)}"
    yield f"    hint      {printable(finding.hint)}"
