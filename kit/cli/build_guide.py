"""`kit build-guide`: what to build, from one host's bundles."""

from pathlib import Path

import click

from kit.claims.guide import advice, largest
from kit.edge import prices
from kit.edge.files import checkout, disk
from kit.edge.judge_claims import Against, judge_claims
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode
from kit.figures.summary import summarise
from kit.report import guide
from kit.report.guide import Guide

REFERENCE = "article-part-1"


def build_guide(paths: tuple[Path, ...], settings: tuple[str, ...], output: Path | None) -> int:
    """Write the guide as Markdown and HTML, and print the Markdown; 7 without a valid bundle."""
    given = prices.read(settings)
    reference = checkout.references()[REFERENCE]
    _, judged = judge_claims(paths, (), Against(references=(REFERENCE,)))
    chosen = largest(judged)
    bundles = [bundle for verified in verify_paths(paths) if (bundle := verified.bundle)]
    if not bundles:
        click.echo("no valid bundle to build a guide from", err=True)
        return ExitCode.NOTHING_TO_JUDGE
    cells = summarise(bundles, checkout.yardsticks()).cells
    of_host = [cell for cell in cells if chosen.host_id in (None, cell.bundle.document.host_id)]
    made = Guide(
        reference=reference,
        judged=chosen,
        advice=tuple(advice(reference, chosen)),
        cells=tuple(of_host),
        prices=given,
    )
    folder = output or checkout.REPORT
    folder.mkdir(parents=True, exist_ok=True)
    text = guide.markdown(made)
    disk.overwrite(folder / "build-guide.md", text.encode())
    disk.overwrite(folder / "build-guide.html", guide.html(made).encode())
    click.echo(text, nl=False)
    click.echo(folder / "build-guide.html", err=True)
    return ExitCode.DONE
