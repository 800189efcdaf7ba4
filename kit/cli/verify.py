"""`kit verify`: verifies bundles, judges claims, and prints the verdicts."""

from collections import Counter
from collections.abc import Sequence
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
from kit.errors import ExitCode
from kit.format import canonical
from kit.report import verdict_text
from kit.report import verdict_wording as words


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """Options of the command; `settings` are NAME=NUMBER, parameters of the `references`."""

    paths: tuple[Path, ...]
    form: str
    quiet: bool
    tokenizers: tuple[Path, ...]
    references: tuple[str, ...]
    settings: tuple[str, ...]
    jobs: int | None

    @property
    def output_format(self) -> str | None:
        """The format to print; None for none."""
        return None if self.quiet else self.form


def verify(options: VerifyOptions) -> int:
    """Print a verdict for each path, and for each reference's claims; return 6, 1, 7 or 0."""
    with_claims = bool(options.references or options.settings)
    if options.output_format in (None, "text") and not with_claims:
        return _print_each(options)
    judged: tuple[JudgedSet, ...] | None = None
    if with_claims:
        results, judged = _judge_claims(options)
    else:
        results = tuple(verdicts(options.paths, options.tokenizers, options.jobs))
    match options.output_format:
        case None:
            pass
        case "text":
            click.echo(_text(results, judged or ()))
        case form:
            click.echo(_rendered(form, as_document(results, judged)), nl=False)
    return overall(results, judged)


def _judge_claims(options: VerifyOptions) -> tuple[tuple[Verdict, ...], tuple[JudgedSet, ...]]:
    from kit.edge.judge_claims import Against, judge_claims

    against = Against(references=options.references, settings=options.settings)
    return judge_claims(options.paths, options.tokenizers, against)


def _print_each(options: VerifyOptions) -> int:
    """Print each verdict when it is there, and keep only its answer: memory stays flat."""
    answers: Counter[str] = Counter()
    codes: set[ExitCode] = set()
    for verdict in verdicts(options.paths, options.tokenizers, options.jobs):
        if not options.quiet:
            click.echo("\n".join(verdict_text.lines(verdict)))
        answers[words.answer(judged_bundle(verdict))] += 1
        codes.add(verdict.exit_code)
    if answers.total() > 1 and not options.quiet:
        click.echo(f"{answers.total()} bundles: {words.bundle_counts(answers)}")
    return gravest(codes)


def _text(results: Sequence[Verdict], judged: Sequence[JudgedSet]) -> str:
    lines = [line for verdict in results for line in verdict_text.lines(verdict)]
    claims = [line for judgements in judged for line in verdict_text.claim_lines(judgements)]
    return "\n".join([*lines, *claims])


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
