"""The sentences about a verdict that all formats share."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from kit.check.finding import Finding, Outcome, Tier
from kit.claims.verdict import (
    ClaimOutcome,
    JudgedBundle,
    JudgedSet,
    Judgement,
    Measured,
    VerdictDocument,
    exit_code,
)
from kit.errors import ExitCode

AnyFinding = TypeVar("AnyFinding", bound=Finding)

ANSWERS = {
    ExitCode.DONE: "VALID",
    ExitCode.NOTHING_TO_JUDGE: "PARTIAL",
    ExitCode.BUNDLE_INVALID: "INVALID",
}
CLAIM_ANSWERS = {
    ExitCode.DONE: "REPRODUCED",
    ExitCode.DIFFERS: "DIFFERS",
    ExitCode.NOTHING_TO_JUDGE: "NOT JUDGED",
}
REPORTABLE = "reportable: the evidence identifies engine, model, transport and hardware"

_WORST_FIRST = (ClaimOutcome.NOT_REPRODUCED, ClaimOutcome.INCONCLUSIVE, ClaimOutcome.REPRODUCED)


def answer(bundle: JudgedBundle) -> str:
    """Return the verdict on a bundle in one word."""
    code = ExitCode(bundle.exit_code)
    if bundle.rehearsal and code is ExitCode.NOTHING_TO_JUDGE:
        return "REHEARSAL"
    return ANSWERS[code]


def quotable(bundle: JudgedBundle) -> str | None:
    """Return whether a bundle's figures may be quoted; None if the bundle is not valid."""
    if bundle.reportable:
        return REPORTABLE
    if ExitCode(bundle.exit_code) is not ExitCode.DONE:
        return None
    return f"not reportable: not verified by {', '.join(bundle.not_shown)}"


def claim_answer(judged: JudgedSet) -> str:
    """Return the verdict on a reference's claims."""
    return CLAIM_ANSWERS[exit_code([judged])]


def headline(document: VerdictDocument) -> str:
    """Return the verdict on all bundles and all references in one line."""
    parts = [bundle_counts(Counter(map(answer, document.bundles)))]
    for judged in document.judged:
        counts = ", ".join(
            f"{judged.count(outcome)} {outcome.value}"
            for outcome in ClaimOutcome
            if judged.count(outcome)
        )
        parts.append(f"{judged.reference} {claim_answer(judged)} ({counts or 'no claim'})")
    return "; ".join(parts)


def bundle_counts(answers: Mapping[str, int]) -> str:
    """Return how many bundles have each answer."""
    return ", ".join(f"{number} {word}" for word, number in answers.items()) or "no bundle"


def outcome_counts(findings: Iterable[Finding]) -> str:
    """Return how many findings have each outcome."""
    counts = Counter(finding.outcome for finding in findings)
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)


def tier_counts(findings: Sequence[Finding]) -> Iterator[tuple[Tier, Sequence[int]]]:
    """Yield each tier with findings, and their number for each `Outcome` in its order."""
    counts = Counter((finding.tier, finding.outcome) for finding in findings)
    for tier in Tier:
        numbers = [counts[tier, outcome] for outcome in Outcome]
        if any(numbers):
            yield tier, numbers


def not_passed(findings: Iterable[AnyFinding]) -> Sequence[AnyFinding]:
    """Return the findings to show in full, in their order."""
    return [finding for finding in findings if finding.outcome is not Outcome.PASS]


def claim_counts(judged: JudgedSet) -> str:
    """Return how many claims have each outcome."""
    return ", ".join(f"{judged.count(outcome)} {outcome.value}" for outcome in ClaimOutcome)


def decided(judged: JudgedSet) -> Sequence[Judgement]:
    """Return the claims that could be tested: not reproduced, inconclusive, reproduced."""
    return [
        claim for outcome in _WORST_FIRST for claim in judged.claims if claim.outcome is outcome
    ]


def not_testable(judged: JudgedSet) -> Mapping[str, Sequence[Judgement]]:
    """Return the claims that could not be tested, by the reason."""
    claims: defaultdict[str, list[Judgement]] = defaultdict(list)
    for claim in judged.claims:
        if claim.outcome is ClaimOutcome.NOT_TESTABLE:
            claims[claim.reason].append(claim)
    return claims


def about(judged: JudgedSet) -> Iterator[str]:
    """Yield the bundles and the host of a set, and remarks that apply to all its judgements."""
    if judged.host_id is None:
        yield "no bundle here is eligible to judge its claims"
        return
    count = len(judged.bundles)
    bundles = f"{count} bundle{'s' * (count > 1)}"
    yield f"from {bundles} of host {judged.host_id[:16]}, {', '.join(judged.gpus)}"
    yield from (f"differs: {difference}" for difference in judged.differences)
    yield from judged.remarks
    if judged.missed_by_chance:
        yield (
            f"About {judged.missed_by_chance:g} of these intervals miss the true value by chance "
            "(1 in 20)."
        )


def measured(claim: Judgement) -> str:
    """Return the measured value with its interval."""
    if claim.measured is None:
        return "nothing"
    where = ", on other hardware" if claim.on_other_hardware else ""
    return f"{number(claim.measured.value)} {claim.unit}{_interval(claim.measured)}{where}"


def published(claim: Judgement) -> str:
    """Return the figure as published, with its own uncertainty at 95 %."""
    noise = claim.measured.published_half_width if claim.measured else 0.0
    return f"{claim.published}" + (f", uncertain by {noise * 100:.1f} %" if noise else "")


def accepted(claim: Judgement) -> str:
    """Return the values that count as reproduced."""
    low, high = claim.accepted_low, claim.accepted_high
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    return f"at most {number(high)}" if high is not None else f"at least {number(low or 0.0)}"


def number(value: float) -> str:
    """Return four significant digits, or a whole number from 1000 on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _interval(value: Measured) -> str:
    if value.low is None or value.high is None:
        return ", no interval"
    if not value.has_spread:
        return ""
    return f", 95 % interval {number(value.low)} to {number(value.high)}"
