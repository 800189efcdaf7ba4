"""What telemetry says of the GPUs. No GPU was seen: see `tests/fake_telemetry.py`."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.bundle.telemetry import ClockReason, GpuProcesses, GpuSample
from kit.check.check import run
from kit.check.evidence import gather
from kit.check.finding import Outcome
from kit.check.observed import Observed
from kit.check.topology import cards
from kit.errors import ExitCode
from kit.plan.schedule import Phase
from tests.edits.telemetry import each_card, each_sample, set_readings
from tests.factory import CATALOG, Draft, Settings, draft, judge, outcomes_of

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
NVLINK = Settings(topology="tp2-nvlink", model="moe")
PCIE = Settings(topology="tp2-pcie", model="moe")
CODES = ("nvlink", "telemetry", "slowdown", "limits", "pcie")


def outcomes(made: Draft, name: str) -> set[Outcome]:
    return outcomes_of(made, f"topology-{name}")


def with_values(settings: Settings, **values: object) -> Draft:
    made = draft(settings)
    set_readings(made, **values)
    return made


def in_phase(made: Draft, phase: Phase, *reasons: ClockReason) -> Draft:
    """Put reasons into the samples between the requests of one phase, and into no others."""
    records = [one for one in made.records if one.phase is phase]
    start_s, end_s = records[0].sent_s, records[-1].sent_s + records[-1].wall_s

    def told(one: GpuSample) -> GpuSample:
        if not start_s <= one.t_s <= end_s:
            return one
        return replace(one, gpus=tuple(replace(gpu, clock_reasons=reasons) for gpu in one.gpus))

    each_sample(made, told)
    return made


def test_two_good_cards() -> None:
    for name in CODES:
        assert outcomes(draft(NVLINK), name) == {PASS}, name


def test_without_telemetry_nothing_is_known() -> None:
    for settings in (NVLINK, PCIE):
        made = draft(settings)
        made.telemetry = None
        made.document.absent["telemetry"] = "the driver's library is not there"
        for name in CODES:
            assert outcomes(made, name) == {UNCHECKED}, name
        assert judge(made.seal()).exit_code is ExitCode.DONE


def test_the_power_cap_is_as_it_should_be() -> None:
    made = with_values(PCIE, clock_reasons=(ClockReason.SW_POWER_CAP, ClockReason.GPU_IDLE))
    assert outcomes(made, "slowdown") == {PASS}


@pytest.mark.parametrize("reason", cards.SLOWDOWNS)
@pytest.mark.parametrize(
    ("phase", "expected"), [(Phase.MEASURED, FAIL), (Phase.WARMUP, WARN), (Phase.STREAM, WARN)]
)
def test_a_slowdown_counts_where_it_touches_the_figures(
    reason: ClockReason, phase: Phase, expected: Outcome
) -> None:
    assert outcomes(in_phase(draft(PCIE), phase, reason), "slowdown") == {expected}


@pytest.mark.parametrize(
    ("limit_w", "default_w", "expected"),
    [
        (350.0, 350.0, PASS),
        (349.5, 350.0, PASS),
        (400.0, 350.0, PASS),
        (700.0, 350.0, PASS),
        (100.0, 350.0, WARN),
        (100.0, None, UNCHECKED),
        (None, 350.0, UNCHECKED),
    ],
)
def test_a_power_limit_below_the_default_is_said_and_is_no_slowdown_by_heat(
    limit_w: float | None, default_w: float | None, expected: Outcome
) -> None:
    made = with_values(PCIE, power_w=99.0)
    each_card(made, power_limit_w=limit_w, power_default_limit_w=default_w)
    assert (outcomes(made, "limits"), outcomes(made, "slowdown")) == ({expected}, {PASS})
    found = [one for one in judge(made.seal()).findings if one.code == "topology-limits"]
    if expected is WARN:
        assert {(one.observed, one.expected) for one in found} == {
            ("limited to 100 W", "350 W, its default")
        }


def test_cards_that_do_not_tell_why_they_are_slow() -> None:
    assert outcomes(with_values(PCIE, clock_reasons=None), "slowdown") == {UNCHECKED}


@pytest.mark.parametrize(
    ("compute", "graphics", "expected"),
    [(0, 0, {PASS}), (1, 0, {FAIL}), (0, 2, {WARN}), (1, 1, {FAIL, WARN}), (0, None, {PASS})],
)
def test_what_else_was_on_the_gpus(
    compute: int, graphics: int | None, expected: set[Outcome]
) -> None:
    facts = draft(Settings(runtime=Runtime.DOCKER)).host_facts
    assert facts is not None
    one = GpuProcesses(index=0, compute_count=compute, graphics_count=graphics)
    assert processes(Observed(host_facts=replace(facts, gpu_processes=(one,)))) == expected
    assert processes(Observed(host_facts=replace(facts, gpu_processes=()))) == {PASS}
    assert processes(Observed()) == {UNCHECKED}


def processes(observed: Observed) -> set[Outcome]:
    made = draft(PCIE)
    engine = made.document.plan.engine
    assert engine is not None
    evidence = gather("id", made.document, tuple(made.records), {}, observed, CATALOG)
    (check,) = (check for check in cards.CHECKS if check.id == "topology-processes")
    return {finding.outcome for finding in run(check, evidence)}


@pytest.mark.parametrize(
    ("clock_mhz", "most_mhz", "expected"),
    [
        (9501, 9751, PASS),
        (5001, 9751, WARN),
        (405, 9751, WARN),
        (10251, 9751, PASS),
        (0, 9751, PASS),
        (5001, None, PASS),
        (None, 9751, PASS),
    ],
)
def test_a_memory_that_was_clocked_otherwise_is_said(
    clock_mhz: int | None, most_mhz: int | None, expected: Outcome
) -> None:
    made = draft(PCIE)
    each_card(made, memory_clock_max_mhz=most_mhz)
    set_readings(made, memory_clock_mhz=clock_mhz)
    assert outcomes(made, "limits") == {expected}


@pytest.mark.parametrize("each", [1, 2, 1000])
def test_readings_without_reasons_leave_open_what_slowed_a_card_down(each: int) -> None:
    """One call in a thousand may fail; who tells none at all has a driver that does not."""
    made = draft(PCIE)
    count = 0

    def silent(one: GpuSample) -> GpuSample:
        nonlocal count
        count += 1
        is_silent = each == 1 or (count % each == 0) or (each == 1000 and count == 10)
        gpus = tuple(replace(gpu, clock_reasons=None) for gpu in one.gpus)
        return replace(one, gpus=gpus) if is_silent else one

    each_sample(made, silent)
    assert outcomes(made, "slowdown") == {UNCHECKED}
    assert "topology-slowdown" in judge(made.seal()).not_shown


def test_an_idle_card_may_have_no_clock() -> None:
    """As drivers tell it of cards that sleep."""
    made = draft(PCIE)
    set_readings(made, sm_clock_mhz=0, memory_clock_mhz=405, utilization_percent=0)
    each_card(made, sm_clock_max_mhz=2100, memory_clock_max_mhz=9751)
    assert outcomes(made, "limits") == {PASS}
