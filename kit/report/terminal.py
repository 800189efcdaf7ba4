"""The summary as plain text of at most 100 columns, printed after a run."""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from kit.figures.cell import CellFigures
from kit.figures.summary import Summary
from kit.report import wording
from kit.report.escape import printable, shortened

WIDTH = 100
MODEL_WIDTH = 11
TOPOLOGY_WIDTH = 13
PROMPT_WIDTHS = (8, 6, 4)
"""Many prompts, long names or rates above 1,000 would not fit otherwise; other formats show all."""

TITLE = "Completion tokens a second"

Row = tuple[str, ...]


def render(summary: Summary) -> str:
    """Return the summary as lines of text."""
    if not summary.cells:
        return "No bundle, so nothing to report.\n"
    blocks = [*_tables(summary.cells), _details(summary.cells), _advantages(summary)]
    caveats = [_wrapped(f"Note: {printable(caveat)}") for caveat in wording.caveats(summary)]
    ending = "\n".join([*caveats, _wrapped(wording.closing(summary))])
    return "\n\n".join([*blocks, ending]) + "\n"


def _tables(cells: Sequence[CellFigures]) -> Iterator[str]:
    """Yield one table for each run of cells with the same columns."""
    for columns, group in groupby(cells, _columns):
        yield "\n".join([TITLE, *_table(columns, tuple(group))])


def _columns(cell: CellFigures) -> Row:
    return tuple(prompt.prompt_id for prompt in cell.prompts)


def _table(columns: Row, cells: Sequence[CellFigures]) -> Sequence[str]:
    """Return the widest table that fits: names of prompts cut shorter, at last no prompts."""
    for width in PROMPT_WIDTHS:
        lines = _lines(tuple(shortened(name, width) for name in columns), cells)
        if max(len(line) for line in lines) <= WIDTH:
            return lines
    return _lines((), cells)


def _lines(columns: Row, cells: Sequence[CellFigures]) -> Sequence[str]:
    over = (*[""] * (len(columns) + 4), "Mean of")
    head = ("Model", "Configuration", *columns, "Pooled", "95 % interval", "columns")
    return tuple(_aligned([over, head, *(_row(cell, len(columns)) for cell in cells)]))


def _row(cell: CellFigures, columns: int) -> Row:
    rates = (wording.column(prompt.throughput) for prompt in cell.prompts[:columns])
    return (
        shortened(cell.plan.cell.model, MODEL_WIDTH),
        shortened(cell.plan.cell.topology, TOPOLOGY_WIDTH - len(cell.tag)) + cell.tag,
        *rates,
        wording.pooled(cell.pooled),
        wording.interval(cell.interval),
        wording.mean_of_columns(cell.mean_of_columns),
    )


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    """Yield rows with columns as wide as their widest cell: names to the left, figures right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*names, *figures])


def _details(cells: Sequence[CellFigures]) -> str:
    return "\n".join(line for cell in cells for line in _detail(cell))


def _detail(cell: CellFigures) -> Row:
    share = wording.roofline(cell)
    return (
        _wrapped(f"{printable(cell.name)}: {wording.amount(cell)}"),
        *([f"  share of roofline    {printable(share)}"] if share else []),
        f"  time to first token  {wording.first_token(cell.time_to_first_token)}",
        f"  inter-token latency  {wording.inter_token(cell.inter_token)}",
    )


def _advantages(summary: Summary) -> str:
    found = [wording.advantage(advantage) for advantage in summary.advantages]
    texts = found or [wording.no_advantage()]
    return "\n".join(_wrapped(f"MoE advantage: {printable(text)}") for text in texts)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH)
