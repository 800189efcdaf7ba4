"""`kit report`: bundles to a page with charts, or to text."""

from collections.abc import Sequence
from pathlib import Path

import click

from kit.bundle.bag import Bundle
from kit.check.finding import Verdict
from kit.claims.verdict import overall
from kit.edge.files import checkout, disk
from kit.edge.verify_paths import verify_paths
from kit.errors import BundleError, ExitCode, UsageError
from kit.figures import goodput
from kit.figures.goodput import BadObjectives, Objectives
from kit.figures.summary import Summary, summarise
from kit.report import verdict_text


def report(paths: tuple[Path, ...], output: Path | None, form: str, slo: str | None) -> int:
    """Render the bundles that are not invalid; return the exit code of verifying all of them."""
    objectives = None if slo is None else _objectives(slo)
    if output is not None and form != "html":
        raise UsageError(
            f"--output does not go with --format {form}",
            "only --format html writes files; the other formats go to standard output",
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
            f"no bundle to report on in {len(paths)} path(s)",
            "a report needs a bundle that is not invalid and not a rehearsal",
            "kit verify PATH",
        )
    if form == "html":
        click.echo(write_report(bundles, verdicts, output or checkout.REPORT, objectives))
    else:
        summary = summarise(bundles, checkout.yardsticks(), objectives)
        click.echo(_rendered(form, summary), nl=False)
    return overall(verdicts)


def _rendered(form: str, summary: Summary) -> str:
    from kit.report import document, frames, markdown

    match form:
        case "markdown":
            return markdown.render(summary)
        case "csv":
            return frames.render(summary)
        case _:
            return document.render(summary)


def _objectives(text: str) -> Objectives:
    try:
        return goodput.parse(text)
    except BadObjectives as error:
        raise UsageError(
            str(error),
            "objectives are ttft, tpot and e2e, each once, in s or ms",
            "kit report PATH --slo ttft=1s,tpot=20ms",
        ) from error


def write_report(
    bundles: Sequence[Bundle],
    verdicts: Sequence[Verdict],
    folder: Path,
    objectives: Objectives | None = None,
) -> Path:
    """Write the page and the charts into `folder`, over an earlier report's; return the page."""
    from kit.report import page

    for name, data in page.files(bundles, verdicts, checkout.yardsticks(), objectives).items():
        disk.overwrite(folder / name, data)
    return folder / page.PAGE
