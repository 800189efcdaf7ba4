"""The words of a verdict that all formats share: the answer first, then how it comes about."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from kit.check.finding import Finding, Outcome
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
REPORTABLE = "reportable: every part of what was measured is known"


def answer(bundle: JudgedBundle) -> str:
    """Return the one word on a bundle."""
    code = ExitCode(bundle.exit_code)
    if bundle.rehearsal and code is ExitCode.NOTHING_TO_JUDGE:
        return "REHEARSAL"
    return ANSWERS[code]


def quotable(bundle: JudgedBundle) -> str | None:
    """Return whether a bundle's figures may be quoted; None where that is no question."""
    if bundle.reportable:
        return REPORTABLE
    if ExitCode(bundle.exit_code) is not ExitCode.DONE:
        return None
    return f"not reportable: not shown by {', '.join(bundle.not_shown)}"


def claim_answer(judged: JudgedSet) -> str:
    """Return the one word on a reference's claims."""
    return CLAIM_ANSWERS[exit_code([judged])]


def headline(document: VerdictDocument) -> str:
    """Return the first line: what it comes to, over all bundles and claims."""
    counts = Counter(map(answer, document.bundles))
    words = [bundle_counts(counts)]
    for judged in document.judged:
        words.append(f"{judged.reference} {claim_answer(judged)} ({claim_counts(judged)})")
    return "; ".join(words)


def bundle_counts(answers: Mapping[str, int]) -> str:
    """Return how many bundles there are of each answer."""
    return ", ".join(f"{number} {word}" for word, number in answers.items()) or "no bundle"


def outcome_counts(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each outcome."""
    counts = Counter(one.outcome for one in findings)
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)


def claim_counts(judged: JudgedSet) -> str:
    """Return how many claims there are of each outcome."""
    return ", ".join(f"{judged.count(outcome)} {outcome.value}" for outcome in ClaimOutcome)


def about(judged: JudgedSet) -> Iterator[str]:
    """Yield what a set of bundles is, and what holds for all of its judgements."""
    if judged.host_id is None:
        yield "no bundle here can speak for it"
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


def measured(one: Judgement) -> str:
    """Return what was measured for a claim, with its interval."""
    if one.measured is None:
        return "nothing"
    where = ", on other hardware" if one.on_other_hardware else ""
    return f"{number(one.measured.value)} {one.unit}{_interval(one.measured)}{where}"


def published(one: Judgement) -> str:
    """Return the figure as published, with what it is itself good for."""
    noise = one.measured.published_half_width if one.measured else 0.0
    return f"{one.published}" + (f", itself good for {noise:.1%}" if noise else "")


def accepted(one: Judgement) -> str:
    """Return what counts as reproduced."""
    low, high = one.accepted_low, one.accepted_high
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    return f"at most {number(high)}" if high is not None else f"at least {number(low or 0.0)}"


def number(value: float) -> str:
    """Return a figure of a claim: four digits, or whole from a thousand on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _interval(told: Measured) -> str:
    if told.low is None or told.high is None:
        return ", no interval"
    if not told.has_spread:
        return ""
    return f", 95 % interval {number(told.low)} to {number(told.high)}"
