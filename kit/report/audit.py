"""An audit as lines for a terminal: what is contradicted, what cannot be told, and the rest."""

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
    """Yield the answer, what is contradicted in full, what cannot be told, and what holds."""
    counts = Counter(one.outcome for one in findings)
    told = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in _ORDER)
    yield f"{_ANSWERS[exit_code(findings)]}  {reference}: {told}"
    for one in findings:
        if one.outcome is AuditOutcome.CONTRADICTED:
            yield f"  {one.outcome.value}  {one.rule}  {printable(one.subject)}"
            yield f"    said      {printable(one.said)}"
            yield f"    found     {printable(one.found)}"
            yield f"    evidence  {printable(one.evidence)}"
    for one in findings:
        if one.outcome is AuditOutcome.CANNOT_TELL:
            subject, found = printable(one.subject), printable(one.found)
            yield f"  {one.outcome.value}  {one.rule}  {subject}: {found}"
    yield from _holding(findings)


def _holding(findings: Sequence[AuditFinding]) -> Iterator[str]:
    """Yield a line for each rule that holds, with what it holds of."""
    subjects: defaultdict[str, list[str]] = defaultdict(list)
    for one in findings:
        if one.outcome is AuditOutcome.HOLDS:
            subjects[one.rule].append(printable(one.subject))
    for rule, names in subjects.items():
        yield f"  {AuditOutcome.HOLDS.value}  {rule}  {', '.join(names)}"
