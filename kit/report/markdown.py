"""The summary as Markdown, for an issue or a pull request."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from kit.figures.advantage import Advantage
from kit.figures.cell import CellFigures
from kit.figures.summary import Summary
from kit.report import wording
from kit.report.escape import markdown_code, markdown_text


def render(summary: Summary) -> str:
    """Return tables of throughput, latency and MoE advantage, and what to know of them."""
    if not summary.cells:
        return "No bundle, so nothing to report.\n"
    sections = [
        *_throughput(summary.cells),
        *_roofline(summary.cells),
        _latency(summary.cells),
        _advantages(summary.advantages),
        _notes(summary),
        _evidence(summary.cells),
    ]
    return "\n\n".join(sections) + "\n"


def _throughput(cells: Sequence[CellFigures]) -> Iterator[str]:
    for columns, group in groupby(cells, _columns):
        names = [markdown_code(name) for name in columns]
        head = ["Model", "Configuration", *names, "Pooled", "95 % interval", "Mean of columns"]
        yield "## Completion tokens a second\n\n" + table(head, [_row(cell) for cell in group])


def _columns(cell: CellFigures) -> tuple[str, ...]:
    return tuple(prompt.prompt_id for prompt in cell.prompts)


def _row(cell: CellFigures) -> list[str]:
    return [
        markdown_code(cell.plan.cell.model),
        markdown_code(cell.configuration),
        *(wording.column(prompt.throughput) for prompt in cell.prompts),
        f"**{wording.pooled(cell.pooled)}**",
        wording.interval(cell.interval),
        wording.mean_of_columns(cell.mean_of_columns),
    ]


def _roofline(cells: Sequence[CellFigures]) -> Iterator[str]:
    """Yield the share of the roofline of each cell that has one; nothing where none has."""
    texts = [
        f"{cell.name}: {share}" for cell in cells if (share := wording.roofline(cell)) is not None
    ]
    if texts:
        yield "## Share of the roofline\n\n" + _list(texts)


def _latency(cells: Sequence[CellFigures]) -> str:
    rows = [
        [
            *(markdown_code(name) for name in (cell.plan.cell.model, cell.configuration)),
            wording.first_token(cell.time_to_first_token),
            wording.inter_token(cell.inter_token),
        ]
        for cell in cells
    ]
    head = ["Model", "Configuration", "Time to first token", "Inter-token latency"]
    return "## Latency\n\n" + table(head, rows)


def _advantages(advantages: Sequence[Advantage]) -> str:
    texts = [wording.advantage(one) for one in advantages] or [wording.no_advantage()]
    return "## MoE advantage\n\n" + _list(texts)


def _notes(summary: Summary) -> str:
    texts = [*wording.caveats(summary), wording.closing(summary), wording.ROUNDING]
    deviations = {
        f"Deviates from the article: {one.what} ({one.why})"
        for cell in summary.cells
        for one in cell.plan.deviations
    }
    return "## Notes\n\n" + _list([*texts, *sorted(deviations)])


def _evidence(cells: Sequence[CellFigures]) -> str:
    rows = [
        [
            markdown_code(cell.name),
            markdown_code(cell.bundle.id),
            str(cell.starts),
            wording.amount(cell),
        ]
        for cell in cells
    ]
    return "## Evidence\n\n" + table(["Cell", "Bundle", "Starts", "Pooled over"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(text)}" for text in texts)
