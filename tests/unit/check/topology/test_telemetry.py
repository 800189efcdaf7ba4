"""Telemetry itself: whose it is, of which run, and over what time. No GPU was seen.

The ways to tamper with it are in `tests/cases/telemetry.py`.
"""

import dataclasses

import pytest
from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import Runtime, Status
from kit.bundle.telemetry import Reading
from kit.check.finding import Outcome
from kit.check.integrity import open_bag
from kit.check.observed import Observed
from tests.edits.speed import faster
from tests.edits.telemetry import (
    each_card,
    each_sample,
    set_header,
    set_one_reading,
    set_readings,
    telemetry_in,
    with_cards,
    with_samples,
)
from tests.factory import Draft, Settings, draft, judge, outcomes_of, utc

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
PCIE = Settings(runtime=Runtime.DOCKER, topology="tp2-pcie", model="moe")
KNOWN_CARD = "NVIDIA GeForce RTX 3090"


def outcomes(made: Draft, code: str = "topology-telemetry") -> set[Outcome]:
    return outcomes_of(made, code)


@pytest.mark.parametrize(
    "name",
    [
        KNOWN_CARD,
        "NVIDIA GeForce RTX 3080",
        "unknown",
        f"{KNOWN_CARD} ",
        "NVIDIA GeForce  RTX 3090",
        "NVIDIA GeForce RTX 3090\u200b",
        "NVIDIA\u00a0GeForce RTX 3090",
        "NVIDIA GeF\u043erce RTX 3090",
    ],
)
def test_a_card_of_another_name_is_not_known(name: str) -> None:
    made = draft(PCIE)
    each_card(made, name=name)
    assert outcomes(made) == {PASS}
    assert judge(made.seal()).is_reportable is (name == KNOWN_CARD)


def with_a_third_card(name: str, **values: object) -> Draft:
    made = draft(PCIE)
    first, *rest = telemetry_in(made).header.inventory.gpus
    third = replace(first, index=2, name=name, compute_capability=None)
    with_cards(made, first, *rest, third)
    each_sample(
        made,
        lambda one: replace(one, gpus=(*one.gpus, replace(one.gpus[0], index=2, **values))),
    )
    return made


@pytest.mark.parametrize(
    ("name", "utilization", "expected"),
    [
        ("NVIDIA T400 4GB", 0, PASS),
        ("NVIDIA T400 4GB", 3, UNCHECKED),
        ("NVIDIA T400 4GB", None, UNCHECKED),
        ("NVIDIA GeForce RTX 4090", 3, PASS),
    ],
)
def test_a_card_that_nobody_knows_matters_if_it_may_have_served(
    name: str, utilization: int | None, expected: Outcome
) -> None:
    made = with_a_third_card(name, utilization_percent=utilization)
    assert outcomes(made, "physics-tier") == {expected}
    assert FAIL not in {one.outcome for one in judge(made.seal()).findings}
    assert judge(made.seal()).is_reportable is (expected is PASS)


def test_the_cards_that_served_are_held_against_though_another_is_not_known() -> None:
    made = with_a_third_card("NVIDIA T400 4GB", utilization_percent=0)
    faster(made, 10)
    assert FAIL in outcomes(made, "physics-roofline")


def began_before(made: Draft, *, apart_s: float, end_apart_s: float = 0.0) -> Draft:
    """Have the sampler begin 90 s before the run, its UTC clock off by so much then, and at the
    end."""
    set_header(made, t_s=-90.0, utc=utc(-90.0 - apart_s))
    end = telemetry_in(made).end
    assert end is not None
    end = replace(end, utc=utc(end.t_s - end_apart_s))
    made.telemetry = replace(telemetry_in(made), end=end)
    return made


@pytest.mark.parametrize(
    ("apart_s", "end_apart_s", "expected"),
    [
        (0.0, 0.0, PASS),
        (1.9, 0.0, PASS),
        (3.5, 0.0, WARN),
        (-900.0, 0.0, WARN),
        (3.5, 3.5, FAIL),
        (3600.0, 0.0, FAIL),
    ],
)
def test_a_clock_may_be_set_while_the_engine_loads(
    apart_s: float, end_apart_s: float, expected: Outcome
) -> None:
    """Telemetry of another run is off at its end too."""
    made = began_before(draft(PCIE), apart_s=apart_s, end_apart_s=end_apart_s)
    assert outcomes(made) == {expected}
    assert judge(made.seal()).is_reportable is (expected is not FAIL)


def test_a_clock_may_be_set_before_a_run_that_broke_off() -> None:
    made = draft(Settings(runtime=Runtime.DOCKER, topology="tp1", model="moe", stop_after=4))
    made = began_before(made, apart_s=3.5)
    made.telemetry = replace(telemetry_in(made), end=None)
    assert outcomes(made) == {WARN}


def test_samples_that_all_miss_the_measured_passes_tell_nothing_of_them() -> None:
    """A sampler that was asked for one a minute is the kit's; such a run is valid."""
    made = draft(PCIE)
    set_header(made, interval_s=60.0)
    with_samples(made, lambda samples: (samples[0], samples[-1]))
    verdict = judge(made.seal())
    assert outcomes(made) == {UNCHECKED}
    assert FAIL not in {one.outcome for one in verdict.findings}
    assert "topology-telemetry" in verdict.not_shown


def test_a_card_that_falls_silent_is_still_one_of_the_inventory() -> None:
    made = draft(PCIE)
    each_sample(made, lambda one: replace(one, gpus=one.gpus[:1]) if one.t_s > 0.5 else one)
    assert outcomes(made) == {UNCHECKED}, "of one rank nobody knows what its card did"


def test_readings_that_tell_nothing_are_none() -> None:
    made = draft(PCIE)
    silent = (Reading(index=0), Reading(index=1))
    each_sample(made, lambda one: replace(one, gpus=silent))
    assert outcomes(made) == {UNCHECKED}
    assert "topology-telemetry" in judge(made.seal()).not_shown


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"memory_bytes": None, "compute_capability": None}, PASS),
        ({"memory_bytes": 23_000 * 2**20}, PASS),  # with error correction, where a card has it
        ({"memory_bytes": 48 * 2**30}, WARN),  # larger chips, soldered on
        ({"memory_bytes": 8 * 2**30}, WARN),
    ],
)
def test_a_known_card_is_as_its_maker_says(facts: dict[str, object], expected: Outcome) -> None:
    made = draft(PCIE)
    set_readings(made, memory_used_bytes=None)
    each_card(made, **facts)
    assert outcomes(made) == {expected}


@pytest.mark.parametrize(
    "values",
    [
        {"power_w": -1e6},
        {"utilization_percent": 101},
        {"memory_used_bytes": 2**40},
        {"temperature_c": 400},
        {"pcie_generation": 9, "pcie_width": 64},
    ],
)
def test_one_impossible_reading_does_not_invalidate_telemetry(values: dict[str, object]) -> None:
    made = draft(PCIE)
    set_one_reading(made, **values)
    assert outcomes(made) == {PASS}
    assert judge(made.seal()).is_reportable


def test_a_gap_is_a_warning() -> None:
    made = draft(dataclasses.replace(PCIE, passes=60))
    with_samples(made, lambda samples: [one for one in samples if not 3 < one.t_s < 8.5])
    assert outcomes(made) == {WARN}
    assert judge(made.seal()).is_reportable


def test_a_run_that_broke_off_may_have_telemetry_that_did_too() -> None:
    made = draft(Settings(topology="tp2-pcie", model="moe", stop_after=4))
    assert made.document.status is Status.PARTIAL
    assert made.telemetry is not None
    made.telemetry = replace(made.telemetry, samples=made.telemetry.samples[:5], end=None)
    assert outcomes(made) == {PASS}


def test_telemetry_that_cannot_be_read_is_not_used() -> None:
    observed = open_bag({bag.TELEMETRY: bag.compress(b"{}\n")}).observed
    assert observed.telemetry is None
    assert observed.telemetry_fault is not None
    assert dataclasses.replace(observed, telemetry_fault=None) == Observed()
