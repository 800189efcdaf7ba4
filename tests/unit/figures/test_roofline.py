"""The share of the roofline is shown by every format if it is known, and by none otherwise."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from kit.bundle.bag import Bundle
from kit.check.verify import verify
from kit.edge.files import checkout
from kit.figures.summary import Summary, summarise
from kit.plan.topology import Device
from kit.report import document, frames, markdown, page, terminal
from tests.factory import KNOWN, Settings, draft
from tests.unit.report.factory import DENSE, MOE, Shape, make, with_plan

YARDSTICKS = checkout.yardsticks()
RTX_3090 = "NVIDIA GeForce RTX 3090"
RENDERERS: dict[str, Callable[[Summary], str]] = {
    "terminal": terminal.render,
    "markdown": markdown.render,
    "json": document.render,
    "csv": frames.render,
    "html": lambda summary: page.render(summary, (), ()),
}


def on_gpus(shape: Shape, model: str, *gpus: str) -> Bundle:
    """Return a cell of one of the article's models on the first of these GPUs."""
    made = make(dataclasses.replace(shape, model=model, twin_of=None, topology="tp1"))
    plan = made.document.plan
    assert plan.engine is not None
    on_gpu = with_plan(made, replace(plan, engine=replace(plan.engine, device=Device.GPU)))
    return dataclasses.replace(on_gpu, gpus=gpus)


@pytest.mark.parametrize(
    ("model", "tokens_per_s", "share"), [("moe", 168.4, 0.39), ("dense", 41.0, 0.78)]
)
def test_the_articles_cells_on_one_gpu(model: str, tokens_per_s: float, share: float) -> None:
    shape = dataclasses.replace(MOE, tokens_per_s=tokens_per_s)
    (cell,) = summarise([on_gpus(shape, model, RTX_3090)], YARDSTICKS).cells
    assert cell.roofline_share == pytest.approx(share, abs=0.02)
    assert cell.roofline is not None
    assert cell.roofline.gpus == (RTX_3090,)


def test_every_format_shows_it() -> None:
    summary = summarise([on_gpus(MOE, "moe", RTX_3090, RTX_3090)], YARDSTICKS)
    texts = {name: render(summary) for name, render in RENDERERS.items()}
    (cell,) = summary.cells
    share = f"{cell.roofline_share:.0%}".replace("%", " %")
    words = f"{share} of 430.2 tok/s, the limit by 936 GB/s (1 x {RTX_3090})"
    assert f"share of roofline    {words}" in texts["terminal"]
    assert words in texts["markdown"].replace("\\", "")
    assert f">{share}<" in texts["html"]
    figures = json.loads(texts["json"])["cells"][0]["roofline"]
    assert figures["share"] == cell.roofline_share
    assert figures["gpus"] == [RTX_3090]
    row = next(csv.DictReader(io.StringIO(texts["csv"])))
    assert float(row["roofline_share"]) == pytest.approx(cell.roofline_share)
    assert float(row["roofline_tokens_per_s"]) == pytest.approx(430.2, abs=0.05)


@pytest.mark.parametrize(
    "made",
    [
        make(MOE),
        make(DENSE),
        on_gpus(MOE, "moe"),
        on_gpus(MOE, "moe", "A Card That Nobody Knows"),
        on_gpus(MOE, "some-model", RTX_3090),
    ],
)
@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_an_unknown_roofline_is_not_shown(made: Bundle, name: str) -> None:
    text = RENDERERS[name](summarise([made], YARDSTICKS))
    if name == "csv":
        assert {row["roofline_share"] for row in csv.DictReader(io.StringIO(text))} == {""}
    else:
        assert "of roofline" not in text
        assert "Share of the roofline" not in text
        assert '"roofline"' not in text


def test_without_yardsticks_nothing_is_known() -> None:
    (cell,) = summarise([on_gpus(MOE, "moe", RTX_3090)]).cells
    assert (cell.roofline, cell.roofline_share) == (None, None)


def test_a_cell_without_a_figure_has_no_share() -> None:
    nothing = dataclasses.replace(on_gpus(MOE, "moe", RTX_3090), records=())
    summary = summarise([nothing], YARDSTICKS)
    (cell,) = summary.cells
    assert cell.roofline is not None
    assert cell.roofline_share is None
    for name, render in RENDERERS.items():
        assert "None" not in render(summary), name


def test_a_bundle_names_the_gpus_of_its_telemetry() -> None:
    for settings, gpus in (
        (Settings(topology="tp2-nvlink", model="moe"), (RTX_3090, RTX_3090)),
        (Settings(), ()),
    ):
        bundle = verify("case", draft(settings).seal(), (), KNOWN).bundle
        assert bundle is not None
        assert bundle.gpus == gpus
