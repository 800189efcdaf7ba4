"""`kit verify`: judges bundles, and prints the verdicts in the form that was asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kit.check.finding import Verdict
from kit.claims.verdict import (
    JudgedSet,
    VerdictDocument,
    as_document,
    gravest,
    judged_bundle,
    overall,
)
from kit.edge.files import checkout
from kit.edge.verify_paths import verdicts
from kit.errors import ExitCode, UsageError
from kit.format import canonical
from kit.report import verdict_text
from kit.report import verdict_wording as words


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What `kit verify` was asked; `settings` are NAME=NUMBER, parameters of the `references`."""

    paths: tuple[Path, ...]
    as_json: bool
    form: str
    quiet: bool
    tokenizers: tuple[Path, ...]
    references: tuple[str, ...]
    settings: tuple[str, ...]
    jobs: int | None

    @property
    def shown(self) -> str | None:
        """The form to print; None for none."""
        if self.as_json:
            return "json"
        return None if self.quiet else self.form


def verify(options: VerifyOptions) -> int:
    """Print a verdict on each path, and on each reference's claims; return 6, 1, 7 or 0.

    Raises `UsageError` for two forms at once.
    """
    if options.as_json and (options.quiet or options.form not in ("text", "json")):
        raise UsageError(
            "--json beside another form",
            "it is short for --format json",
            "kit verify PATH... --format json",
        )
    is_about_claims = bool(options.references or options.settings)
    if options.shown in (None, "text") and not is_about_claims:
        return _one_by_one(options)
    found, judged = _all_together(options) if is_about_claims else (_verdicts(options), None)
    match options.shown:
        case None:
            pass
        case "text":
            click.echo(_text(found, judged or ()))
        case form:
            click.echo(_rendered(form, as_document(found, judged)), nl=False)
    return overall(found, judged)


def _verdicts(options: VerifyOptions) -> tuple[Verdict, ...]:
    return tuple(verdicts(options.paths, options.tokenizers, options.jobs))


def _all_together(options: VerifyOptions) -> tuple[tuple[Verdict, ...], tuple[JudgedSet, ...]]:
    from kit.edge.judge_claims import Against, judge_claims

    against = Against(references=options.references, settings=options.settings)
    return judge_claims(options.paths, options.tokenizers, against)


def _one_by_one(options: VerifyOptions) -> int:
    """Print each verdict as it comes, and keep of it no more than its answer."""
    counts = Counter(_told(options))
    if counts.total() > 1 and not options.quiet:
        answers: Counter[str] = Counter()
        for (answer, _), number in counts.items():
            answers[answer] += number
        click.echo(f"{counts.total()} bundles: {words.bundle_counts(answers)}")
    return gravest(code for _, code in counts)


def _told(options: VerifyOptions) -> Iterator[tuple[str, ExitCode]]:
    for verdict in verdicts(options.paths, options.tokenizers, options.jobs):
        if not options.quiet:
            click.echo("\n".join(verdict_text.lines(verdict)))
        yield words.answer(judged_bundle(verdict)), verdict.exit_code


def _text(found: Sequence[Verdict], judged: Sequence[JudgedSet]) -> str:
    told = [line for verdict in found for line in verdict_text.lines(verdict)]
    return "\n".join([*told, *(line for each in judged for line in verdict_text.claim_lines(each))])


def _rendered(form: str, document: VerdictDocument) -> str | bytes:
    from kit.report import statement, verdict_pages

    match form:
        case "markdown":
            return verdict_pages.markdown(document)
        case "html":
            return verdict_pages.html(document)
        case "in-toto":
            return statement.render(document, checkout.held_against())
        case _:
            return canonical.encode(document)
