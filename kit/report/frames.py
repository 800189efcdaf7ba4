"""The figures as CSV for spreadsheets and data frames: the JSON flattened, one row per figure."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from kit.figures.summary import Summary
from kit.report import document
from kit.report.escape import csv_cell

IDENTITY = ("bundle_id", "host_id", "model", "topology", "suite", "protocol", "status")
FIGURES = {
    "tokens": "tokens",
    "seconds": "seconds",
    "tokens_per_s": "tokens_per_s",
    "interval_tokens_per_s_low": "interval_low_tokens_per_s",
    "interval_tokens_per_s_high": "interval_high_tokens_per_s",
    "time_to_first_token_median_s": "ttft_median_s",
    "inter_token_latency_median_s": "inter_token_latency_median_s",
    "inter_token_latency_p99_s": "inter_token_latency_p99_s",
    "roofline_tokens_per_s": "roofline_tokens_per_s",
    "roofline_share": "roofline_share",
}
"""The columns by their flattened names in the JSON."""


def render(summary: Summary) -> str:
    """Return one line for each cell, prompt and pass; a field without a figure is empty.

    `scope`: `cell`, `prompt`, `warmup` or `measured`; `name`: `pooled`, a prompt's id or a pass.
    """
    rows = [row for cell in summary.cells for row in _rows(document.cell_figures(cell))]
    frame = pd.json_normalize(rows, sep="_")
    frame = frame.reindex(columns=[*IDENTITY, "scope", "name", *FIGURES]).rename(columns=FIGURES)
    frame["tokens"] = frame["tokens"].astype("Int64")
    return frame.to_csv(index=False, lineterminator="\n")


def _rows(cell: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    identity = {name: csv_cell(cell[name]) for name in IDENTITY}
    yield (
        identity
        | {"scope": "cell", "name": "pooled"}
        | cell.get("pooled", {})
        | {
            part: cell.get(part)
            for part in ("time_to_first_token", "inter_token_latency", "roofline")
        }
    )
    for prompt in cell["prompts"]:
        yield identity | {"scope": "prompt", "name": csv_cell(prompt["prompt_id"])} | prompt
    for pass_ in cell["passes"]:
        yield identity | {"scope": pass_["phase"], "name": str(pass_["pass"])} | pass_
