"""The physics tier: it says what it cannot judge, passes what can be, and fails what cannot.

The ways to tamper that only it sees are in `tests/cases/speed.py`.
"""

import dataclasses

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.finding import Finding, Outcome, Tier
from kit.check.verify import Known, verify
from kit.plan.plan import CachePolicy
from kit.plan.schedule import Phase
from tests.cases.chunks import all_at_once
from tests.catalog import GPUS, TRANSPORTS
from tests.edits.speed import faster
from tests.edits.telemetry import set_readings, telemetry_in, with_cards, with_samples
from tests.factory import CATALOG, KNOWN, Draft, Settings, draft, judge

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
GPU_ONE = Settings(topology="tp1", model="moe")
DENSE_ON_ONE = Settings(topology="tp1", model="dense")
NVLINK = Settings(topology="tp2-nvlink", model="moe")


def found(made: Draft) -> dict[str, list[Finding]]:
    by_code: dict[str, list[Finding]] = {}
    for finding in judge(made.seal()).findings:
        if finding.code.startswith("physics-"):
            by_code.setdefault(finding.code.removeprefix("physics-"), []).append(finding)
    return by_code


def outcome(made: Draft, name: str) -> Outcome:
    return found(made)[name][0].outcome


def renamed(made: Draft, *names: str) -> Draft:
    """Call the GPUs of the telemetry something else."""
    cards = zip(telemetry_in(made).header.inventory.gpus, names, strict=False)
    with_cards(made, *(replace(gpu, name=name) for gpu, name in cards))
    return made


@pytest.mark.parametrize("model", ["moe", "dense", "moe-fp8"])
@pytest.mark.parametrize("topology", TRANSPORTS)
@pytest.mark.parametrize("cache", CachePolicy)
def test_runs_at_the_published_pace_pass(model: str, topology: str, cache: CachePolicy) -> None:
    for seed in range(3):
        made = draft(Settings(topology=topology, model=model, cache=cache, seed=seed, passes=2))
        outcomes = {finding.outcome for ones in found(made).values() for finding in ones}
        assert outcomes == {PASS}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(), "a CPU's memory bandwidth"),
        (Settings(runtime=Runtime.DOCKER), "a CPU's memory bandwidth"),
        (Settings(topology="cpu-tp2"), "a CPU's memory bandwidth"),
        (Settings(runtime=Runtime.ENDPOINT), "the kit did not start"),
        (Settings(topology="tp1", model="moe", rehearsal=True), "a rehearsal serves a twin"),
        (Settings(topology="tp1", model="tiny"), "the shape of model tiny is not known"),
    ],
)
def test_what_has_no_known_limit_is_not_judged(settings: Settings, reason: str) -> None:
    (finding,) = found(draft(settings))["tier"]
    assert finding.outcome is UNCHECKED
    assert reason in finding.observed


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 4090"), PASS),
        (("NVIDIA GeForce RTX 3090", "A Card That Nobody Knows"), UNCHECKED),
        (("A Card That Nobody Knows",), UNCHECKED),
        ((), UNCHECKED),
    ],
)
def test_a_gpu_that_is_not_in_the_table_is_not_judged(
    names: tuple[str, ...], expected: Outcome
) -> None:
    assert outcome(renamed(draft(GPU_ONE), *names), "tier") is expected


def test_without_telemetry_nobody_knows_what_served() -> None:
    made = draft(GPU_ONE)
    made.telemetry = None
    made.document.absent["telemetry"] = "the driver's library is not there"
    (finding,) = found(made)["tier"]
    assert (finding.outcome, finding.observed) == (UNCHECKED, "no telemetry that names the GPUs")


def test_a_checkout_without_gpus_judges_none() -> None:
    known = Known(validators=KNOWN.validators, catalog=dataclasses.replace(CATALOG, gpus={}))
    verdict = verify("case", draft(GPU_ONE).seal(), (), known).verdict
    outcomes = {one.outcome for one in verdict.findings if one.code.startswith("physics")}
    assert outcomes == {UNCHECKED}


def test_nothing_but_physics_sees_a_run_that_is_ten_times_as_fast_throughout() -> None:
    """And it sees it on every request, and on every pass."""
    made = draft(NVLINK)
    faster(made, 10)
    failed = [one for one in judge(made.seal()).findings if one.outcome is FAIL]
    assert {one.tier for one in failed} == {Tier.PHYSICS}
    subjects = {one.subject for one in failed if one.code == "physics-roofline"}
    assert {"measured-2", "measured-2/impl", "stream-1", "warmup-0/test"} <= subjects


@pytest.mark.parametrize(
    ("settings", "factor", "expected"),
    [
        (GPU_ONE, 2.4, PASS),  # 403 of 430 tok/s
        (GPU_ONE, 3, FAIL),
        (NVLINK, 2.8, PASS),  # 470 of 860: two GPUs have twice the bandwidth
        (NVLINK, 7, FAIL),
        (DENSE_ON_ONE, 1.25, PASS),  # 50 of 52.7
        (DENSE_ON_ONE, 1.45, FAIL),
        (Settings(topology="tp2-pcie", model="dense"), 1.45, PASS),
    ],
)
def test_the_limit_is_the_hardwares_and_no_other(
    settings: Settings, factor: float, expected: Outcome
) -> None:
    made = draft(settings)
    faster(made, factor)
    assert outcome(made, "roofline") is expected


def test_faster_memory_has_a_higher_limit() -> None:
    made = draft(DENSE_ON_ONE)
    faster(made, 3)
    assert outcome(made, "roofline") is FAIL
    made = renamed(made, "NVIDIA A100-SXM4-80GB")
    assert outcome(made, "roofline") is PASS


def test_requests_at_once_share_their_steps() -> None:
    """Eight at a time, each as slow as alone: the pass is eight times as fast, and not accused."""
    made = draft(Settings(topology="tp1", model="dense", passes=3))
    at_once = [
        replace(record, sent_s=round(2 + record.pass_number + position * 1e-4, 6))
        for position, record in enumerate(made.records)
    ]
    made.records = at_once
    assert {one.outcome for one in found(made)["roofline"]} == {PASS}


def test_a_cached_prompt_needs_no_computing() -> None:
    """A first token that comes sooner than the prompt can be computed, unless it was cached."""
    cold = draft(dataclasses.replace(DENSE_ON_ONE, cache=CachePolicy.COLD))
    warm = draft(DENSE_ON_ONE)
    for made, expected in ((warm, PASS), (cold, FAIL)):
        record = made.records[-1]
        (first_s, tokens), *later = record.chunks or ()
        made.records[-1] = replace(record, chunks=((0.03, tokens), *later))
        assert first_s > 0.02
        assert outcome(made, "prefill") is expected


def test_several_tokens_in_a_chunk_are_not_one() -> None:
    made = draft(GPU_ONE)
    record = made.records[-1]
    chunks = record.chunks or ()
    pairs = tuple((at_s, 2) for at_s, _ in chunks[1::2])
    made.records[-1] = replace(record, chunks=pairs)
    assert outcome(made, "stream") is PASS
    sooner = tuple((round(at_s / 4, 6), 2) for at_s, _ in pairs)
    made.records[-1] = replace(record, chunks=sooner)
    assert outcome(made, "stream") is FAIL


def test_a_chunk_that_was_read_late_accuses_nobody() -> None:
    """The next one then seems to have come at once."""
    made = draft(DENSE_ON_ONE)
    for position, record in enumerate(made.records):
        if record.chunks:
            late = tuple(
                (record.chunks[at + 1][0] - 1e-6 if at % 2 == 0 else at_s, tokens)
                for at, (at_s, tokens) in enumerate(record.chunks)
            )
            made.records[position] = replace(record, chunks=late)
    assert outcome(made, "stream") is PASS


def test_a_response_that_arrives_in_a_burst_is_too_fast_between_its_tokens() -> None:
    made = draft(GPU_ONE)
    all_at_once(made)
    assert "chunks came faster" in found(made)["stream"][0].observed


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, PASS),
        ({"power_w": 380.0}, PASS),
        ({"power_w": 390.0}, FAIL),
        ({"power_w": 14.0}, PASS),  # of two cards, for 22 W that the dense model's weights take
        ({"power_w": 10.0}, FAIL),
        ({"power_w": None}, UNCHECKED),
        ({"utilization_percent": None}, PASS),
        ({"utilization_percent": 0}, FAIL),
        ({"utilization_percent": 1}, PASS),
    ],
)
def test_power_fits_the_load(values: dict[str, object], expected: Outcome) -> None:
    made = draft(DENSE_ON_ONE)
    set_readings(made, **values)
    assert outcome(made, "power") is expected


def test_few_readings_may_all_have_missed_the_load() -> None:
    made = draft(Settings(topology="tp1", model="moe", passes=1))
    set_readings(made, utilization_percent=0)
    start_s = next(one.sent_s for one in made.records if one.phase is Phase.MEASURED)
    with_samples(made, lambda samples: [one for one in samples if one.t_s < start_s + 0.2])
    assert outcome(made, "power") is PASS


@pytest.mark.parametrize(
    ("clock_mhz", "expected"),
    [(None, PASS), (405, PASS), (9751, PASS), (10501, WARN), (99_999, WARN)],
)
def test_memory_may_be_overclocked(clock_mhz: int | None, expected: Outcome) -> None:
    made = draft(GPU_ONE)
    set_readings(made, memory_clock_mhz=clock_mhz)
    assert outcome(made, "memory-clock") is expected


def test_overclocked_memory_has_a_higher_limit() -> None:
    made = draft(DENSE_ON_ONE)
    faster(made, 1.4)
    assert outcome(made, "roofline") is FAIL
    set_readings(made, memory_clock_mhz=11000)
    assert outcome(made, "roofline") is PASS


def test_the_table_knows_the_card_of_the_article() -> None:
    assert GPUS["NVIDIA GeForce RTX 3090"].bandwidth_gb_s == 936.2
