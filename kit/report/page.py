"""The report as one HTML page with its charts beside it.

The page is self-contained: no script, and nothing is loaded from anywhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from kit.bundle.bag import Bundle
from kit.check.finding import Verdict
from kit.claims.verdict import judged_bundle
from kit.errors import ExitCode
from kit.figures.cell import CellFigures
from kit.figures.goodput import Objectives
from kit.figures.summary import NO_YARDSTICKS, Summary, summarise
from kit.plan.plan import Deviation
from kit.report import jinja, pictures
from kit.report.pictures import Picture
from kit.report.verdict_wording import answer
from kit.roofline.model import Yardsticks

PAGE = "index.html"


def files(
    bundles: Sequence[Bundle],
    verdicts: Sequence[Verdict],
    yardsticks: Yardsticks = NO_YARDSTICKS,
    objectives: Objectives | None = None,
) -> Mapping[str, bytes]:
    """Return the page and the charts by file name; the same input gives the same bytes."""
    summary = summarise(bundles, yardsticks, objectives)
    drawn = pictures.draw(summary)
    charts = [
        (f"{picture.name}.{ending}", data)
        for picture in drawn
        for ending, data in (("png", picture.png), ("svg", picture.svg))
    ]
    return {PAGE: render(summary, drawn, verdicts).encode(), **dict(charts)}


def render(summary: Summary, drawn: Sequence[Picture], verdicts: Sequence[Verdict]) -> str:
    """Return the page; verdicts without a bundle in `summary` are listed after those with one."""
    known = {cell.bundle.id for cell in summary.cells}
    shown = [
        verdict
        for verdict in verdicts
        if verdict.id in known and verdict.exit_code is not ExitCode.BUNDLE_INVALID
    ]
    values = {
        "summary": summary,
        "pictures": {picture.name: picture for picture in drawn},
        "deviations": _deviations(summary.cells),
        "findings": {verdict.id: verdict.findings for verdict in shown},
        "left_out": [_left_out(verdict) for verdict in verdicts if verdict not in shown],
    }
    return jinja.html("report.html.jinja", values)


def _deviations(cells: Sequence[CellFigures]) -> Mapping[Deviation, Sequence[str]]:
    """Return each deviation with the names of the cells that it applies to."""
    names: dict[Deviation, list[str]] = {}
    for cell in cells:
        for deviation in cell.plan.deviations:
            names.setdefault(deviation, []).append(cell.name)
    return names


def _left_out(verdict: Verdict) -> Mapping[str, object]:
    """Return the verdict on a bundle without figures; its folder's name alone, no path."""
    title = f"{PurePath(verdict.path).name}: {answer(judged_bundle(verdict))}, not in this report"
    return {"title": title, "findings": verdict.findings}
