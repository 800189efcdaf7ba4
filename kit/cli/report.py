"""`kit report`: bundles to a page with pictures, or to text."""

from collections.abc import Sequence
from pathlib import Path

import click

from kit.bundle.bag import Bundle
from kit.check.finding import Verdict
from kit.claims.verdict import overall
from kit.edge.files import checkout, disk
from kit.edge.verify_paths import verify_paths
from kit.errors import BundleError, ExitCode, UsageError
from kit.figures.summary import summarise
from kit.report import document, markdown, verdict_text


def report(paths: tuple[Path, ...], output: Path | None, form: str) -> int:
    """Render what the bundles say; an invalid one is left out, said so, and is the exit code."""
    if output is not None and form != "html":
        raise UsageError(
            f"--output does not go with --format {form}",
            "only the page and its pictures are files; all else goes to standard output",
            f"kit report PATH --format {form} > FILE",
        )
    judged = tuple(verify_paths(paths))
    verdicts = [verified.verdict for verified in judged]
    bundles = [bundle for verified in judged if (bundle := verified.bundle) is not None]
    for verdict in verdicts:
        if verdict.exit_code is not ExitCode.DONE:
            click.echo("\n".join(verdict_text.lines(verdict)), err=True)
    if not bundles:
        raise BundleError(
            f"none of {len(paths)} path(s) holds a bundle to report on",
            "a report takes its figures from bundles that are not invalid",
            "kit verify PATH, for what is wrong with them",
        )
    yardsticks = checkout.yardsticks()
    match form:
        case "markdown":
            click.echo(markdown.render(summarise(bundles, yardsticks)), nl=False)
        case "csv":
            from kit.report import frames

            click.echo(frames.render(summarise(bundles, yardsticks)), nl=False)
        case "json":
            click.echo(document.render(summarise(bundles, yardsticks)), nl=False)
        case _:
            click.echo(write_report(bundles, verdicts, output or checkout.REPORT))
    return overall(verdicts)


def write_report(bundles: Sequence[Bundle], verdicts: Sequence[Verdict], folder: Path) -> Path:
    """Write the page and the pictures into `folder`, over an earlier report's; return the page."""
    from kit.report.pages import render

    for name, data in render(bundles, verdicts, checkout.yardsticks()).items():
        disk.overwrite(folder / name, data)
    return folder / "index.html"
