"""Claims about several agents, judged from simulated bundles of levels."""

import dataclasses
from collections.abc import Sequence

from msgspec.structs import replace

from kit.claims.eligible import EligibleBundle
from kit.claims.judge import judge
from kit.claims.verdict import ClaimOutcome, Excluded, JudgedSet
from kit.plan.plan import ProtocolName
from tests.six_cells import Shape, eligible, references, six

PART_2, PART_3 = "article-part-2", "article-part-3"
NVLINK = "moe@tp2-nvlink"
REPRODUCED, NOT_TESTABLE = ClaimOutcome.REPRODUCED, ClaimOutcome.NOT_TESTABLE


def level(agents: int, published: str = PART_2, **changes: object) -> EligibleBundle | Excluded:
    shape = Shape(cell=f"{NVLINK}:{agents}", published=published, passes=3, start_deviation=0.0)
    return eligible(dataclasses.replace(shape, **changes))


def judged(reference: str, bundles: Sequence[EligibleBundle | Excluded]) -> JudgedSet:
    (only,) = judge(references()[reference], None, {}, bundles)
    return only


def outcomes(of_set: JudgedSet) -> dict[str, ClaimOutcome]:
    return {claim.claim: claim.outcome for claim in of_set.claims}


def test_levels_at_the_published_throughput_reproduce_part_2() -> None:
    found = outcomes(judged(PART_2, [level(agents) for agents in (1, 2, 3, 4)]))
    names = [f"rate-moe-tp2-nvlink-x{agents}" for agents in (2, 3, 4)]
    assert {found[name] for name in names} == {REPRODUCED}


def test_levels_that_are_slower_do_not() -> None:
    found = outcomes(judged(PART_2, [level(agents, slower=0.2) for agents in (1, 4)]))
    assert found["rate-moe-tp2-nvlink-x4"] is ClaimOutcome.NOT_REPRODUCED
    assert found["rate-moe-tp2-nvlink-x2"] is NOT_TESTABLE


def test_a_speed_up_is_over_one_agent_of_the_same_suite() -> None:
    """Bundles of one request at a time do not stand in for it."""
    found = outcomes(judged(PART_2, [level(4), *six()]))
    assert found["four-agents-speed-up-moe"] is NOT_TESTABLE
    assert found["rate-moe-tp2-nvlink"] is REPRODUCED
    assert found["rate-moe-tp2-nvlink-x4"] is REPRODUCED
    assert outcomes(judged(PART_2, [level(1), level(4)]))["four-agents-speed-up-moe"] is not (
        NOT_TESTABLE
    )


def test_a_published_level_of_eight_cannot_support_a_claim_about_eight() -> None:
    eight = level(8, PART_3, protocol=ProtocolName.ARTICLE, passes=None)
    assert isinstance(eight, Excluded)
    assert eight.reason == "4 prompts never keep 8 agents busy"


def test_that_agents_five_to_eight_are_free_is_not_what_real_load_shows() -> None:
    """At the published throughput eight requests that are really in flight are slower each."""
    found = outcomes(judged(PART_3, [level(agents, PART_3) for agents in (4, 8)]))
    assert found["rate-moe-tp2-nvlink-x4"] is REPRODUCED
    assert found["agents-five-to-eight-are-free"] is ClaimOutcome.NOT_REPRODUCED


def test_part_1_is_judged_from_single_requests_but_for_its_claims_about_four_agents() -> None:
    four = [
        Shape(cell=f"moe@{topology}:{agents}", passes=3)
        for topology in ("tp1",)
        for agents in (1, 4)
    ]
    found = outcomes(judged("article-part-1", [*six(), *map(eligible, four)]))
    assert found["rate-moe-tp1"] is REPRODUCED
    assert found["four-agents-on-one-gpu"] is not NOT_TESTABLE
    assert found["nvlink-grows-under-load"] is NOT_TESTABLE


def test_a_client_with_an_error_above_a_quarter_of_the_tolerance_decides_nothing() -> None:
    bundle = level(4)
    assert isinstance(bundle, EligibleBundle)
    longest_s = max(record.wall_s for record in bundle.records)
    worse = tuple(replace(one, wall_error_s=longest_s / 20) for one in bundle.document.calibrations)
    document = replace(bundle.document, calibrations=worse)
    set_of = judged(PART_2, [dataclasses.replace(bundle, document=document)])
    claim = next(one for one in set_of.claims if one.claim == "rate-moe-tp2-nvlink-x4")
    assert claim.outcome is ClaimOutcome.INCONCLUSIVE
    assert "more than a quarter of the tolerance" in (claim.reason or "")
