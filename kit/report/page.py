"""One HTML page with everything: the answer first, then pictures, method and evidence.

It is self-contained: no script, and nothing is loaded from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from kit.check.finding import Finding, Outcome, Verdict
from kit.errors import ExitCode
from kit.figures.cell import CellFigures
from kit.figures.summary import Summary
from kit.report import prose, wording
from kit.report.evidence import evidence_facts
from kit.report.markup import (
    Markup,
    bullets,
    definitions,
    element,
    facts,
    page,
    section,
    table,
    text,
    together,
)
from kit.report.pictures import Picture, inline

TITLE = "LLM serving benchmark"


def render(summary: Summary, pictures: Sequence[Picture], verdicts: Sequence[Verdict]) -> str:
    """Return the whole page."""
    shown = {picture.name: _figure(picture) for picture in pictures}
    body = element(
        "main",
        element("h1", text(TITLE)),
        _answer(summary),
        section("Charts", *_chosen(shown, "throughput", "passes")),
        section("MoE advantage", _advantage(summary), *_chosen(shown, "moe-against-dense")),
        section("Latency", _latency(summary.cells), *_chosen(shown, "inter-token-latency")),
        section(
            "How each number is made",
            definitions(prose.FORMULAS.items()),
            _paragraph(wording.ROUNDING),
        ),
        section("Deviations from the article", _deviations(summary.cells)),
        section("Evidence", *_evidence(summary.cells, verdicts)),
        section("Glossary", definitions(prose.GLOSSARY.items())),
    )
    return page(TITLE, body)


def _paragraph(sentence: str, css: str = "") -> Markup:
    return element("p", text(sentence), css=css)


def _answer(summary: Summary) -> Markup:
    """Return what was measured, and the headline table."""
    if not summary.cells:
        return _paragraph("No bundle, so nothing to report.")
    return together(
        [
            _paragraph(_what(summary)),
            element("div", *_cards(summary), css="cards"),
            _paragraph(wording.closing(summary), css="note"),
            *_tables(summary.cells),
            *_rooflines(summary.cells),
            bullets(wording.caveats(summary)),
        ]
    )


def _what(summary: Summary) -> str:
    models = ", ".join(dict.fromkeys(cell.name for cell in summary.cells))
    suites = ", ".join(dict.fromkeys(cell.plan.cell.suite for cell in summary.cells))
    return (
        f"How many tokens a second an LLM server writes when it answers one request at a time: "
        f"{models}, suite {suites}."
    )


def _cards(summary: Summary) -> Iterator[Markup]:
    for cell in summary.cells:
        certainty = (
            f"95 % interval {wording.interval(cell.interval)}"
            if cell.interval
            else f"no interval: {cell.no_interval}"
        )
        yield _card(f"{wording.pooled(cell.pooled)} tok/s", cell.name, certainty)
    for advantage in summary.advantages:
        bounds = advantage.pooled.interval
        certainty = f"95 % interval {wording.interval(bounds)}" if bounds else "no interval"
        name = f"MoE advantage on {advantage.configuration}"
        yield _card(f"{advantage.pooled.value:.2f} times", name, certainty)


def _card(figure: str, name: str, certainty: str) -> Markup:
    return element(
        "div",
        element("b", text(figure)),
        text(name),
        Markup("<br>"),
        element("span", text(certainty)),
        css="card",
    )


def _tables(cells: Sequence[CellFigures]) -> Iterator[Markup]:
    groups: dict[tuple[str, ...], list[CellFigures]] = {}
    for cell in cells:
        groups.setdefault(tuple(prompt.prompt_id for prompt in cell.prompts), []).append(cell)
    for prompts, group in groups.items():
        yield table(
            "Completion tokens a second",
            ("Model", "Configuration", *prompts, "Pooled", "95 % interval", "Mean of columns"),
            [_row(cell) for cell in group],
            names=2,
        )


def _row(cell: CellFigures) -> list[str]:
    return [
        cell.plan.cell.model,
        cell.configuration,
        *(wording.column(prompt.throughput) for prompt in cell.prompts),
        wording.pooled(cell.pooled),
        wording.interval(cell.interval),
        wording.mean_of_columns(cell.mean_of_columns),
    ]


def _rooflines(cells: Sequence[CellFigures]) -> Iterator[Markup]:
    """Yield a table of the cells that have a roofline; nothing where none has."""
    rows = [
        (
            cell.name,
            wording.pooled(cell.pooled),
            f"{cell.roofline.tokens_per_s:.1f}",
            wording.roofline_share(cell),
        )
        for cell in cells
        if cell.roofline is not None
    ]
    if rows:
        columns = ("Cell", "Pooled, tok/s", "Roofline, tok/s", "Share")
        yield table("Share of the roofline", columns, rows, names=1)


def _chosen(shown: Mapping[str, Markup], *names: str) -> list[Markup]:
    """Return the pictures of these names; a word for those that there are no figures for."""
    return [
        shown.get(name, _paragraph(f"No picture of {name.replace('-', ' ')}: no figures for it."))
        for name in names
    ]


def _figure(picture: Picture) -> Markup:
    """Return the picture; its own words are fixed text, its SVG is from our own renderer."""
    label = f"{picture.title}. {picture.text}"
    svg = inline(picture).replace("<svg ", f'<svg role="img" aria-label="{text(label)}" ', 1)
    return element("figure", Markup(svg), element("figcaption", text(picture.text)))


def _advantage(summary: Summary) -> Markup:
    if not summary.advantages:
        return _paragraph(f"Not shown: {wording.no_advantage().removeprefix('none: ')}.")
    return bullets(wording.advantage(one) + "." for one in summary.advantages)


def _latency(cells: Sequence[CellFigures]) -> Markup:
    return table(
        "Time to first token (TTFT) and inter-token latency (ITL), from the streaming pass",
        ("Cell", "TTFT median", "longest", "ITL median", "mean", "99th percentile"),
        [(cell.name, *wording.latencies(cell)) for cell in cells],
        names=1,
    )


def _deviations(cells: Sequence[CellFigures]) -> Markup:
    """Return each deviation once, with the cells that it holds for unless it holds for all."""
    holders: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        for one in cell.plan.deviations:
            holders.setdefault((one.what, one.why), []).append(cell.name)
    return definitions(
        (what if len(names) == len(cells) else f"{', '.join(names)}: {what}", why)
        for (what, why), names in holders.items()
    )


def _evidence(cells: Sequence[CellFigures], verdicts: Sequence[Verdict]) -> Iterator[Markup]:
    holding = [one for one in verdicts if one.exit_code is not ExitCode.BUNDLE_INVALID]
    by_id = {verdict.id: verdict for verdict in holding}
    for cell in cells:
        yield element("h3", text(cell.name))
        yield facts(evidence_facts(cell))
        yield _verdict(by_id.get(cell.bundle.id))
    known = {cell.bundle.id for cell in cells}
    for verdict in verdicts:
        if verdict not in holding or verdict.id not in known:
            why = "a copy of a run above" if verdict in holding else "invalid, and so left out"
            yield element("h3", text(f"{PurePath(verdict.path).name}: {why}"))
            yield _verdict(verdict)


def _verdict(verdict: Verdict | None) -> Markup:
    if verdict is None or not verdict.findings:
        return _paragraph("Not verified for this report.")
    counts = ", ".join(
        f"{number} {outcome.value}"
        for outcome in Outcome
        if (number := sum(one.outcome is outcome for one in verdict.findings))
    )
    worth = [one for one in verdict.findings if one.outcome is not Outcome.PASS]
    rows = together(_finding(one) for one in worth)
    return together([_paragraph(f"Verdict: {counts}."), element("ul", rows) if worth else rows])


def _finding(finding: Finding) -> Markup:
    outcome = finding.outcome.value
    seen = f" {finding.subject}: {finding.observed}; expected {finding.expected}"
    return element(
        "li",
        element("b", text(outcome), css=outcome),
        Markup(" "),
        element("code", text(finding.code)),
        text(seen),
    )
