"""The article's claims, judged from bundles that follow it, that do not, and that are excluded."""

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime, Status
from kit.check.verify import known
from kit.claims.claim import Relation
from kit.claims.comparable import COMPARABILITY
from kit.claims.eligible import EligibleBundle, load
from kit.claims.judge import judge
from kit.claims.noise import noise_of
from kit.claims.reference import all_claims
from kit.claims.verdict import ClaimOutcome, Excluded, JudgedSet, Judgement, exit_code
from kit.errors import ExitCode
from kit.plan.plan import ProtocolName
from tests import factory, six_cells
from tests.factory import Draft, Settings, draft
from tests.six_cells import CELLS, TASKS, Shape, cell_draft, eligible, load_draft, six, verify_draft

REPRODUCED = ClaimOutcome.REPRODUCED
NOT_REPRODUCED = ClaimOutcome.NOT_REPRODUCED
INCONCLUSIVE = ClaimOutcome.INCONCLUSIVE
NOT_TESTABLE = ClaimOutcome.NOT_TESTABLE

REFERENCES = six_cells.references()
PART_1 = REFERENCES["article-part-1"]
NOISE = noise_of(REFERENCES.values(), PART_1.author)

ON_THEIR_OWN_BOUND = {
    "nvlink-adds-little-moe",
    "nvlink-adds-little-dense",
    "pcie-near-nvlink-dense",
}
"""3.79 % and 2.67 % against "less than 4 %" and "within 2.7 %", where two starts see 1.8 %."""

FOR_WANT_OF_CELLS = {
    "fp8-slower",
    "four-agents-on-one-gpu",
    "advantage-grows-under-load",
    "advantage-grows-under-load-tp2-nvlink",
    "nvlink-grows-under-load",
}
FOR_WANT_OF_EVIDENCE = {
    "identical-kernels",
    "one-response-at-the-cap",
    "native-tool-calling",
    "quality-loss-negligible",
}

Everyone = Sequence[EligibleBundle | Excluded]


def judged(bundles: Everyone, name: str = "article-part-1", **parameters: float) -> JudgedSet:
    (result,) = judge(REFERENCES[name], NOISE, parameters, bundles)
    return result


def outcomes(judged_set: JudgedSet) -> Mapping[str, ClaimOutcome]:
    return {judgement.claim: judgement.outcome for judgement in judged_set.claims}


def claim(bundles: Everyone, id_: str, name: str = "article-part-1") -> Judgement:
    return next(judgement for judgement in judged(bundles, name).claims if judgement.claim == id_)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_cells_that_follow_the_article_reproduce_all_that_can_be(seed: int) -> None:
    result = judged(six(seed))
    assert result.excluded == ()
    by_id = {item.id: item for item in all_claims(PART_1)}
    assert len(by_id) == len(result.claims)
    for judgement in result.claims:
        if judgement.claim in ON_THEIR_OWN_BOUND:
            assert judgement.outcome is INCONCLUSIVE, judgement
            assert "starts of the engine" in judgement.advice
        elif judgement.claim in FOR_WANT_OF_CELLS | FOR_WANT_OF_EVIDENCE:
            assert judgement.outcome is NOT_TESTABLE, judgement
        else:
            assert judgement.outcome is REPRODUCED, judgement
    assert exit_code([result]) is ExitCode.DONE


def test_what_is_not_testable_says_what_is_missing() -> None:
    reasons = {judgement.claim: judgement.reason for judgement in judged(six()).claims}
    assert all("no bundle of" in reasons[name] for name in FOR_WANT_OF_CELLS)
    assert all("evidence of this kind" in reasons[name] for name in FOR_WANT_OF_EVIDENCE)


def rates_of(cell: str) -> Mapping[str, ClaimOutcome]:
    slug = cell.replace("@", "-")
    return dict.fromkeys(
        [f"rate-{slug}", *(f"rate-{slug}-{task}" for task in TASKS)], NOT_REPRODUCED
    )


A_TENTH_SLOWER = {
    "moe@tp2-nvlink": {
        "moe-advantage-tp2-nvlink": INCONCLUSIVE,
        "moe-spread-over-topologies": INCONCLUSIVE,
        "second-gpu-moe": INCONCLUSIVE,
        "nvlink-adds-little-moe": REPRODUCED,
    },
    "moe@tp1": {
        "moe-advantage-tp1": INCONCLUSIVE,
        "moe-spread-over-topologies": INCONCLUSIVE,
        "second-gpu-moe": INCONCLUSIVE,
        "tokens-per-dollar": INCONCLUSIVE,
    },
    "moe@tp2-pcie": {
        "moe-advantage-tp2-pcie": INCONCLUSIVE,
        "moe-spread-over-topologies": INCONCLUSIVE,
        "nvlink-adds-little-moe": NOT_REPRODUCED,
    },
    "dense@tp2-nvlink": {
        "moe-advantage-tp2-nvlink": INCONCLUSIVE,
        "second-gpu-dense": INCONCLUSIVE,
        "nvlink-adds-little-dense": REPRODUCED,
        "pcie-near-nvlink-dense": REPRODUCED,
    },
    "dense@tp1": {
        "moe-advantage-tp1": INCONCLUSIVE,
        "second-gpu-dense": INCONCLUSIVE,
        "thousand-tokens-dense": NOT_REPRODUCED,
    },
    "dense@tp2-pcie": {
        "moe-advantage-tp2-pcie": INCONCLUSIVE,
        "nvlink-adds-little-dense": NOT_REPRODUCED,
        "pcie-near-nvlink-dense": NOT_REPRODUCED,
    },
}
"""What changes, beside the cell's own rates, when one cell is a tenth slower than published.

A ratio of two published single passes is good for 4.2 % itself, so that a tenth leaves it open.
"6 s" and "0.21 tok/s per USD" are printed more coarsely than that.
"""


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("slow", CELLS)
def test_a_tenth_less_in_one_cell_changes_what_the_table_says(slow: str, seed: int) -> None:
    before = outcomes(judged(six(seed)))
    shapes = [Shape(cell=cell, seed=seed, slower=0.1 * (cell == slow)) for cell in CELLS]
    after = judged([eligible(shape) for shape in shapes])
    changed = {name: now for name, now in outcomes(after).items() if now is not before[name]}
    assert changed == A_TENTH_SLOWER[slow] | rates_of(slow)
    assert exit_code([after]) is ExitCode.DIFFERS


def test_a_quarter_less_in_one_cell_contradicts_the_ratios() -> None:
    shapes = [Shape(cell=cell, slower=0.25 * (cell == "moe@tp1")) for cell in CELLS]
    result = outcomes(judged([eligible(shape) for shape in shapes]))
    for name in ("moe-advantage-tp1", "moe-spread-over-topologies", "second-gpu-moe"):
        assert result[name] is NOT_REPRODUCED


def test_a_seventh_cell_makes_the_fp8_claim_testable() -> None:
    bundles = [*six(), eligible(Shape(cell="moe-fp8@tp2-nvlink"))]
    assert claim(bundles, "fp8-slower").outcome is REPRODUCED


def test_one_published_pass_has_noise_which_is_assumed_for_dense_too() -> None:
    result = judged(six())
    (noise, assumed) = result.remarks
    assert "3.0%" in noise
    assert "14 runs of moe@tp1, moe@tp2-nvlink" in noise
    assert "dense@tp1" in assumed
    assert "moe@tp1" not in assumed
    measured = {judgement.claim: judgement.measured for judgement in result.claims}
    for name, half in (("rate-dense-tp1", 0.0295), ("moe-advantage-tp1", 0.0418)):
        value = measured[name]
        assert value is not None
        assert value.published_half_width == pytest.approx(half, abs=1e-4)


def test_a_bound_has_no_noise_of_its_own() -> None:
    for judgement in judged(six()).claims:
        measure = next(item for item in all_claims(PART_1) if item.id == judgement.claim).measure
        if judgement.measured is not None and measure is not None:
            is_noisy = measure.relation is Relation.EQUALS and judgement.measured.has_spread
            assert (judgement.measured.published_half_width > 0) is is_noisy


def test_how_many_would_fail_by_chance_is_one_in_twenty_intervals() -> None:
    result = judged(six())
    spread = [
        judgement
        for judgement in result.claims
        if judgement.measured and judgement.measured.has_spread
    ]
    assert len(spread) > 40
    assert result.missed_by_chance == round(len(spread) / 20, 2)


def test_three_starts_of_each_cell_have_no_floor() -> None:
    several = [bundle for seed in (1, 2, 3) for bundle in six(seed, start_deviation=0.001)]
    judgement = claim(several, "nvlink-adds-little-moe")
    alone = claim(six(1, start_deviation=0.001), "nvlink-adds-little-moe")
    assert judgement.measured is not None
    assert alone.measured is not None
    assert _width(judgement) < _width(alone) / 2
    assert len(judgement.bundles) == 6


def _width(judgement: Judgement) -> float:
    assert judgement.measured is not None
    assert judgement.measured.low is not None
    assert judgement.measured.high is not None
    return judgement.measured.high - judgement.measured.low


def test_one_pass_is_inconclusive_and_says_what_would_decide() -> None:
    bundles = six(protocol=ProtocolName.ARTICLE, passes=None)
    judgement = claim(bundles, "moe-advantage-tp1")
    assert judgement.outcome is INCONCLUSIVE
    assert judgement.advice.startswith("measure 3 passes")
    assert judgement.measured is not None
    assert (judgement.measured.low, judgement.measured.high) == (None, None)
    assert claim(bundles, "first-token-within-a-second").outcome is NOT_TESTABLE


def test_on_other_hardware_ratios_are_judged_and_absolute_numbers_are_not() -> None:
    result = judged(six(gpu="NVIDIA GeForce RTX 4090"))
    scopes = {item.id: item.hardware.value for item in all_claims(PART_1)}
    for judgement in result.claims:
        if judgement.claim in FOR_WANT_OF_CELLS | FOR_WANT_OF_EVIDENCE:
            continue
        if scopes[judgement.claim] == "same":
            assert judgement.outcome is NOT_TESTABLE
            assert "RTX 4090" in judgement.reason
        else:
            assert judgement.on_other_hardware
            assert judgement.outcome in (REPRODUCED, INCONCLUSIVE)
    assert any("published NVIDIA GeForce RTX 3090" in text for text in result.differences)


def test_claims_are_judged_host_by_host() -> None:
    here = [eligible(Shape(cell=cell)) for cell in CELLS if "pcie" not in cell]
    there = [eligible(Shape(cell=cell, host=2)) for cell in CELLS if "pcie" in cell]
    sets = judge(PART_1, NOISE, {}, [*here, *there])
    assert {set_.host_id for set_ in sets} == {f"{1:032x}", f"{2:032x}"}
    for set_ in sets:
        result = outcomes(set_)
        assert result["nvlink-adds-little-moe"] is NOT_TESTABLE
        assert result["pcie-near-nvlink-dense"] is NOT_TESTABLE
    tested = {name for set_ in sets for name, end in outcomes(set_).items() if end is REPRODUCED}
    assert {"moe-advantage-tp1", "moe-advantage-tp2-pcie", "second-gpu-moe"} <= tested


def test_every_key_of_comparability_parts_bundles() -> None:
    def apart(**changes: object) -> int:
        shapes = [Shape(cell="moe@tp1"), dataclasses.replace(Shape(cell="dense@tp1"), **changes)]
        return len(judge(PART_1, NOISE, {}, [eligible(shape) for shape in shapes]))

    assert apart() == 1
    assert (
        apart(host=2)
        == apart(gpu="NVIDIA GeForce RTX 4090")
        == apart(protocol=ProtocolName.ARTICLE)
        == 2
    )
    assert "host" in COMPARABILITY


def test_a_copy_of_a_run_counts_once() -> None:
    first = eligible(Shape(cell="moe@tp1"))
    again = eligible(Shape(cell="moe@tp1"))
    assert len(judged([first, again]).bundles) == 1


def test_a_price_can_be_set() -> None:
    cheaper = judge(PART_1, NOISE, {"gpu-price-usd": 400.0}, six())[0]
    dear = next(
        judgement for judgement in judged(six()).claims if judgement.claim == "tokens-per-dollar"
    ).measured
    result = next(
        judgement for judgement in cheaper.claims if judgement.claim == "tokens-per-dollar"
    )
    assert dear is not None
    assert result.measured is not None
    assert result.measured.value == pytest.approx(2 * dear.value)
    assert result.outcome is NOT_REPRODUCED


def the_log_without_kernels(made: Draft) -> None:
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"Using ", b"Loading ")
    made.server_log = made.server_log.replace(b"convertible to", b"made of")


def test_evidence_that_a_claim_needs_must_have_passed() -> None:
    bare = cell_draft(Shape(cell="moe@tp1"))
    the_log_without_kernels(bare)
    others = [eligible(Shape(cell=cell)) for cell in CELLS if cell != "moe@tp1"]
    judgement = claim([load_draft("bare", bare), *others], "both-on-marlin")
    assert judgement.outcome is NOT_TESTABLE
    assert judgement.reason == "topology-kernels did not pass in bare"


def of_an_endpoint() -> EligibleBundle | Excluded:
    return load_draft("x", draft(Settings(runtime=Runtime.ENDPOINT)))


def of_a_twin() -> EligibleBundle | Excluded:
    return load_draft("x", draft(Settings(topology="tp1", model="moe")), factory.KNOWN)


def of_a_rehearsal() -> EligibleBundle | Excluded:
    verified = verify_draft("x", cell_draft(Shape(cell="moe@tp1")))
    return load(verified._replace(verdict=replace(verified.verdict, is_rehearsal=True)))


def of_a_run_that_stopped_short() -> EligibleBundle | Excluded:
    verified = verify_draft("x", cell_draft(Shape(cell="moe@tp1")))
    return load(verified._replace(verdict=replace(verified.verdict, status=Status.PARTIAL)))


def of_an_invalid_bundle() -> EligibleBundle | Excluded:
    made = cell_draft(Shape(cell="moe@tp1"))
    made.records[9] = replace(made.records[9], completion_tokens=4000)
    return load_draft("x", made)


def of_a_model_that_is_not_pinned() -> EligibleBundle | Excluded:
    models = {"moe": dataclasses.replace(six_cells.MODELS["moe"], revision=None, files=())}
    catalog = dataclasses.replace(six_cells.CATALOG, models=models)
    return load_draft("x", cell_draft(Shape(cell="moe@tp1")), known(factory.schemas(), catalog))


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (of_an_endpoint, "it measured an endpoint"),
        (of_a_twin, "is a twin of moe"),
        (of_a_rehearsal, "it is a rehearsal"),
        (of_a_run_that_stopped_short, "the run stopped early"),
        (of_an_invalid_bundle, "it is invalid: arithmetic-completion-tokens"),
        (of_a_model_that_is_not_pinned, "it is not reportable: protocol-model-files"),
    ],
)
def test_what_is_not_eligible_is_excluded_with_the_reason(who: object, reason: str) -> None:
    assert callable(who)
    result = judged([who()])
    assert [judgement.outcome for judgement in result.claims] == [NOT_TESTABLE] * len(result.claims)
    assert reason in result.excluded[0].reason
    assert exit_code([result]) is ExitCode.NOTHING_TO_JUDGE


def test_what_is_not_eligible_changes_nothing_for_the_others() -> None:
    alone = judged(six())
    with_others = judged([*six(), of_a_twin(), of_an_invalid_bundle()])
    assert outcomes(with_others) == outcomes(alone)
    assert len(with_others.excluded) == 2


@pytest.mark.parametrize("name", REFERENCES)
def test_any_reference_can_be_judged(name: str) -> None:
    result = judged(six(), name)
    assert len(result.claims) == len(all_claims(REFERENCES[name]))
    assert result.count(NOT_TESTABLE) < len(result.claims)


def test_part_2_was_right_about_moe_and_is_not_reproduced_for_dense() -> None:
    result = outcomes(judged(six(), "article-part-2"))
    assert result["rate-moe-tp1"] is REPRODUCED
    assert result["rate-dense-tp2-nvlink"] is NOT_REPRODUCED
    assert result["rate-moe-tp1-x4"] is NOT_TESTABLE
