"""Pictures as PNG and SVG bytes: the same summary, the same bytes.

Only the font that matplotlib ships is used, no setting of the user's, no date and no random id.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kit.figures.summary import Summary
from kit.report import charts, wording

FONT = "DejaVu Sans"
PNG_DPI = 200
STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelcolor": charts.INK,
    "axes.edgecolor": charts.FAINT,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": charts.FAINT,
    "grid.alpha": 0.35,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.color": charts.INK,
    "text.parse_math": False,  # a name from a bundle may hold dollar signs
    "xtick.color": charts.INK,
    "ytick.color": charts.INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "report",  # ids in the SVG would otherwise be random
}

_SHADES = {
    charts.INK: "ink",
    charts.FAINT: "faint",
    charts.COLOURS[0]: "blue",
    "#ffffff": "paper",
}
"""What the page shows in its own colours, so that the pictures are readable in dark mode too."""

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One chart in both formats; `text` says in words what it shows."""

    name: str
    title: str
    text: str
    png: bytes
    svg: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chart:
    name: str
    title: str
    text: str
    draw: Callable[[Summary, Figure], bool]


_CHARTS = (
    _Chart(
        name="throughput",
        title="Throughput by prompt",
        text="Bars show completion tokens a second for each prompt and pooled over all; the "
        "vertical lines are 95 % intervals, missing below three passes.",
        draw=charts.throughput,
    ),
    _Chart(
        name="moe-against-dense",
        title="MoE against dense",
        text="How many times as fast the MoE model is as the dense one, pooled and for each "
        "prompt, with 95 % intervals.",
        draw=charts.advantage,
    ),
    _Chart(
        name="passes",
        title="Passes over time",
        text="Each thick line is a pass, each dot a request; grey is the warm-up, which does not "
        "count. The thin line is the pooled rate, the band its 95 % interval. Each panel has its "
        "own scale, which shows at least 6 % to either side.",
        draw=charts.passes,
    ),
    _Chart(
        name="inter-token-latency",
        title="Inter-token latency",
        text="For each time on the lower axis, the share of gaps between two tokens that were no "
        "longer, in the streaming pass. A steep line is an even flow.",
        draw=charts.inter_token,
    ),
)


def draw(summary: Summary) -> tuple[Picture, ...]:
    """Draw every chart for which there are figures."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return tuple(_pictures(summary))


def _pictures(summary: Summary) -> Iterator[Picture]:
    for chart in _CHARTS:
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        if chart.draw(summary, figure):
            _frame(figure, chart.title, _caption(summary))
            yield Picture(
                name=chart.name,
                title=chart.title,
                text=chart.text,
                png=_bytes(figure, "png", {"Software": None}),
                svg=_bytes(figure, "svg", _NO_METADATA),
            )


def _caption(summary: Summary) -> str:
    twins = any(cell.is_twin for cell in summary.cells)
    return wording.TWINS_CAPTION if twins else wording.OWN_CAPTION


def _frame(figure: Figure, title: str, caption: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(textwrap.fill(caption, 80), x=0.01, ha="left", fontsize=9)


def _bytes(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()


def inline(picture: Picture) -> str:
    """Return the SVG as an element of a page.

    Its ids are unique there, it names no URL, and it takes the page's ink and paper.
    """
    svg = picture.svg.decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{picture.name}-', svg)
    svg = re.sub(r'xlink:href="#', f'href="#{picture.name}-', svg)
    svg = svg.replace("url(#", f"url(#{picture.name}-")
    for shade, name in _SHADES.items():
        svg = svg.replace(shade.lower(), f"var(--{name})")
    return svg
