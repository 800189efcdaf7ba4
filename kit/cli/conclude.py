"""The end of a command that measured: verdicts, figures, claims and the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kit.bundle.bag import Bundle
from kit.check.finding import Verdict
from kit.claims.verdict import overall
from kit.cli.report import write_report
from kit.edge.files import checkout
from kit.edge.judge_claims import Against, judge_claims
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode
from kit.figures.summary import summarise
from kit.report import document, terminal, verdict_text

REFERENCES = ("article-part-1", "article-part-2", "article-part-3")
"""Whose claims are judged after a run on GPUs: the last two are about several agents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where bundles go, with the report beside them, and what is printed."""

    folder: Path | None
    quiet: bool
    as_json: bool


def conclude(paths: Sequence[Path], output: Output) -> ExitCode:
    """Verify the bundles, write the report, and print verdicts, figures and claims."""
    judged = tuple(verify_paths(paths))
    verdicts = [verified.verdict for verified in judged]
    bundles = [bundle for verified in judged if (bundle := verified.bundle) is not None]
    summary = summarise(bundles, checkout.yardsticks())
    page = write_report(bundles, verdicts, _report_folder(output.folder))
    if not output.quiet:
        print_verdicts(verdicts)
        click.echo(f"\n{terminal.render(summary)}", err=True)
        _print_claims(paths, bundles)
        click.echo("Bundles and report:", err=True)
    if output.as_json:
        click.echo(document.render(summary), nl=False)
    else:
        print_paths([*paths, page])
    return overall(verdicts)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print what was found of each bundle."""
    for verdict in verdicts:
        click.echo("\n".join(verdict_text.lines(verdict)), err=True)


def print_paths(paths: Sequence[Path]) -> None:
    """Print one path a line, for other programs."""
    for path in paths:
        click.echo(path)


def _print_claims(paths: Sequence[Path], bundles: Sequence[Bundle]) -> None:
    """Judge the article's claims from all bundles beside these, if a GPU served."""
    if not any(bundle.gpus for bundle in bundles):
        return
    has_agents = any(bundle.document.plan.is_concurrent for bundle in bundles)
    against = Against(references=REFERENCES if has_agents else REFERENCES[:1])
    _, judged = judge_claims([paths[0].parent], (), against)
    for judgements in judged:
        click.echo("\n".join(verdict_text.claim_lines(judgements)), err=True)


def _report_folder(output: Path | None) -> Path:
    return checkout.REPORT if output is None else output.with_name(f"{output.name}-report")
