"""`kit bench`: measures cells, verifies their bundles, and reports on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kit.bundle.bag import Bundle
from kit.bundle.document import Status
from kit.check.finding import Verdict
from kit.claims.verdict import overall
from kit.cli.failure import render
from kit.cli.plan import announce_default
from kit.cli.progress import observer
from kit.cli.report import write_report
from kit.edge.bench import require_port, run_cell, run_endpoint
from kit.edge.cells import CellChoices, PlannedCell, levels, planned_cells
from kit.edge.files import checkout
from kit.edge.judge_claims import Against, judge_claims
from kit.edge.prepare import Prepared, Sources, prepare
from kit.edge.session import RunContext
from kit.edge.unfinished import Unfinished
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode, KitError, RunError, UsageError
from kit.figures.summary import summarise
from kit.report import document, terminal, verdict_text

REFERENCES = ("article-part-1", "article-part-2", "article-part-3")
"""Whose claims are judged after a run on GPUs: the last two are about several agents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions(CellChoices):
    """Options of the command; without an endpoint, the kit starts the engine."""

    port: int | None
    endpoint: str | None
    served_model: str | None
    max_tokens: int | None
    output: Path | None
    base: str | None
    registry: str | None
    weights: Path | None
    quiet: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """Bundles of the cells that were measured, and the failure of one that was not, if any."""

    paths: list[Path]
    failure: KitError | None = None


def bench(options: BenchOptions) -> int:
    """Measure every cell, verify, report; return the exit code of the run or of its bundles.

    A cell that fails does not keep the next ones from being measured, nor the report from being
    written. The same command then measures what is missing.
    """
    measured = _measure(options)
    if measured.failure is not None and not measured.paths:
        raise measured.failure
    conclude = _conclude_rehearsal if options.rehearsal else _conclude
    code = conclude(measured.paths, options)
    if measured.failure is not None:
        raise measured.failure
    return code


def _measure(options: BenchOptions) -> _Measured:
    context = RunContext(
        results=(options.output or checkout.LOCAL_RESULTS).absolute(),
        state=checkout.STATE,
        observer=observer(quiet=options.quiet),
    )
    if options.endpoint is not None:
        _require_no_engine_options(options)
        url, served_model = options.endpoint, options.served_model
        return _Measured(
            paths=[
                run_endpoint(url, served_model, options, agents, options.max_tokens, context)
                for agents in levels(options, checkout.suite(options.suite))
            ]
        )
    _require_no_endpoint_options(options)
    announce_default(options)
    cells = planned_cells(options)
    if options.port is not None:  # before anything is installed or built
        require_port(options.port, cells)
    sources = Sources(
        base=options.base or checkout.base_image(),
        registry=options.registry,
        weights=options.weights,
    )
    prepared = prepare(cells, sources, context.observer.printed)
    return _each(cells, options, prepared, context)


def _each(
    cells: Sequence[PlannedCell],
    options: BenchOptions,
    prepared: Prepared,
    context: RunContext,
) -> _Measured:
    paths, failure = [], None
    unfinished = Unfinished.of(cells, context.results, context.state)
    for cell in cells:
        if (bundle := unfinished.measured(cell)) is not None:
            context.observer.printed(f"{cell.plan.cell}: measured before the last run broke off")
            context.observer.printed(f"  {bundle} (to measure it anew: rm {unfinished.file})")
            paths.append(bundle)
            continue
        try:
            bundle = run_cell(cell, options, prepared, options.port, context)
            unfinished.keep(cell, bundle)
            paths.append(bundle)
        except RunError as error:
            failure = error
            if cell is not cells[-1]:  # the last one's ends the command
                click.echo(render(error), err=True)
    return _Measured(paths=paths, failure=failure)


def _conclude(paths: list[Path], options: BenchOptions) -> int:
    """Verify the bundles, write the report, and print verdicts, figures and claims."""
    judged = tuple(verify_paths(paths))
    verdicts = [verified.verdict for verified in judged]
    bundles = [bundle for verified in judged if (bundle := verified.bundle) is not None]
    summary = summarise(bundles, checkout.yardsticks())
    page = write_report(bundles, verdicts, _report_folder(options.output))
    if not options.quiet:
        _print_verdicts(verdicts)
        click.echo(f"\n{terminal.render(summary)}", err=True)
        _print_claims(paths, bundles)
        click.echo("Bundles and report:", err=True)
    if options.as_json:
        click.echo(document.render(summary), nl=False)
    else:
        _print_paths([*paths, page])
    return overall(verdicts)


def _print_claims(paths: list[Path], bundles: Sequence[Bundle]) -> None:
    """Judge the article's claims from all bundles beside these, if a GPU served."""
    if not any(bundle.gpus for bundle in bundles):
        return
    has_agents = any(bundle.document.plan.is_concurrent for bundle in bundles)
    against = Against(references=REFERENCES if has_agents else REFERENCES[:1])
    _, judged = judge_claims([paths[0].parent], (), against)
    for judgements in judged:
        click.echo("\n".join(verdict_text.claim_lines(judgements)), err=True)


def _conclude_rehearsal(paths: list[Path], options: BenchOptions) -> int:
    """Verify the bundles; a complete rehearsal that is not invalid is a success."""
    verdicts = [verified.verdict for verified in verify_paths(paths)]
    if not options.quiet:
        _print_verdicts(verdicts)
        click.echo("This was a rehearsal: its figures are no results.", err=True)
    _print_paths(paths)
    is_complete = all(verdict.status is Status.COMPLETE for verdict in verdicts)
    code = overall(verdicts)
    return ExitCode.DONE if is_complete and code is ExitCode.NOTHING_TO_JUDGE else code


def _print_verdicts(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        click.echo("\n".join(verdict_text.lines(verdict)), err=True)


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        click.echo(path)


def _report_folder(output: Path | None) -> Path:
    return checkout.REPORT if output is None else output.with_name(f"{output.name}-report")


def _require_no_engine_options(options: BenchOptions) -> None:
    """Raise `UsageError` for options that an endpoint would ignore."""
    values = (
        ("--topology", options.topology),
        ("--runtime", options.runtime),
        ("--port", options.port),
        ("more than one --model", options.models[1:] or None),
        ("--rehearsal", options.rehearsal or None),
    )
    for name, value in values:
        if value is not None:
            raise UsageError(
                f"{name} does not go with --endpoint",
                "the kit does not start that server, and measures one of its models at a time",
                f"kit bench --endpoint {options.endpoint}",
            )


def _require_no_endpoint_options(options: BenchOptions) -> None:
    """Raise `UsageError` for options that only an endpoint takes."""
    for name, value in (("served-model", options.served_model), ("max-tokens", options.max_tokens)):
        if value is not None:
            raise UsageError(
                f"--{name} goes with --endpoint",
                "an engine that the kit starts has its model and max_tokens from the checkout",
                "kit bench --endpoint http://127.0.0.1:8000 ...",
            )
