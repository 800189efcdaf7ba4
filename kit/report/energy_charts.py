"""The charts of energy: joules a token by cell, and by the boards' power limit."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kit.figures.cell import CellFigures
from kit.figures.energy import Energy
from kit.figures.summary import Summary
from kit.report.charts import COLOURS, FAINT, WIDTH_IN, label_of

MOST_CELLS = 16
FEWEST_LIMITS = 2


def energy(summary: Summary, figure: Figure) -> bool:
    """Draw joules a token of each cell, the part of the idle boards apart; return whether any."""
    shown = _with_energy(summary.cells)[:MOST_CELLS]
    if not shown:
        return False
    figure.set_size_inches(WIDTH_IN, 1.2 + 0.34 * len(shown))
    axes = figure.subplots()
    for row, (_, found) in enumerate(shown):
        net = found.net_joules_per_token
        own = found.joules_per_token if net is None else max(0.0, net)
        axes.barh(row, own, color=COLOURS[0])
        axes.barh(row, found.joules_per_token - own, left=own, color=FAINT)
        axes.annotate(
            f"{found.joules_per_token:.2f}",
            (found.joules_per_token, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(shown)), [label_of(cell) for cell, _ in shown])
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xlabel("joules a token (grey: what the idle boards take)")
    axes.grid(axis="x")
    return True


def power_limits(summary: Summary, figure: Figure) -> bool:
    """Draw tok/s and joules a token against the power limit, where cells differ in it."""
    curves = list(_curves(summary.cells))
    if not curves:
        return False
    figure.set_size_inches(WIDTH_IN, 4.6)
    rate, joules = figure.subplots(2, 1, sharex=True)
    for number, curve in enumerate(curves):
        _curve(rate, joules, curve, COLOURS[number % len(COLOURS)])
    rate.set_ylabel("tok/s")
    joules.set_ylabel("joules a token")
    joules.set_xlabel("power limit of each board (W)")
    for axes in (rate, joules):
        axes.set_ylim(0, 1.12 * axes.dataLim.ymax)
        axes.grid()
    rate.legend(loc="lower right")
    return True


def _with_energy(cells: Sequence[CellFigures]) -> list[tuple[CellFigures, Energy]]:
    return [(cell, cell.energy) for cell in cells if isinstance(cell.energy, Energy)]


Curve = list[tuple[CellFigures, Energy]]


def _curves(cells: Sequence[CellFigures]) -> Iterator[Curve]:
    """Yield the cells of one model, topology and suite that were run under different limits."""
    groups: dict[object, Curve] = {}
    for cell, found in _with_energy(cells):
        if found.power_limit_w is not None and cell.pooled is not None:
            groups.setdefault(cell.plan.cell, []).append((cell, found))
    for group in groups.values():
        if len({found.power_limit_w for _, found in group}) >= FEWEST_LIMITS:
            yield sorted(group, key=lambda pair: pair[1].power_limit_w or 0.0)


def _curve(rate: Axes, joules: Axes, curve: Curve, colour: str) -> None:
    limits = [found.power_limit_w or 0.0 for _, found in curve]
    rates = [cell.pooled.tokens_per_s for cell, _ in curve if cell.pooled]
    cell = curve[0][0].plan.cell
    name = f"{cell.model} on {cell.topology}"
    rate.plot(limits, rates, marker="o", color=colour, label=name)
    joules.plot(limits, [it.joules_per_token for _, it in curve], marker="o", color=colour)
