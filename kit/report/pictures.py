"""The charts as PNG and SVG: the same summary gives the same bytes.

No user setting, date or random id enters a file, and only matplotlib's own font is used.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kit.figures.summary import Summary
from kit.report import charts, energy_charts

PNG_DPI = 200
TWINS_CAPTION = "Measured with small twins with random weights: not the article's numbers."
OWN_CAPTION = "Measured on this server: not the article's numbers."
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
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
"""Colours that the page replaces by variables, so that charts are readable in dark mode too."""

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One chart in both formats; `text` describes it in words."""

    name: str
    title: str
    text: str
    png: bytes
    svg: bytes

    def inline(self) -> Markup:
        """Return the SVG as an element of the page.

        Its ids are unique there, it refers to no URL, and it takes the page's colours.
        """
        svg = self.svg.decode()
        svg = svg[svg.index("<svg") + len("<svg") :]
        svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'\bid="', f'id="{self.name}-', svg)
        svg = re.sub(r'xlink:href="#', f'href="#{self.name}-', svg)
        svg = svg.replace("url(#", f"url(#{self.name}-")
        for shade, name in _SHADES.items():
            svg = svg.replace(shade.lower(), f"var(--{name})")
        opening = Markup('<svg role="img" aria-label="{}"').format(f"{self.title}. {self.text}")
        return opening + Markup(svg)  # noqa: S704  # matplotlib's own; text is drawn as paths


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
        text="Completion tokens per second for each prompt and pooled over all. Vertical lines "
        "are 95 % intervals, which need three passes.",
        draw=charts.throughput,
    ),
    _Chart(
        name="agents",
        title="Agents at once",
        text="Effective throughput of all agents with its 95 % interval, the rate of one request, "
        "and time to first token, both as median and quartiles, by the number of agents.",
        draw=charts.agents,
    ),
    _Chart(
        name="requests-in-flight",
        title="Requests in flight",
        text="How many requests were in flight over the time of a run with agents. Only what "
        "arrived in the shaded windows counts.",
        draw=charts.in_flight,
    ),
    _Chart(
        name="moe-against-dense",
        title="MoE against dense",
        text="Rate of the MoE model divided by that of the dense model, pooled and for each "
        "prompt, with 95 % intervals.",
        draw=charts.advantage,
    ),
    _Chart(
        name="passes",
        title="Passes over time",
        text="Each thick line is a pass, each dot a request; the warm-up, in grey, does not "
        "count. The thin line is the pooled rate, the band its 95 % interval. Each panel has its "
        "own scale, at least 6 % to either side of the pooled rate.",
        draw=charts.passes,
    ),
    _Chart(
        name="energy",
        title="Energy",
        text="Joules of all GPU boards for each token, with the part that they take while idle.",
        draw=energy_charts.energy,
    ),
    _Chart(
        name="power-limits",
        title="Power limits",
        text="Throughput and joules a token against the power limit of each board.",
        draw=energy_charts.power_limits,
    ),
    _Chart(
        name="inter-token-latency",
        title="Inter-token latency",
        text="Cumulative distribution of the time between two tokens in the streaming pass, but "
        "for the shortest 2 %. A steep line means evenly spaced tokens.",
        draw=charts.inter_token,
    ),
)


def draw(summary: Summary) -> tuple[Picture, ...]:
    """Return every chart that the summary has figures for."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return tuple(_pictures(summary))


def _pictures(summary: Summary) -> Iterator[Picture]:
    has_twins = any(cell.is_twin for cell in summary.cells)
    for chart in _CHARTS:
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        if chart.draw(summary, figure):
            _frame(figure, chart.title, TWINS_CAPTION if has_twins else OWN_CAPTION)
            yield Picture(
                name=chart.name,
                title=chart.title,
                text=chart.text,
                png=_bytes(figure, "png", {"Software": None}),
                svg=_bytes(figure, "svg", _NO_METADATA),
            )


def _frame(figure: Figure, title: str, caption: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.supxlabel(textwrap.fill(caption, 80), x=0.01, ha="left", fontsize=9)


def _bytes(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()
