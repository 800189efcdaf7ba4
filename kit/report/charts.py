"""The charts, drawn from a summary onto a matplotlib figure; knows no file format.

A chart shows at most `MOST_PANELS` panels and `MOST_PROMPTS` prompts; the tables show all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from pathlib import PurePath
from statistics import quantiles

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from kit.figures.advantage import Advantage, Ratio
from kit.figures.cell import CellFigures, PassFigures
from kit.figures.intervals import Interval
from kit.figures.levels import Levels
from kit.figures.summary import Summary
from kit.figures.throughput import Throughput
from kit.plan.schedule import Phase
from kit.report import wording
from kit.report.escape import shortened

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe and Ito's palette, which colour-blind readers can tell apart (jfly.uni-koeln.de/color)."""

INK = "#1a1c21"
FAINT = "#8c9099"
"""Used for nothing else, because the HTML page replaces these two by its own shades."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
CELLS_A_PANEL = 6
MOST_PANELS = 8
MOST_PROMPTS = 10
WIDTH_IN = 5.4
LABEL_WIDTH = 30
QUANTILES = 400
OFF_AXIS = 0.02
"""The share of a cell's shortest gaps that may lie left of the axis: tokens that arrived together
would stretch it over decades."""

SHORTEST_GAP_S = 1e-7
"""A logarithmic axis has no zero: gaps of tokens that arrived together are not drawn."""


def throughput(summary: Summary, figure: Figure) -> bool:
    """Draw tok/s for each prompt and pooled, with 95 % intervals; return whether any exist."""
    groups = [[cell for cell in cells if cell.pooled] for cells in summary.by_prompts().values()]
    panels = [panel for cells in groups for panel in _panels(cells)][:MOST_PANELS]
    stack = _stack(figure, len(panels), 3.4)
    for axes, panel in zip(stack, panels, strict=True):
        _bars(axes, panel)
    for axes in stack:
        axes.set_ylim(0, max(other.get_ylim()[1] for other in stack))
    return bool(panels)


def agents(summary: Summary, figure: Figure) -> bool:
    """Draw throughput, rate of a request and time to first token by the number of agents."""
    shown = [levels for levels in summary.levels if any(cell.pooled for cell in levels.cells)]
    shown = shown[:CELLS_A_PANEL]
    stack = _stack(figure, 3 if shown else 0, 2.2)
    for axes, (label, values) in zip(stack, _BY_AGENTS.items(), strict=False):
        for row, levels in enumerate(shown):
            _by_agents(axes, levels, values, row)
        axes.set_ylabel(label)
        if math.isfinite(axes.dataLim.ymax):  # else no request lies within a window
            axes.set_ylim(0, 1.12 * axes.dataLim.ymax)
        axes.set_xlim(0, 1 + max(_agents_of(levels) for levels in shown))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    if stack:
        stack[-1].set_xlabel("agents")
        _legend(figure, stack[0])
    return bool(shown)


def _agents_of(levels: Levels) -> int:
    """Return the most agents of a level."""
    return max(cell.plan.cell.agents or 1 for cell in levels.cells)


def in_flight(summary: Summary, figure: Figure) -> bool:
    """Draw requests in flight over the time of a run with agents; return whether any exist."""
    cells = [cell for cell in summary.cells if cell.swarm and cell.swarm.windows][:MOST_PANELS]
    stack = _stack(figure, len(cells), 1.3)
    for axes, cell in zip(stack, cells, strict=True):
        _flight(axes, cell, COLOURS[0])
    if stack:
        stack[-1].set_xlabel("time since the start of the run (s)")
    return bool(cells)


def passes(summary: Summary, figure: Figure) -> bool:
    """Draw each pass over the time of the run, one panel per cell; return whether any exist."""
    cells = [cell for cell in summary.cells if cell.passes and not cell.swarm][:MOST_PANELS]
    stack = _stack(figure, len(cells), 1.9)
    for axes, cell in zip(stack, cells, strict=True):
        _timeline(axes, cell, COLOURS[summary.cells.index(cell) % len(COLOURS)])
        axes.set_xlim(0, 1.02 * max(pass_.end_s for cell in cells for pass_ in cell.passes))
    if stack:
        _legend(figure, stack[0])
        stack[-1].set_xlabel("time since the start of the run (s)")
    return bool(cells)


def inter_token(summary: Summary, figure: Figure) -> bool:
    """Draw the distribution of inter-token latencies; return whether any exist."""
    cells = [cell for cell in summary.cells if _gaps_ms(cell)]
    panels = _panels(cells)[:MOST_PANELS]
    gaps_ms = [_gaps_ms(cell) for cell in cells]
    for axes, panel in zip(_stack(figure, len(panels), 3.4), panels, strict=True):
        _distribution(axes, panel)
        lowest_ms = min(gaps[int(OFF_AXIS * len(gaps))] for gaps in gaps_ms)
        _log_ticks(axes, lowest_ms, max(gaps[-1] for gaps in gaps_ms))
    return bool(cells)


def advantage(summary: Summary, figure: Figure) -> bool:
    """Draw the MoE advantage, pooled and for each prompt; return whether any exist."""
    advantages = summary.advantages[:MOST_PANELS]
    tallest = max((len(_ratios(shown)) for shown in advantages), default=0)
    stack = _stack(figure, len(advantages), 1.1 + 0.24 * tallest)
    for axes, shown in zip(stack, advantages, strict=True):
        _dots(axes, shown)
    return bool(advantages)


def _stack(figure: Figure, panels: int, height_in: float) -> list[Axes]:
    """Return panels one below the other, and set the figure's size."""
    figure.set_size_inches(WIDTH_IN, 0.7 + height_in * max(panels, 1))
    return [figure.add_subplot(panels, 1, row + 1) for row in range(panels)]


def _panels(cells: Sequence[CellFigures]) -> list[Sequence[CellFigures]]:
    """Return the cells, a few per panel."""
    return [cells[first : first + CELLS_A_PANEL] for first in range(0, len(cells), CELLS_A_PANEL)]


def _bars(axes: Axes, cells: Sequence[CellFigures]) -> None:
    names = [_drawn(prompt.prompt_id, 9) for prompt in cells[0].prompts[:MOST_PROMPTS]]
    places = [*range(len(names)), len(names) + 0.35]  # pooled stands a little apart
    width = 0.82 / len(cells)
    for row, cell in enumerate(cells):
        offset = (row - (len(cells) - 1) / 2) * width
        for place, (rate, interval) in zip(places, _columns(cell), strict=True):
            if rate is None:
                continue
            axes.bar(place + offset, rate.tokens_per_s, width * 0.94, color=COLOURS[row])
            top = interval.high if interval else rate.tokens_per_s
            if interval:
                axes.vlines(place + offset, interval.low, top, colors=INK, linewidth=1.4)
            if len(cells) <= 2:  # with more bars the numbers would collide
                _write_above(axes, place + offset, top, f"{rate.tokens_per_s:.1f}")
        axes.bar([0], [0], color=COLOURS[row], label=label_of(cell))
    axes.set_xticks(places, [*names, "pooled"])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("completion tokens per second")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    _legend_above(axes, cells)


def _columns(cell: CellFigures) -> list[tuple[Throughput | None, Interval | None]]:
    prompts = [(prompt.throughput, prompt.interval) for prompt in cell.prompts[:MOST_PROMPTS]]
    return [*prompts, (cell.pooled, cell.interval)]


Bounds = tuple[float, float, float]
"""A value, and the low and high end of its interval or the quartiles of its samples."""


def _by_agents(
    axes: Axes, levels: Levels, values: Callable[[CellFigures], Bounds | None], row: int
) -> None:
    cells = [(cell, found) for cell in levels.cells if (found := values(cell)) is not None]
    counts = [cell.swarm.agents for cell, _ in cells if cell.swarm is not None]
    middles = [value for _, (value, _, _) in cells]
    colour, dashes = COLOURS[row], DASHES[row]
    label = _drawn(levels.name, LABEL_WIDTH)
    axes.plot(counts, middles, "o", color=colour, linestyle=dashes, markersize=4, label=label)
    lows, highs = [low for _, (_, low, _) in cells], [high for _, (_, _, high) in cells]
    axes.vlines(counts, lows, highs, colors=colour, linewidth=1.4)


def _effective(cell: CellFigures) -> Bounds | None:
    if cell.pooled is None:
        return None
    rate, bounds = cell.pooled.tokens_per_s, cell.interval
    return (rate, bounds.low, bounds.high) if bounds else (rate, rate, rate)


def _request_rate(cell: CellFigures) -> Bounds | None:
    return _middle(cell.swarm.request_rates) if cell.swarm else None


def _ttft_ms(cell: CellFigures) -> Bounds | None:
    samples_s = cell.time_to_first_token.samples_s if cell.time_to_first_token else ()
    return _middle([1000 * seconds for seconds in samples_s])


_BY_AGENTS: Mapping[str, Callable[[CellFigures], Bounds | None]] = {
    "effective tok/s": _effective,
    "tok/s a request": _request_rate,
    "time to first token (ms)": _ttft_ms,
}


def _middle(values: Sequence[float]) -> Bounds | None:
    """Return the median and the quartiles."""
    if len(values) < 2:
        return (values[0], values[0], values[0]) if values else None
    low, middle, high = quantiles(values, n=4)
    return middle, low, high


def _flight(axes: Axes, cell: CellFigures, colour: str) -> None:
    starts = [(record.sent_s, 1) for record in cell.bundle.records]
    ends = [(record.sent_s + record.wall_s, -1) for record in cell.bundle.records]
    events = sorted(starts + ends)
    counts = list(accumulate(step for _, step in events))
    axes.step([at_s for at_s, _ in events], counts, where="post", color=colour, linewidth=1)
    for window in cell.swarm.windows if cell.swarm else ():
        axes.axvspan(window.start_s, window.end_s, color=FAINT, alpha=0.3, lw=0)
    axes.set_ylim(0, 1.12 * max(counts))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_title(label_of(cell), loc="left")


def _timeline(axes: Axes, cell: CellFigures, colour: str) -> None:
    if cell.pooled:
        axes.axhline(cell.pooled.tokens_per_s, color=INK, linewidth=1, label="pooled")
    if cell.interval:
        axes.axhspan(
            cell.interval.low, cell.interval.high, color=FAINT, alpha=0.3, lw=0, label="95 %"
        )
    for pass_ in cell.passes:
        _pass(axes, pass_, FAINT if pass_.phase is Phase.WARMUP else colour)
    low, high = axes.get_ylim()
    middle = cell.pooled.tokens_per_s if cell.pooled else (low + high) / 2
    axes.set_ylim(min(low, middle * 0.94), max(high, middle * 1.06))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylabel("tok/s")
    axes.grid(axis="y")
    axes.set_title(label_of(cell), loc="left")


def _pass(axes: Axes, pass_: PassFigures, colour: str) -> None:
    rate = pass_.throughput.tokens_per_s
    times = [sent_s + wall_s / 2 for sent_s, wall_s, _ in pass_.requests]
    rates = [rate for _, _, rate in pass_.requests]
    axes.plot(times, rates, "o", color=colour, markersize=3.5, alpha=0.75, markeredgewidth=0)
    axes.hlines([rate], [pass_.start_s], [pass_.end_s], colors=colour, linewidth=2.5, zorder=3)
    if pass_.phase is Phase.WARMUP:
        _write_above(axes, (pass_.start_s + pass_.end_s) / 2, max(rates), "warm-up")


def _write_above(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=8)


def _gaps_ms(cell: CellFigures) -> list[float]:
    """Return the gaps between tokens that can be drawn, in ascending order."""
    gaps = cell.inter_token.samples_s if cell.inter_token else ()
    return sorted(1000 * gap for gap in gaps if gap > SHORTEST_GAP_S)


def _distribution(axes: Axes, cells: Sequence[CellFigures]) -> None:
    shares = [100 * step / QUANTILES for step in range(QUANTILES + 1)]
    for row, cell in enumerate(cells):
        gaps = _gaps_ms(cell)
        points = [gaps[round(share / 100 * (len(gaps) - 1))] for share in shares]
        axes.plot(points, shares, color=COLOURS[row], linestyle=DASHES[row], label=label_of(cell))
    axes.set_xlabel("inter-token latency (ms, logarithmic)")
    axes.set_ylabel("share of gaps up to this time (%)")
    axes.grid()
    _legend_above(axes, cells)


def _log_ticks(axes: Axes, low: float, high: float) -> None:
    """Label 1, 2 and 5 of each decade, and show at least a factor of six."""
    spare = max(1.15, (6 * low / high) ** 0.5)
    axes.set_xscale("log")
    axes.set_xlim(low / spare, high * spare)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _ratios(shown: Advantage) -> list[tuple[str, Ratio]]:
    return [("pooled", shown.pooled), *shown.prompts[:MOST_PROMPTS]]


def _dots(axes: Axes, shown: Advantage) -> None:
    rows = _ratios(shown)
    furthest = 1.0
    for row, (_, ratio) in enumerate(rows):
        colour = COLOURS[0] if row == 0 else FAINT
        text, furthest = f"{ratio.value:.2f}", max(furthest, ratio.value)
        if bounds := ratio.interval:
            axes.hlines([row], [bounds.low], [bounds.high], colors=colour, lw=2)
            text, furthest = f"{text}  ({wording.interval(bounds)})", max(furthest, bounds.high)
        axes.plot([ratio.value], [row], "D" if row == 0 else "o", color=colour, markersize=6)
        axes.annotate(
            text,
            (1.02, row),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_xlim(0, 1.08 * furthest)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [_drawn(name, 12) for name, _ in rows])
    axes.set_xlabel("MoE rate / dense rate (1: equally fast)")
    axes.grid(axis="x")
    models = " / ".join(_drawn(side[0].plan.cell.model, 18) for side in (shown.moe, shown.dense))
    axes.set_title(f"{models} on {_drawn(shown.configuration, 18)}", loc="left")


def _legend_above(axes: Axes, cells: Sequence[CellFigures]) -> None:
    """Add a legend above the panel, in two columns if the names are short enough."""
    columns = 2 if max(len(label_of(cell)) for cell in cells) <= LABEL_WIDTH else 1
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=2)


def _drawn(text: str, width: int) -> str:
    """Return at most `width` characters of `text`, those that the font lacks as `?`."""
    return "".join(c if ord(c) in _glyphs() else "?" for c in shortened(text, width))


def label_of(cell: CellFigures) -> str:
    """Return a cell's name as it is drawn."""
    where = cell.configuration.removeprefix(cell.plan.cell.topology)
    name = f"{_drawn(cell.plan.cell.model, 20)} on {_drawn(cell.plan.cell.topology, 12)}{where}"
    return f"{name} (partial)" if cell.is_partial else name


@cache
def _glyphs() -> frozenset[int]:
    """Return the characters that matplotlib's font has; it warns of every other one."""
    path = PurePath(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(FT2Font(str(path)).get_charmap())
