"""The guide: what the article recommends, row by row, with this host's figures and their costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from kit.claims.guide import Advice, judgement_of
from kit.claims.reference import Reference
from kit.claims.verdict import JudgedSet, Judgement
from kit.figures.cell import CellFigures
from kit.figures.energy import Energy
from kit.figures.money import Cost, Prices, cost
from kit.report import jinja, verdict_wording, wording

NOT_GIVEN = "not given"
NOT_MEASURED = "not measured"
CELL_COLUMNS = (
    "Topology",
    "tok/s",
    "95 % interval",
    "Article",
    "Agrees",
    "J a token",
    "tok/s for a USD",
    "USD for a million tokens",
    "Break-even",
    "Bundle",
)
"""The rate over the cards' price; a million tokens cost hardware and electricity together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """What a guide is rendered from; `cells` are of one host, `twins` apart."""

    reference: Reference
    judged: JudgedSet
    advice: tuple[Advice, ...]
    cells: tuple[CellFigures, ...]
    prices: Prices

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the article's tables, then those that only this host has measured."""
        published = [key.partition("@")[0] for key in self.reference.cells]
        own = [cell.plan.cell.model for cell in self.cells]
        return tuple(dict.fromkeys((*published, *own)))

    def rows(self, model: str) -> list[tuple[str, ...]]:
        """Return the rows of a model: the article's topologies, measured or not, then others."""
        published = {key for key in self.reference.cells if key.partition("@")[0] == model}
        mine = {
            f"{model}@{cell.plan.cell.topology}": cell
            for cell in self.cells
            if cell.plan.cell.model == model and cell.swarm is None
        }
        keys = dict.fromkeys((*sorted(published), *mine))
        return [self._row(key, mine.get(key)) for key in keys]

    def _row(self, key: str, cell: CellFigures | None) -> tuple[str, ...]:
        model, _, topology = key.partition("@")
        figures = self.reference.cells.get(key)
        article = figures.rate if figures and figures.rate else wording.ABSENT
        claim = judgement_of(self.judged, f"rate-{model}-{topology}")
        agrees = wording.ABSENT if claim is None else claim.outcome.value
        if cell is None:
            return (topology, NOT_MEASURED, "", article, agrees, *([""] * 5))
        found = cost(cell, self.prices)
        energy = cell.energy
        joules = f"{energy.joules_per_token:.2f}" if isinstance(energy, Energy) else NOT_MEASURED
        return (
            topology,
            wording.pooled(cell.pooled),
            wording.interval(cell.interval),
            article,
            agrees,
            joules,
            _money(found.tokens_per_s_per_usd, 3),
            _per_million(found),
            wording.ABSENT
            if found.break_even_months is None
            else f"{found.break_even_months:.0f} months",
            cell.bundle.id[:16],
        )


def markdown(guide: Guide) -> str:
    """Return the guide as Markdown."""
    return jinja.markdown("guide.md.jinja", _values(guide))


def html(guide: Guide) -> str:
    """Return the guide as a page without scripts, which loads nothing."""
    return jinja.html("guide.html.jinja", _values(guide))


def claim_rows(advice: Advice) -> Sequence[tuple[str, ...]]:
    """Return each claim of a recommendation: its words, what was measured, what was published."""
    return [
        (
            claim.statement,
            verdict_wording.measured(claim) if claim.measured else NOT_MEASURED,
            verdict_wording.published(claim) if claim.published else wording.ABSENT,
            claim.outcome.value,
            _source(claim),
        )
        for claim in advice.claims
    ]


def _source(claim: Judgement) -> str:
    """Return the names of the bundles that a claim was judged from, or why it was not."""
    if claim.measured is None:
        return claim.reason
    return ", ".join(dict.fromkeys(PurePath(path).name for path in claim.bundles))


def heading(guide: Guide, model: str) -> str:
    """Return the title of a model's table; a twin's says that it is no evidence."""
    is_twin = any(cell.is_twin for cell in guide.cells if cell.plan.cell.model == model)
    return f"{model} by topology{': a twin, no evidence about its model' if is_twin else ''}"


def assumptions(prices: Prices) -> str:
    """Return what the costs assume, as a sentence."""
    other = prices.other
    given = ", ".join(
        f"{name} {NOT_GIVEN if value is None else f'{value:g} USD{unit}'}"
        for name, value, unit in (
            ("electricity", other.electricity_usd_per_kwh, " a kWh"),
            ("the rest of the machine", other.host_usd, ""),
            ("an API", other.api_usd_per_million, " for a million tokens"),
        )
    )
    return f"{given}; in use for {other.years:g} years, generating {other.duty:.0%} of the time"


def _values(guide: Guide) -> dict[str, object]:
    return {
        "guide": guide,
        "claim_rows": claim_rows,
        "heading": heading,
        "columns": CELL_COLUMNS,
        "assumptions": assumptions(guide.prices),
    }


def _per_million(found: Cost) -> str:
    if found.hardware_usd_per_million is None:
        return NOT_GIVEN
    if found.electricity_usd_per_million is None:
        return f"{found.hardware_usd_per_million:.2f} without electricity"
    return f"{found.hardware_usd_per_million + found.electricity_usd_per_million:.2f}"


def _money(value: float | None, digits: int) -> str:
    return NOT_GIVEN if value is None else f"{value:.{digits}f}"
