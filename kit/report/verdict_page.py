"""A verdict as one HTML page, self-contained: no script, and nothing is loaded from anywhere."""

from collections.abc import Iterator

from kit.check.finding import Outcome
from kit.claims.verdict import (
    BundleFinding,
    ClaimOutcome,
    JudgedBundle,
    JudgedSet,
    Judgement,
    VerdictDocument,
)
from kit.report import verdict_words as words
from kit.report.markup import Markup, bullets, element, facts, page, section, table, text

TITLE = "Verdict on LLM serving bundles"
_CSS = {
    ClaimOutcome.NOT_REPRODUCED: "fail",
    ClaimOutcome.INCONCLUSIVE: "warn",
}


def render(document: VerdictDocument) -> str:
    """Return the whole page."""
    body = element(
        "main",
        element("h1", text(TITLE)),
        element("p", element("b", text(words.headline(document)))),
        *(_judged(judged) for judged in document.judged),
        *(_bundle(bundle, document) for bundle in document.bundles),
    )
    return page(TITLE, body)


def _bundle(bundle: JudgedBundle, document: VerdictDocument) -> Markup:
    own = [one for one in document.findings if one.bundle == bundle.path]
    told = [("Bundle", bundle.path), ("Id", bundle.id or "unknown")]
    told += [("Findings", words.outcome_counts(own))]
    told += [("Quotable", one) for one in [words.quotable(bundle)] if one is not None]
    worth = [one for one in own if one.outcome is not Outcome.PASS]
    name = bundle.path.rstrip("/").rpartition("/")[2]
    listed = element("ul", *map(_finding, worth))
    return section(f"{words.answer(bundle)}: {name}", facts(told), listed)


def _finding(one: BundleFinding) -> Markup:
    return element(
        "li",
        element("b", text(one.outcome.value), css=one.outcome.value),
        Markup(" "),
        element("code", text(one.code)),
        text(f" {one.subject}: {one.observed}; expected {one.expected}"),
        element("small", text(f" {one.hint}")),
    )


def _judged(judged: JudgedSet) -> Markup:
    title = f"{words.claim_answer(judged)}: {judged.reference}"
    return section(
        title,
        element("p", text(words.claim_counts(judged))),
        bullets(words.about(judged)),
        *_claims(judged),
    )


def _claims(judged: JudgedSet) -> Iterator[Markup]:
    """Yield in full what was not reproduced or is open, then the rest in tables."""
    for outcome in (ClaimOutcome.NOT_REPRODUCED, ClaimOutcome.INCONCLUSIVE):
        yield from (_claim(one) for one in judged.claims if one.outcome is outcome)
    held = [one for one in judged.claims if one.outcome is ClaimOutcome.REPRODUCED]
    if held:
        columns = ("Claim", "Measured", "Published", "Accepted")
        yield table("Reproduced", columns, map(_row, held), names=4)
    silent = [one for one in judged.claims if one.outcome is ClaimOutcome.NOT_TESTABLE]
    if silent:
        rows = [(one.claim, one.statement, one.reason) for one in silent]
        head = ("Claim", "What it says", "Why")
        yield table("Not testable with these bundles", head, rows, names=3)
    if judged.excluded:
        left = [(one.bundle, one.reason) for one in judged.excluded]
        yield table("Left out", ("Bundle", "Why"), left, names=2)


def _row(one: Judgement) -> tuple[str, ...]:
    return (
        f"{one.claim}: {one.statement}",
        words.measured(one),
        words.published(one),
        words.accepted(one),
    )


def _claim(one: Judgement) -> Markup:
    told = [
        ("Measured", words.measured(one)),
        ("Published", f"{words.published(one)} ({one.where})"),
        ("Accepted", words.accepted(one)),
    ]
    told += [("Decided by", one.advice)] if one.advice else []
    return element(
        "div",
        element("h3", element("b", text(one.outcome.value), css=_CSS[one.outcome]),
                text(f" {one.claim}")),
        element("p", text(one.statement)),
        facts(told),
    )  # fmt: skip
