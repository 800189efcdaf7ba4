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


def judged(everyone: Everyone, name: str = "article-part-1", **parameters: float) -> JudgedSet:
    (found,) = judge(REFERENCES[name], NOISE, parameters, everyone)
    return found


def outcomes(found: JudgedSet) -> Mapping[str, ClaimOutcome]:
    return {one.claim: one.outcome for one in found.claims}


def claim(everyone: Everyone, id_: str, name: str = "article-part-1") -> Judgement:
    return next(one for one in judged(everyone, name).claims if one.claim == id_)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_cells_that_follow_the_article_reproduce_all_that_can_be(seed: int) -> None:
    found = judged(six(seed))
    assert found.excluded == ()
    by_id = {one.id: one for one in all_claims(PART_1)}
    assert len(by_id) == len(found.claims)
    for one in found.claims:
        if one.claim in ON_THEIR_OWN_BOUND:
            assert one.outcome is INCONCLUSIVE, one
            assert "starts of the engine" in one.advice
        elif one.claim in FOR_WANT_OF_CELLS | FOR_WANT_OF_EVIDENCE:
            assert one.outcome is NOT_TESTABLE, one
        else:
            assert one.outcome is REPRODUCED, one
    assert exit_code([found]) is ExitCode.DONE


def test_what_is_not_testable_says_what_is_missing() -> None:
    reasons = {one.claim: one.reason for one in judged(six()).claims}
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
    found = outcomes(judged([eligible(shape) for shape in shapes]))
    for name in ("moe-advantage-tp1", "moe-spread-over-topologies", "second-gpu-moe"):
        assert found[name] is NOT_REPRODUCED


def test_a_seventh_cell_makes_the_fp8_claim_testable() -> None:
    everyone = [*six(), eligible(Shape(cell="moe-fp8@tp2-nvlink"))]
    assert claim(everyone, "fp8-slower").outcome is REPRODUCED


def test_one_published_pass_has_noise_which_is_assumed_for_dense_too() -> None:
    found = judged(six())
    (noise, assumed) = found.remarks
    assert "3.0%" in noise
    assert "14 runs of moe@tp1, moe@tp2-nvlink" in noise
    assert "dense@tp1" in assumed
    assert "moe@tp1" not in assumed
    measured = {one.claim: one.measured for one in found.claims}
    for name, half in (("rate-dense-tp1", 0.0295), ("moe-advantage-tp1", 0.0418)):
        one = measured[name]
        assert one is not None
        assert one.published_half_width == pytest.approx(half, abs=1e-4)


def test_a_bound_has_no_noise_of_its_own() -> None:
    for one in judged(six()).claims:
        measure = next(each for each in all_claims(PART_1) if each.id == one.claim).measure
        if one.measured is not None and measure is not None:
            is_noisy = measure.relation is Relation.EQUALS and one.measured.has_spread
            assert (one.measured.published_half_width > 0) is is_noisy


def test_how_many_would_fail_by_chance_is_one_in_twenty_intervals() -> None:
    found = judged(six())
    spread = [one for one in found.claims if one.measured and one.measured.has_spread]
    assert len(spread) > 40
    assert found.missed_by_chance == round(len(spread) / 20, 2)


def test_three_starts_of_each_cell_have_no_floor() -> None:
    several = [one for seed in (1, 2, 3) for one in six(seed, start_deviation=0.001)]
    one = claim(several, "nvlink-adds-little-moe")
    alone = claim(six(1, start_deviation=0.001), "nvlink-adds-little-moe")
    assert one.measured is not None
    assert alone.measured is not None
    assert _width(one) < _width(alone) / 2
    assert len(one.bundles) == 6


def _width(one: Judgement) -> float:
    assert one.measured is not None
    assert one.measured.low is not None
    assert one.measured.high is not None
    return one.measured.high - one.measured.low


def test_one_pass_is_inconclusive_and_says_what_would_decide() -> None:
    everyone = six(protocol=ProtocolName.ARTICLE, passes=None)
    one = claim(everyone, "moe-advantage-tp1")
    assert one.outcome is INCONCLUSIVE
    assert one.advice.startswith("measure 3 passes")
    assert one.measured is not None
    assert (one.measured.low, one.measured.high) == (None, None)
    assert claim(everyone, "first-token-within-a-second").outcome is NOT_TESTABLE


def test_on_other_hardware_ratios_are_judged_and_absolute_numbers_are_not() -> None:
    found = judged(six(gpu="NVIDIA GeForce RTX 4090"))
    scopes = {one.id: one.hardware.value for one in all_claims(PART_1)}
    for one in found.claims:
        if one.claim in FOR_WANT_OF_CELLS | FOR_WANT_OF_EVIDENCE:
            continue
        if scopes[one.claim] == "same":
            assert one.outcome is NOT_TESTABLE
            assert "RTX 4090" in one.reason
        else:
            assert one.on_other_hardware
            assert one.outcome in (REPRODUCED, INCONCLUSIVE)
    assert any("published NVIDIA GeForce RTX 3090" in text for text in found.differences)


def test_claims_are_judged_host_by_host() -> None:
    here = [eligible(Shape(cell=cell)) for cell in CELLS if "pcie" not in cell]
    there = [eligible(Shape(cell=cell, host=2)) for cell in CELLS if "pcie" in cell]
    sets = judge(PART_1, NOISE, {}, [*here, *there])
    assert {one.host_id for one in sets} == {f"{1:032x}", f"{2:032x}"}
    for one in sets:
        found = outcomes(one)
        assert found["nvlink-adds-little-moe"] is NOT_TESTABLE
        assert found["pcie-near-nvlink-dense"] is NOT_TESTABLE
    tested = {name for one in sets for name, end in outcomes(one).items() if end is REPRODUCED}
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
    one = eligible(Shape(cell="moe@tp1"))
    again = eligible(Shape(cell="moe@tp1"))
    assert len(judged([one, again]).bundles) == 1


def test_a_price_can_be_set() -> None:
    cheaper = judge(PART_1, NOISE, {"gpu-price-usd": 400.0}, six())[0]
    dear = next(one for one in judged(six()).claims if one.claim == "tokens-per-dollar").measured
    found = next(one for one in cheaper.claims if one.claim == "tokens-per-dollar")
    assert dear is not None
    assert found.measured is not None
    assert found.measured.value == pytest.approx(2 * dear.value)
    assert found.outcome is NOT_REPRODUCED


def the_log_without_kernels(one: Draft) -> None:
    assert one.server_log is not None
    one.server_log = one.server_log.replace(b"Using ", b"Loading ")
    one.server_log = one.server_log.replace(b"convertible to", b"made of")


def test_evidence_that_a_claim_needs_must_have_passed() -> None:
    bare = cell_draft(Shape(cell="moe@tp1"))
    the_log_without_kernels(bare)
    others = [eligible(Shape(cell=cell)) for cell in CELLS if cell != "moe@tp1"]
    one = claim([load_draft("bare", bare), *others], "both-on-marlin")
    assert one.outcome is NOT_TESTABLE
    assert one.reason == "topology-kernels did not pass in bare"


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
    one = cell_draft(Shape(cell="moe@tp1"))
    one.records[9] = replace(one.records[9], completion_tokens=4000)
    return load_draft("x", one)


def of_a_model_that_nobody_pinned() -> EligibleBundle | Excluded:
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
        (of_a_model_that_nobody_pinned, "it is not reportable: protocol-model-files"),
    ],
)
def test_what_is_not_eligible_is_excluded_with_the_reason(who: object, reason: str) -> None:
    assert callable(who)
    found = judged([who()])
    assert [one.outcome for one in found.claims] == [NOT_TESTABLE] * len(found.claims)
    assert reason in found.excluded[0].reason
    assert exit_code([found]) is ExitCode.NOTHING_TO_JUDGE


def test_what_is_not_eligible_changes_nothing_for_the_others() -> None:
    alone = judged(six())
    with_others = judged([*six(), of_a_twin(), of_an_invalid_bundle()])
    assert outcomes(with_others) == outcomes(alone)
    assert len(with_others.excluded) == 2


@pytest.mark.parametrize("name", REFERENCES)
def test_any_reference_can_be_judged(name: str) -> None:
    found = judged(six(), name)
    assert len(found.claims) == len(all_claims(REFERENCES[name]))
    assert found.count(NOT_TESTABLE) < len(found.claims)


def test_part_2_was_right_about_moe_and_is_not_reproduced_for_dense() -> None:
    found = outcomes(judged(six(), "article-part-2"))
    assert found["rate-moe-tp1"] is REPRODUCED
    assert found["rate-dense-tp2-nvlink"] is NOT_REPRODUCED
    assert found["rate-moe-tp1-x4"] is NOT_TESTABLE
