"""`kit verify`: judges bundles, and prints the verdicts in the form that was asked for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from kit import canonical
from kit.check.finding import VerdictDocument, as_document, gravest, overall
from kit.cli.judging import ANSWERS, describe, verdicts
from kit.edge import checkout
from kit.errors import ExitCode


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
    """Print a verdict on each path, and on each reference's claims; return 6, 1, 7 or 0."""
    if options.references or options.settings:
        from kit.cli.claims import hear_all  # noqa: PLC0415  # most have no use for it

        found, judged = hear_all(options)
        if options.shown not in (None, "text"):
            click.echo(_render(options, as_document(found, judged)), nl=False)
        return overall(found, judged)
    if options.shown in (None, "text"):
        return _one_by_one(options)
    found = tuple(verdicts(options.paths, options.tokenizers, options.jobs))
    click.echo(_render(options, as_document(found)), nl=False)
    return overall(found)


def _one_by_one(options: VerifyOptions) -> int:
    """Print each verdict as it comes, and keep of it no more than its exit code."""
    counts = Counter(_shown(options))
    if counts.total() > 1 and not options.quiet:
        answers = (f"{counts[code]} {answer}" for code, answer in ANSWERS.items() if counts[code])
        click.echo(f"{counts.total()} bundles: {', '.join(answers)}")
    return gravest(counts)


def _shown(options: VerifyOptions) -> Iterator[ExitCode]:
    for verdict in verdicts(options.paths, options.tokenizers, options.jobs):
        if not options.quiet:
            click.echo("\n".join(describe(verdict)))
        yield verdict.exit_code


def _render(options: VerifyOptions, document: VerdictDocument) -> str | bytes:
    from kit.report import statement, verdict_markdown, verdict_page  # noqa: PLC0415

    match options.shown:
        case "markdown":
            return verdict_markdown.render(document)
        case "html":
            return verdict_page.render(document)
        case "in-toto":
            return statement.render(document, checkout.held_against())
        case _:
            return canonical.encode(document)
