"""The figures as CSV for spreadsheets and data frames: one row per figure, not rounded."""

from collections.abc import Iterator

import pandas as pd

from kit.figures.cell import CellFigures
from kit.figures.intervals import Interval
from kit.figures.summary import Summary
from kit.figures.throughput import Throughput
from kit.report.escape import csv_cell

COLUMNS = (
    "bundle_id",
    "host_id",
    "model",
    "topology",
    "suite",
    "protocol",
    "status",
    "scope",
    "name",
    "tokens",
    "seconds",
    "tokens_per_s",
    "interval_low_tokens_per_s",
    "interval_high_tokens_per_s",
    "ttft_median_s",
    "inter_token_latency_median_s",
    "inter_token_latency_p99_s",
    "roofline_tokens_per_s",
    "roofline_share",
)
"""`scope`: `cell`, `prompt`, `warmup` or `measured`; `name`: `pooled`, a prompt's id or a pass."""

Row = dict[str, str | int | float]


def render(summary: Summary) -> str:
    """Return one line for each cell, prompt and pass; a field without a figure is empty."""
    frame = pd.DataFrame(
        [row for cell in summary.cells for row in _rows(cell)], columns=list(COLUMNS)
    )
    frame["tokens"] = frame["tokens"].astype("Int64")
    return frame.to_csv(index=False, lineterminator="\n")


def _rows(cell: CellFigures) -> Iterator[Row]:
    identity = _identity(cell)
    whole = _throughput(cell.pooled, cell.interval) | _latencies(cell) | _roofline(cell)
    yield identity | {"scope": "cell", "name": "pooled"} | whole
    for prompt in cell.prompts:
        names = {"scope": "prompt", "name": csv_cell(prompt.prompt_id)}
        yield identity | names | _throughput(prompt.throughput, prompt.interval)
    for pass_ in cell.passes:
        names = {"scope": pass_.phase.value, "name": str(pass_.number)}
        yield identity | names | _throughput(pass_.throughput, None)


def _identity(cell: CellFigures) -> Row:
    document, plan = cell.bundle.document, cell.plan
    return {
        "bundle_id": cell.bundle.id,
        "host_id": csv_cell(document.host_id),
        "model": csv_cell(plan.cell.model),
        "topology": csv_cell(plan.cell.topology),
        "suite": csv_cell(plan.cell.suite),
        "protocol": plan.protocol.value,
        "status": document.status.value,
    }


def _throughput(throughput: Throughput | None, interval: Interval | None) -> Row:
    figures: Row = {}
    if throughput:
        figures |= {
            "tokens": throughput.tokens,
            "seconds": throughput.seconds,
            "tokens_per_s": throughput.tokens_per_s,
        }
    if interval:
        figures["interval_low_tokens_per_s"] = interval.low
        figures["interval_high_tokens_per_s"] = interval.high
    return figures


def _latencies(cell: CellFigures) -> Row:
    figures: Row = {}
    if cell.time_to_first_token:
        figures["ttft_median_s"] = cell.time_to_first_token.summary.median_s
    if cell.inter_token:
        figures["inter_token_latency_median_s"] = cell.inter_token.summary.median_s
        figures["inter_token_latency_p99_s"] = cell.inter_token.summary.p99_s
    return figures


def _roofline(cell: CellFigures) -> Row:
    if cell.roofline is None or cell.roofline_share is None:
        return {}
    return {
        "roofline_tokens_per_s": cell.roofline.tokens_per_s,
        "roofline_share": cell.roofline_share,
    }
