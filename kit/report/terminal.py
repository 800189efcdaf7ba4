"""The summary as plain text of at most 100 columns, printed after a run."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from kit.figures.cell import CellFigures
from kit.figures.levels import Levels
from kit.figures.summary import Summary
from kit.report import wording
from kit.report.escape import printable, shortened

WIDTH = 100
MODEL_WIDTH = 11
TOPOLOGY_WIDTH = 13
PROMPT_WIDTHS = (8, 6, 4)
"""Tried in this order: many prompts, long names or rates above 1,000 need narrower columns."""

TITLE = "Completion tokens per second"


def render(summary: Summary) -> str:
    """Return the summary as lines of text, without colours."""
    text = io.StringIO()
    console = Console(
        file=text, width=WIDTH, color_system=None, markup=False, highlight=False, emoji=False
    )
    if summary.cells:
        _print(summary, console)
    else:
        console.print(wording.NO_BUNDLE)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _print(summary: Summary, console: Console) -> None:
    for prompt_ids, cells in summary.by_prompts().items():
        console.print(TITLE, _fitting(prompt_ids, cells, console), "", sep="\n")
    for shown in summary.levels:
        title = f"{wording.LEVELS_TITLE}: {printable(shown.name)}"
        console.print(title, _levels(shown), "", sep="\n")
        console.print(wording.PUBLISHED_TITLE, _published(shown), "", sep="\n")
    for cell in summary.cells:
        _print_details(cell, console)
    console.print()
    advantages = [wording.advantage(advantage) for advantage in summary.advantages]
    for text in advantages or [wording.NO_ADVANTAGE]:
        console.print(f"MoE advantage: {printable(text)}")
    console.print()
    for caveat in wording.caveats(summary):
        console.print(f"Note: {printable(caveat)}")
    console.print(wording.closing(summary))


def _fitting(prompt_ids: Sequence[str], cells: Sequence[CellFigures], console: Console) -> Table:
    """Return the widest table that fits; without prompts, if none does."""
    unbounded = console.options.update(width=10 * WIDTH)
    for width in PROMPT_WIDTHS:
        table = _table([shortened(prompt_id, width) for prompt_id in prompt_ids], cells)
        if Measurement.get(console, unbounded, table).maximum <= WIDTH:
            return table
    return _table([], cells)


def _table(prompts: Sequence[str], cells: Sequence[CellFigures]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("Model", "Configuration"):
        table.add_column(name, vertical="bottom", no_wrap=True)
    for name in (*prompts, "Pooled", "95 % interval", "Mean of\ncolumns"):
        table.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for cell in cells:
        topology = shortened(cell.plan.cell.topology, TOPOLOGY_WIDTH - len(cell.tag))
        figures = wording.rates(cell)[-len(prompts) - 3 :]
        table.add_row(shortened(cell.plan.cell.model, MODEL_WIDTH), topology + cell.tag, *figures)
    return table


def _levels(shown: Levels) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in wording.level_columns(shown):
        table.add_column(name, justify="right", no_wrap=True)
    for cell, speed_up in zip(shown.cells, shown.speed_ups, strict=True):
        table.add_row(*wording.level(cell, speed_up))
    return table


def _published(shown: Levels) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in wording.PUBLISHED_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for cell, speed_up in zip(shown.cells, shown.published_speed_ups, strict=True):
        table.add_row(*wording.published_level(cell, speed_up))
    return table


def _print_details(cell: CellFigures, console: Console) -> None:
    console.print(f"{printable(cell.name)}: {wording.amount(cell)}")
    if (share := wording.roofline(cell)) is not None:
        console.print(f"  share of roofline    {printable(share)}")
    console.print(f"  time to first token  {wording.first_token(cell.time_to_first_token)}")
    console.print(f"  inter-token latency  {wording.inter_token(cell.inter_token)}")
    if (energy := wording.energy_sentence(cell)) is not None:
        console.print(f"  energy               {energy}")
    if (held := wording.sustained(cell)) is not None:
        console.print(f"  sustained            {held}")
