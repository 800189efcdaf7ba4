"""A verdict as Markdown, for a pull request that hands in bundles."""

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
from kit.report.escape import markdown_code, markdown_text
from kit.report.markdown import table


def render(document: VerdictDocument) -> str:
    """Return the verdict: the answer, each bundle's findings, each reference's claims."""
    sections = [f"**{markdown_text(words.headline(document))}**"]
    for bundle in document.bundles:
        own = [one for one in document.findings if one.bundle == bundle.path]
        sections += _bundle(bundle, own)
    for judged in document.judged:
        sections += _judged(judged)
    return "\n\n".join(sections) + "\n"


def _bundle(bundle: JudgedBundle, findings: list[BundleFinding]) -> Iterator[str]:
    yield f"## {words.answer(bundle)}: {markdown_code(bundle.path)}"
    facts = [f"id {markdown_code(bundle.id or '?')}", words.outcome_counts(findings)]
    facts += [one for one in [words.quotable(bundle)] if one is not None]
    yield "\n".join(f"- {fact}" for fact in facts)
    worth = [one for one in findings if one.outcome is not Outcome.PASS]
    if worth:
        head = ("Outcome", "Code", "Subject", "Observed", "Expected", "What to do")
        yield table(head, map(_finding, worth))


def _finding(one: BundleFinding) -> tuple[str, ...]:
    texts = (one.subject, one.observed, one.expected)
    hint = markdown_text(one.hint)
    return one.outcome.value, markdown_code(one.code), *map(markdown_code, texts), hint


def _judged(judged: JudgedSet) -> Iterator[str]:
    answer = f"{words.claim_answer(judged)}: {words.claim_counts(judged)}"
    yield f"## {markdown_text(judged.reference)}: {answer}"
    yield "\n".join(f"- {markdown_text(line)}" for line in words.about(judged))
    order = list(ClaimOutcome)
    decided = [one for one in judged.claims if one.outcome is not ClaimOutcome.NOT_TESTABLE]
    if decided:
        head = ("Outcome", "Claim", "Measured", "Published", "Accepted", "Decided by")
        decided.sort(key=lambda one: -order.index(one.outcome))
        yield table(head, map(_claim, decided))
    silent = [one for one in judged.claims if one.outcome is ClaimOutcome.NOT_TESTABLE]
    if silent:
        why = ((markdown_code(one.claim), markdown_code(one.reason)) for one in silent)
        yield table(("Not testable", "Why"), why)
    if judged.excluded:
        left = ((markdown_code(one.bundle), markdown_code(one.reason)) for one in judged.excluded)
        yield table(("Left out", "Why"), left)


def _claim(one: Judgement) -> tuple[str, ...]:
    claim = f"{markdown_code(one.claim)}: {markdown_text(one.statement)}"
    texts = (words.measured(one), words.published(one), words.accepted(one), one.advice)
    return one.outcome.value, claim, *map(markdown_text, texts)
