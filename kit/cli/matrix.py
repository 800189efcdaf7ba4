"""`kit matrix`: measures every cell that this machine has, in an order that favours none."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from kit.claims.undecided import needed_cells
from kit.cli.conclude import REFERENCES, Output, conclude
from kit.cli.failure import render
from kit.cli.progress import observer
from kit.edge.bench import run_cell
from kit.edge.cells import CellChoices, PlannedCell
from kit.edge.files import checkout
from kit.edge.judge_claims import Against, judge_claims
from kit.edge.matrix import MatrixChoices, cool_down, each_topology, matrix_cells, measured_s
from kit.edge.prepare import Prepared, Sources, prepare
from kit.edge.session import RunContext
from kit.edge.unfinished import MATRIX, Unfinished, name_of
from kit.errors import ExitCode, KitError, MachineError, RunError
from kit.plan.plan import Cell
from kit.run.matrix import Turn, expected_s, in_order, left_s

TRIES = 2
TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixOptions:
    """Options of the command."""

    choices: MatrixChoices
    starts: int
    budget_s: float | None
    sources: Sources
    output: Path | None
    quiet: bool


def options_of(  # noqa: PLR0913  # one for each option of the command
    *,
    topologies: tuple[str, ...],
    models: tuple[str, ...],
    suites: tuple[str, ...],
    agents: tuple[int, ...],
    passes: int | None,
    starts: int,
    budget_s: float | None,
    runtime: str | None,
    output: Path | None,
    weights: Path | None,
    base: str | None,
    registry: str | None,
    quiet: bool,
) -> MatrixOptions:
    """Return the options of a command line, what it leaves out as `bench` has it."""
    common = CellChoices(
        topology=None,
        models=models,
        suite="single",
        agents=agents,
        passes=passes,
        protocol="kit",
        cache="warm",
        timeout_s=TIMEOUT_S,
        runtime=runtime,
    )
    sources = Sources(base=base or checkout.base_image(), registry=registry, weights=weights)
    return MatrixOptions(
        choices=MatrixChoices(topologies=topologies, suites=suites, common=common),
        starts=starts,
        budget_s=budget_s,
        sources=sources,
        output=output,
        quiet=quiet,
    )


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What is measured, what failed and why, what did not fit, and how long each cell takes."""

    end_s: float | None
    seconds: dict[Cell, float]
    paths: list[Path] = field(default_factory=list)
    failed: dict[Turn, KitError] = field(default_factory=dict)
    left_out: list[Turn] = field(default_factory=list)

    def fits(self, turn: Turn) -> bool:
        """Tell whether a turn ends within the budget, as far as its length is known."""
        if self.end_s is None:
            return True
        left = self.end_s - time.monotonic()
        return left > 0 and (expected_s(turn.cell, self.seconds) or 0.0) <= left


def matrix(options: MatrixOptions) -> int:
    """Measure what fits, then verify and report on all of it; what failed or did not fit is told.

    Killed at any moment, the same command goes on with what is missing.
    """
    cells = matrix_cells(options.choices)
    results = (options.output or checkout.LOCAL_RESULTS).absolute()
    context = RunContext(
        results=results, state=checkout.STATE, observer=observer(quiet=options.quiet)
    )
    prepared = {
        group[0].topology.id: prepare(group, options.sources, context.observer.printed)
        for group in each_topology(tuple(cells.values()))
    }
    seconds = measured_s(results)
    turns = in_order(cells, options.starts, _needed(options, results), seconds)
    names = sorted(name_of(cells[turn.cell][0], turn.start) for turn in turns)
    unfinished = Unfinished.of(names, results, context.state / MATRIX)
    budget_s = options.budget_s
    progress = _Progress(
        end_s=None if budget_s is None else time.monotonic() + budget_s, seconds=seconds
    )
    _measure(turns, cells, prepared, unfinished, progress, context)
    return _conclude(options, progress)


def _needed(options: MatrixOptions, results: Path) -> list[frozenset[Cell]]:
    """Return the cells that the article's claims still need; only a budget makes them matter."""
    if options.budget_s is None:
        return []
    references = {name: checkout.references()[name] for name in REFERENCES}
    has_bundles = results.is_dir() and any(results.iterdir())
    against = Against(references=REFERENCES)
    judged = judge_claims([results], (), against)[1] if has_bundles else ()
    return list(needed_cells(references, judged))


def _measure(
    turns: list[Turn],
    cells: dict[Cell, tuple[PlannedCell, CellChoices]],
    prepared: dict[str, Prepared],
    unfinished: Unfinished,
    progress: _Progress,
    context: RunContext,
) -> None:
    """Measure each turn, and what failed once more after all others."""
    say = context.observer.printed
    idle_c = None
    todo, tries = list(turns), dict.fromkeys(turns, 0)
    while todo:
        turn = todo.pop(0)
        planned, choices = cells[turn.cell]
        name = name_of(planned, turn.start)
        if (bundle := unfinished.measured(name)) is not None:
            say(f"{turn}: measured before ({bundle.name}; to measure anew: rm {unfinished.file})")
            progress.paths.append(bundle)
            continue
        if not progress.fits(turn):
            progress.left_out.append(turn)
            continue
        say(_headline(turn, [turn, *todo], len(turns), progress))
        idle_c = cool_down(idle_c, say)
        start_s = time.monotonic()
        try:
            bundle = run_cell(planned, choices, prepared[planned.topology.id], None, context)
        except (RunError, MachineError) as error:
            tries[turn] += 1
            click.echo(render(error), err=True)
            progress.failed[turn] = error
            if tries[turn] < TRIES:
                todo.append(turn)
            continue
        progress.failed.pop(turn, None)
        progress.seconds[turn.cell] = time.monotonic() - start_s
        progress.paths.append(bundle)
        unfinished.keep(name, bundle)


def _headline(turn: Turn, todo: list[Turn], total: int, progress: _Progress) -> str:
    number = total - len(todo) + 1
    seconds = left_s(todo, progress.seconds)
    left = "" if seconds is None else f", about {seconds / 60:.0f} min left"
    return f"[{number}/{total}] {turn}{left}"


def _conclude(options: MatrixOptions, progress: _Progress) -> int:
    for turn, error in progress.failed.items():
        click.echo(f"failed twice: {turn}: {error.what}", err=True)
    for turn in progress.left_out:
        expected = expected_s(turn.cell, progress.seconds)
        length = "" if expected is None else f" (takes about {expected / 60:.0f} min)"
        click.echo(f"did not fit into the budget: {turn}{length}", err=True)
    if not progress.paths:
        return ExitCode.RUN_FAILED if progress.failed else ExitCode.NOTHING_TO_JUDGE
    output = Output(folder=options.output, quiet=options.quiet, as_json=False)
    code = conclude(progress.paths, output)
    return ExitCode.RUN_FAILED if progress.failed and code is ExitCode.DONE else code
