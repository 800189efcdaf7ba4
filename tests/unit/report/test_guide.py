"""What to build: the article's recommendations beside bundles of its six cells, and their costs."""

import pytest

from kit.check.verify import verify
from kit.claims.eligible import load
from kit.claims.guide import Agreement, advice, largest
from kit.claims.judge import judge
from kit.claims.verdict import JudgedSet
from kit.edge import prices
from kit.errors import UsageError
from kit.figures.cell import CellFigures
from kit.figures.money import BadPrices, Other, Prices, cost, parse
from kit.figures.summary import summarise
from kit.report import guide
from kit.report.guide import Guide
from tests.catalog import GPUS
from tests.six_cells import CELLS, KNOWN, Shape, cell_draft, references

PRICES = Prices(cards={"NVIDIA GeForce RTX 3090": 800.0}, other=Other(electricity_usd_per_kwh=0.2))
ARTICLE = "article-part-1"


def made(shapes: list[Shape], prices: Prices = PRICES) -> Guide:
    verified = [verify(shape.cell, cell_draft(shape).seal(), (), KNOWN) for shape in shapes]
    reference = references()[ARTICLE]
    judged: JudgedSet = largest(judge(reference, None, {}, list(map(load, verified))))
    bundles = [bundle for one in verified if (bundle := one.bundle)]
    return Guide(
        reference=reference,
        judged=judged,
        advice=tuple(advice(reference, judged)),
        cells=summarise(bundles).cells,
        prices=prices,
    )


@pytest.fixture(scope="module")
def honest() -> Guide:
    return made([Shape(cell=cell) for cell in CELLS])


def agreements(of: Guide) -> list[Agreement]:
    return [one.agreement for one in of.advice]


def test_six_cells_at_the_published_rates_agree_where_bundles_can_say(honest: Guide) -> None:
    assert Agreement.DISAGREES not in agreements(honest)
    assert agreements(honest).count(Agreement.AGREES) >= 3
    quantization = honest.advice[4]
    assert quantization.agreement is not Agreement.AGREES  # nobody measured FP8 or perplexity


def test_a_slow_dense_model_on_two_gpus_does_not_agree() -> None:
    slow = [Shape(cell=cell, slower=0.3 if cell.startswith("dense@tp2") else 0.0) for cell in CELLS]
    by_text = {one.recommendation.text: one.agreement for one in made(slow).advice}
    assert by_text["A dense 32B model on two GPUs for work that is not interactive."] is (
        Agreement.DISAGREES
    )
    assert by_text["The MoE model for interactive agent loops."] is Agreement.AGREES


def test_what_was_not_measured_says_so() -> None:
    one = made([Shape(cell="moe@tp1")])
    rows = {row[0]: row for row in one.rows("dense")}
    assert rows["tp1"][1] == "not measured"
    assert rows["tp1"][3] == "41.0"
    text = guide.markdown(one)
    assert "agrees, as far as measured" in text
    assert "not measured" in guide.html(one)


def test_a_rows_figures_have_their_interval_bundle_and_the_articles_row(honest: Guide) -> None:
    row = next(row for row in honest.rows("moe") if row[0] == "tp1")
    cell = next(
        cell
        for cell in honest.cells
        if (cell.plan.cell.model, cell.plan.cell.topology) == ("moe", "tp1")
    )
    assert row[1] == f"{cell.pooled.tokens_per_s:.2f}" if cell.pooled else ""
    assert row[3:5] == ("168.4", "reproduced")
    assert row[-1] == cell.bundle.id[:16]


def cell_of(of: Guide, model: str, topology: str) -> CellFigures:
    return next(
        cell
        for cell in of.cells
        if (cell.plan.cell.model, cell.plan.cell.topology) == (model, topology)
    )


def test_costs_are_reckoned_from_rate_energy_and_prices(honest: Guide) -> None:
    cell = cell_of(honest, "moe", "tp1")
    assert cell.pooled is not None
    rate = cell.pooled.tokens_per_s
    priced = cost(
        cell,
        Prices(
            cards=PRICES.cards,
            other=Other(
                electricity_usd_per_kwh=0.2,
                api_usd_per_million=2.0,
                years=2.0,
                duty=0.5,
            ),
        ),
    )
    cards_usd = 800.0
    assert priced.tokens_per_s_per_usd == pytest.approx(rate / cards_usd)
    seconds = 2 * 365.25 * 86400 * 0.5
    assert priced.hardware_usd_per_million == pytest.approx(1e6 * cards_usd / (rate * seconds))
    joules = cell.energy.joules_per_token
    assert priced.electricity_usd_per_million == pytest.approx(1e6 * joules / 3.6e6 * 0.2)
    saved_a_month = (2.0 - priced.electricity_usd_per_million) / 1e6 * rate * seconds / 24
    assert priced.break_even_months == pytest.approx(cards_usd / saved_a_month)


def test_a_missing_price_is_not_given(honest: Guide) -> None:
    cell = cell_of(honest, "moe", "tp1")
    unknown = cost(cell, Prices())
    assert unknown.tokens_per_s_per_usd is None
    assert unknown.missing == ("price of NVIDIA GeForce RTX 3090",)
    without = cost(cell, Prices(cards=PRICES.cards))
    assert without.electricity_usd_per_million is None
    assert "electricity_usd_per_kwh" in without.missing
    assert "not given" in guide.markdown(
        Guide(
            reference=honest.reference,
            judged=honest.judged,
            advice=honest.advice,
            cells=honest.cells,
            prices=Prices(),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "[cards]\n'A card' = 0",
        "[cards]\n'A card' = -1.5",
        "[other]\nduty = 2",
        "[other]\nrent = 3",
        "[cards]\n'A card' = 'free'",
        "[",
    ],
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(BadPrices):
        parse([text.encode()])


def test_a_users_own_prices_come_first_and_a_setting_before_them() -> None:
    shipped = b"[cards]\n'A' = 800\n[other]\nelectricity_usd_per_kwh = 0.2"
    own = b"[cards]\n'Mine' = 5\n[other]\nhost_usd = 300"
    found = parse([shipped, own], {"host_usd": "400"})
    assert found.cards == {"A": 800.0, "Mine": 5.0}
    assert (found.other.host_usd, found.other.electricity_usd_per_kwh) == (400.0, 0.2)


def test_the_shipped_prices_can_be_read_and_are_of_known_cards() -> None:
    found = prices.read()
    assert set(found.cards) <= set(GPUS)
    with pytest.raises(UsageError, match="no prices"):
        prices.read(["duty=2"])
    with pytest.raises(UsageError, match="cannot set"):
        prices.read(["duty"])
