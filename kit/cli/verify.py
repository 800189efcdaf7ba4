"""`kit verify`: judges bundles, and prints the verdicts."""

from pathlib import Path

import click

from kit import canonical
from kit.check.finding import as_document, overall
from kit.cli.judging import describe, judge


def verify(
    paths: tuple[Path, ...], tokenizers: tuple[Path, ...], *, as_json: bool, quiet: bool
) -> int:
    """Print a verdict on each path; return 6 over 1 over 7 over 0."""
    verdicts = []
    for verdict, _ in judge(paths, tokenizers):
        verdicts.append(verdict)
        if not as_json and not quiet:
            click.echo("\n".join(describe(verdict)))
    if as_json:
        click.echo(canonical.encode(as_document(verdicts)), nl=False)
    return overall(verdicts)
