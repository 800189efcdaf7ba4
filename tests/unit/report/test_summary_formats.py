"""The summary as plain text, Markdown, JSON and CSV."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from kit.bundle.bag import Bundle
from kit.figures.intervals import RESTART_FLOOR
from kit.figures.summary import Summary, summarise
from kit.report import document, frames, markdown, page, terminal
from tests.unit.report.factory import DENSE, MOE, Shape, make

ROOT = Path(__file__).resolve().parents[3]
RENDERERS = [terminal.render, markdown.render, document.render, frames.render]
HOSTILE = st.text(alphabet="=+-@\t\r\n\x1b\u202e\x9b|`<>&\"'[]()*_#$\\{}a1é日", max_size=24)


def both() -> Summary:
    return summarise([make(MOE), make(DENSE)])


def hostile(model: str, topology: str, prompt_id: str, sentence: str) -> Bundle:
    return make(
        replace(
            MOE,
            model=model,
            topology=topology,
            prompts=(prompt_id,),
            deviation=sentence,
            passes=1,
            stream_passes=0,
            host_id=sentence,
        )
    )


def test_the_table_has_the_articles_form() -> None:
    title, over, head, *_ = terminal.render(both()).splitlines()
    assert title == "Completion tokens per second"
    assert over.strip() == "Mean of"
    assert head.split() == [
        *("Model", "Configuration", "impl", "debug", "test", "refactor", "design"),
        *("Pooled", "95", "%", "interval", "columns"),
    ]


@pytest.mark.parametrize(
    "shape",
    [
        MOE,
        replace(MOE, model="Qwen/Qwen3-Coder-30B-A3B-Instruct", topology="tp2-nvlink-and-more"),
        replace(MOE, tokens_per_s=1234.5),
        replace(MOE, kept=7),
        replace(MOE, prompts=tuple(f"a-long-prompt-{number}" for number in range(5))),
    ],
)
def test_no_line_is_wider_than_a_hundred_columns(shape: Shape) -> None:
    bundles = [make(replace(shape, seed=seed)) for seed in range(3)]
    assert max(len(line) for line in terminal.render(summarise(bundles)).splitlines()) <= 100


def test_a_terminal_that_claims_colours_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = terminal.render(both())
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "40", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    assert terminal.render(both()) == plain


def test_wide_characters_keep_the_columns_aligned() -> None:
    names = [make(replace(MOE, model=model)) for model in ("日本語", "moe-mini")]
    _, _, head, *rows, _ = terminal.render(summarise(names)).split("\n\n")[0].splitlines()
    assert [cell_len(row) for row in rows] == [cell_len(head)] * len(rows)


def test_many_prompts_leave_the_terminals_table_and_not_the_others() -> None:
    names = tuple(f"p{number}" for number in range(20))
    summary = summarise([make(replace(MOE, prompts=names))])
    assert "p19" not in terminal.render(summary)
    assert "`p19`" in markdown.render(summary)


def test_the_source_of_the_numbers_is_named() -> None:
    for render in (terminal.render, markdown.render, document.render):
        assert "not the article's" in " ".join(render(both()).split())
    assert "both are twins" in " ".join(terminal.render(both()).split())
    own = summarise([make(replace(MOE, model="moe", twin_of=None))])
    assert "twin" not in terminal.render(own)
    assert "not the article's" in terminal.render(own)


def test_the_floor_of_intervals_is_stated() -> None:
    floor = f"{100 * RESTART_FLOOR:g} %"
    assert f"a floor of {floor}" in terminal.render(both())
    assert f"about {floor}, which" in " ".join(page.render(both(), (), ()).split())


def test_a_partial_run_and_a_missing_interval_are_stated() -> None:
    text = " ".join(terminal.render(summarise([make(replace(MOE, kept=9))])).split())
    assert "stopped early (disconnected at measured-2)" in text
    assert "no interval, fewer than 3 complete passes" in text
    assert "not measured (no streamed response)" in text


@pytest.mark.parametrize("render", RENDERERS)
def test_nothing_measured_still_renders(render: Callable[[Summary], str]) -> None:
    assert render(summarise([]))
    assert "nan" not in render(summarise([make(replace(MOE, kept=0))])).lower()


@pytest.mark.parametrize("render", RENDERERS)
def test_the_same_bundles_give_the_same_text(render: Callable[[Summary], str]) -> None:
    assert render(both()) == render(both())


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_format_lets_control_characters_through(
    model: str, topology: str, prompt_id: str, sentence: str
) -> None:
    summary = summarise([hostile(model, topology, prompt_id, sentence)])
    for render in RENDERERS:
        assert render(summary).replace("\n", "").isprintable()


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_markdown_tables_keep_their_columns(
    model: str, topology: str, prompt_id: str, sentence: str
) -> None:
    text = markdown.render(summarise([hostile(model, topology, prompt_id, sentence)]))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_csv_holds_no_formula_and_json_reads_back(
    model: str, topology: str, prompt_id: str, sentence: str
) -> None:
    summary = summarise([hostile(model, topology, prompt_id, sentence)])
    for row in csv.reader(io.StringIO(frames.render(summary))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    (cell,) = json.loads(document.render(summary))["cells"]
    assert (cell["model"], cell["topology"]) == (model, topology)
    assert cell["prompts"][0]["prompt_id"] == prompt_id


def test_json_is_unrounded() -> None:
    summary = both()
    figures = json.loads(document.render(summary))
    pooled = summary.cells[0].pooled
    assert pooled
    assert figures["cells"][0]["pooled"]["tokens_per_s"] == pooled.tokens_per_s
    assert figures["cells"][0]["pooled"]["seconds"] == pooled.seconds
    assert figures["moe_advantages"][0]["pooled"]["ratio"] == summary.advantages[0].pooled.value


def test_every_number_in_json_says_its_unit() -> None:
    bare = {"figures_version", "starts", "tokens", "samples", "pass", "ratio"}
    inherited = {"low", "high", "confidence"}  # in an object whose own key says the unit
    assert len(list(numbers(json.loads(document.render(both()))))) > 100
    for key, value in numbers(json.loads(document.render(both()))):
        known = key in bare | inherited or key == "seconds" or key.endswith("_s")
        assert known, (key, value)


def numbers(value: object, key: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, key)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value


def test_absent_figures_are_absent_in_json() -> None:
    figures = json.loads(document.render(summarise([make(replace(MOE, kept=0))])))
    (cell,) = figures["cells"]
    assert not {"pooled", "time_to_first_token", "inter_token_latency"} & cell.keys()


def test_csv_has_a_row_a_figure_unrounded() -> None:
    summary = both()
    rows = list(csv.DictReader(io.StringIO(frames.render(summary))))
    assert [row["scope"] for row in rows[:12]] == [
        *("cell", *["prompt"] * 5, "warmup", *["measured"] * 5)
    ]
    pooled = summary.cells[0].pooled
    assert pooled
    assert float(rows[0]["tokens_per_s"]) == pooled.tokens_per_s
    assert rows[0]["tokens"] == str(pooled.tokens)


def test_a_summary_needs_neither_pandas_nor_matplotlib() -> None:
    program = (
        "import sys, kit.figures.summary, kit.report.terminal, kit.report.markdown, "
        "kit.report.document; sys.exit(bool({'pandas', 'matplotlib'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
