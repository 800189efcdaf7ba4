"""Claims that were judged, as lines for a terminal: the answer first."""

from collections import defaultdict
from collections.abc import Iterator

from kit.claims.verdict import ClaimOutcome, JudgedSet, Judgement
from kit.report import verdict_words as words
from kit.report.escape import printable


def lines(judged: JudgedSet) -> Iterator[str]:
    """Yield a set's judgements: what was not reproduced, what is open, what was, what cannot be."""
    yield f"{words.claim_answer(judged)}  {judged.reference}: {words.claim_counts(judged)}"
    yield from (f"  {printable(line)}" for line in words.about(judged))
    for outcome in (ClaimOutcome.NOT_REPRODUCED, ClaimOutcome.INCONCLUSIVE):
        for one in judged.claims:
            if one.outcome is outcome:
                yield from _in_full(one)
    for one in judged.claims:
        if one.outcome is ClaimOutcome.REPRODUCED:
            figures = f"{words.measured(one)}; published {words.published(one)}"
            yield f"  reproduced  {one.claim}: {figures}"
    yield from _not_testable(judged)
    for excluded in judged.excluded:
        yield f"  left out  {printable(excluded.bundle)}: {printable(excluded.reason)}"


def _in_full(one: Judgement) -> Iterator[str]:
    yield f"  {one.outcome.value}  {one.claim}  ({one.where})"
    yield f"    claim     {one.statement}"
    yield f"    measured  {words.measured(one)}"
    yield f"    accepted  {words.accepted(one)}; published {words.published(one)}"
    if one.advice:
        yield f"    decided by  {one.advice}"


def _not_testable(judged: JudgedSet) -> Iterator[str]:
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for one in judged.claims:
        if one.outcome is ClaimOutcome.NOT_TESTABLE:
            reasons[one.reason].append(one.claim)
    for reason, claims in reasons.items():
        yield f"  not-testable  {printable(reason)}"
        yield f"    {', '.join(claims)}"
