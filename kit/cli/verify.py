"""`kit verify`: judges bundles, and prints the verdicts in the form that was asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from kit import canonical
from kit.check.finding import Verdict, VerdictDocument, as_document, overall
from kit.cli.judging import describe, judge
from kit.edge import checkout


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

    @property
    def shown(self) -> str | None:
        """The form to print; None for none."""
        if self.as_json:
            return "json"
        return None if self.quiet else self.form


def verify(options: VerifyOptions) -> int:
    """Print a verdict on each path, and on each reference's claims; return 6, 1, 7 or 0."""
    judged = None
    if options.references or options.settings:
        from kit.cli.claims import hear_all  # noqa: PLC0415  # most have no use for it

        verdicts, judged = hear_all(options)
    else:
        verdicts = tuple(_judge(options))
    if options.shown not in (None, "text"):
        click.echo(_render(options, as_document(verdicts, judged)), nl=False)
    return overall(verdicts, judged)


def _judge(options: VerifyOptions) -> Iterator[Verdict]:
    """Judge bundle after bundle; text is printed as soon as it is known."""
    for verdict, _ in judge(options.paths, options.tokenizers):
        if options.shown == "text":
            click.echo("\n".join(describe(verdict)))
        yield verdict


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
