"""An audit as lines for a terminal: contradictions in full, then the rest in one line each."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from kit.claims.audit.finding import AuditFinding, AuditOutcome, exit_code
from kit.errors import ExitCode
from kit.report.escape import printable

_ANSWERS = {
    ExitCode.DONE: "FOLLOWS",
    ExitCode.DIFFERS: "CONTRADICTED",
    ExitCode.NOTHING_TO_JUDGE: "CANNOT TELL",
}
_ORDER = (AuditOutcome.CONTRADICTED, AuditOutcome.CANNOT_TELL, AuditOutcome.HOLDS)


def lines(reference: str, findings: Sequence[AuditFinding]) -> Iterator[str]:
    """Yield the answer, then the findings by outcome."""
    counts = Counter(finding.outcome for finding in findings)
    totals = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in _ORDER)
    yield f"{_ANSWERS[exit_code(findings)]}  {reference}: {totals}"
    for finding in findings:
        if finding.outcome is AuditOutcome.CONTRADICTED:
            yield f"  {finding.outcome.value}  {finding.rule}  {printable(finding.subject)}"
            yield f"    said      {printable(finding.said)}"
            yield f"    found     {printable(finding.found)}"
            yield f"    evidence  {printable(finding.evidence)}"
    for finding in findings:
        if finding.outcome is AuditOutcome.CANNOT_TELL:
            subject, reason = printable(finding.subject), printable(finding.found)
            yield f"  {finding.outcome.value}  {finding.rule}  {subject}: {reason}"
    yield from _holding(findings)


def _holding(findings: Sequence[AuditFinding]) -> Iterator[str]:
    """Yield one line for each rule that holds, with its subjects."""
    subjects: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.outcome is AuditOutcome.HOLDS:
            subjects[finding.rule].append(printable(finding.subject))
    for rule, names in subjects.items():
        yield f"  {AuditOutcome.HOLDS.value}  {rule}  {', '.join(names)}"
