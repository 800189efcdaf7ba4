"""`kit bench`: measures cells, verifies their bundles, and reports on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kit.bundle.document import Status
from kit.claims.verdict import overall
from kit.cli.conclude import Output, conclude, print_paths, print_verdicts
from kit.cli.failure import render
from kit.cli.plan import announce_default
from kit.cli.progress import observer
from kit.edge.bench import require_port, run_cell, run_endpoint
from kit.edge.cells import CellChoices, PlannedCell, levels, planned_cells
from kit.edge.files import checkout
from kit.edge.prepare import Prepared, Sources, prepare
from kit.edge.session import RunContext
from kit.edge.unfinished import BENCH, Unfinished, name_of
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode, KitError, RunError, UsageError


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
    if options.rehearsal:
        code = _conclude_rehearsal(measured.paths, options)
    else:
        output = Output(folder=options.output, quiet=options.quiet, as_json=options.as_json)
        code = conclude(measured.paths, output)
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
    names = list(map(name_of, cells))
    unfinished = Unfinished.of(names, context.results, context.state / BENCH)
    for cell in cells:
        if (bundle := unfinished.measured(name_of(cell))) is not None:
            context.observer.printed(f"{cell.plan.cell}: measured before the last run broke off")
            context.observer.printed(f"  {bundle} (to measure it anew: rm {unfinished.file})")
            paths.append(bundle)
            continue
        try:
            bundle = run_cell(cell, options, prepared, options.port, context)
            unfinished.keep(name_of(cell), bundle)
            paths.append(bundle)
        except RunError as error:
            failure = error
            if cell is not cells[-1]:  # the last one's ends the command
                click.echo(render(error), err=True)
    return _Measured(paths=paths, failure=failure)


def _conclude_rehearsal(paths: list[Path], options: BenchOptions) -> ExitCode:
    """Verify the bundles; a complete rehearsal that is not invalid is a success."""
    verdicts = [verified.verdict for verified in verify_paths(paths)]
    if not options.quiet:
        print_verdicts(verdicts)
        click.echo("This was a rehearsal: its figures are no results.", err=True)
    print_paths(paths)
    is_complete = all(verdict.status is Status.COMPLETE for verdict in verdicts)
    code = overall(verdicts)
    return ExitCode.DONE if is_complete and code is ExitCode.NOTHING_TO_JUDGE else code


def _require_no_engine_options(options: BenchOptions) -> None:
    """Raise `UsageError` for options that an endpoint would ignore."""
    values = (
        ("--topology", options.topology),
        ("--runtime", options.runtime),
        ("--port", options.port),
        ("more than one --model", options.models[1:] or None),
        ("--rehearsal", options.rehearsal or None),
        ("--eager", options.eager or None),
        ("--no-prefix-cache", None if options.prefix_cache else True),
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
