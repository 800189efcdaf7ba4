"""Energy by counters and by power over time, reckoned by hand; no GPU was used."""

import pytest
from msgspec.structs import replace

from kit.bundle.telemetry import ClockReason, GpuSample, Reading, Telemetry
from kit.figures.energy import Energy, NoEnergy, Source, energy
from tests.fake_telemetry import telemetry_of

SPANS = ((10.0, 20.0), (30.0, 40.0))
FIRST_SENT_S = 5.0
IDLE_W, BUSY_W = 30.0, 300.0


def watts(at_s: float) -> float:
    return IDLE_W if at_s < FIRST_SENT_S else BUSY_W


def made(*, boards: int = 2, counter: bool = True, step_s: float = 1.0) -> Telemetry:
    """Return samples of boards that take 30 W while idle and 300 W from 5 s on."""
    base = telemetry_of("2026-03-06T12:00:00.000000Z", 60.0)
    inventory = replace(base.header.inventory, gpus=base.header.inventory.gpus[:boards])
    samples, millijoules = [], 7_000_000.0
    for step in range(int(50 / step_s)):
        at_s = step * step_s
        readings = tuple(
            Reading(
                index=index,
                power_w=watts(at_s),
                energy_mj=int(millijoules) if counter else None,
                clock_reasons=(ClockReason.SW_POWER_CAP,) if at_s < 20 else (),
            )
            for index in range(boards)
        )
        samples.append(GpuSample(t_s=at_s, gpus=readings))
        millijoules += 1000 * step_s * watts(at_s)
    return replace(base, header=replace(base.header, inventory=inventory), samples=tuple(samples))


def found(telemetry: Telemetry, tokens: int = 3000) -> Energy:
    figure = energy(telemetry, SPANS, tokens, FIRST_SENT_S)
    assert isinstance(figure, Energy)
    return figure


@pytest.mark.parametrize("boards", [1, 2])
def test_both_ways_agree_with_what_is_reckoned_by_hand(boards: int) -> None:
    figure = found(made(boards=boards))
    by_hand_j = 20.0 * BUSY_W * boards
    assert figure.source is Source.COUNTER
    assert figure.counted_j == pytest.approx(by_hand_j)
    assert figure.integrated_j == pytest.approx(by_hand_j)
    assert figure.joules_per_token == pytest.approx(by_hand_j / 3000)
    assert figure.wh_per_1000_tokens == pytest.approx(by_hand_j / 3.6 / 3000)
    net = (BUSY_W - IDLE_W) * 20.0 * boards / 3000
    assert figure.net_joules_per_token == pytest.approx(net)
    assert (figure.by_power, figure.by_heat) == (pytest.approx(0.5, abs=0.06), 0.0)


def test_a_card_without_a_counter_has_its_power_integrated() -> None:
    figure = found(made(counter=False))
    assert (figure.source, figure.counted_j) == (Source.POWER, None)
    assert figure.joules == pytest.approx(12_000)


def test_a_counter_that_went_back_is_not_used() -> None:
    """The driver was loaded anew."""
    telemetry = made()
    reset = tuple(
        sample
        if sample.t_s < 25
        else replace(
            sample, gpus=tuple(replace(one, energy_mj=int(sample.t_s)) for one in sample.gpus)
        )
        for sample in telemetry.samples
    )
    assert found(replace(telemetry, samples=reset)).source is Source.POWER


def without(telemetry: Telemetry, start_s: float, end_s: float) -> Telemetry:
    kept = tuple(it for it in telemetry.samples if not start_s < it.t_s < end_s)
    return replace(telemetry, samples=kept)


@pytest.mark.parametrize(
    ("telemetry", "reason"),
    [
        (None, "no telemetry"),
        (without(made(), 11.5, 15.5), "a gap of 5.0 s"),
        (without(made(), 32.5, 99.0), "power was read over"),
        (without(made(), 0.5, 99.0), "power of 0 of 2 boards"),
    ],
)
def test_there_is_a_reason_in_place_of_a_figure(telemetry: Telemetry | None, reason: str) -> None:
    figure = energy(telemetry, SPANS, 3000, FIRST_SENT_S)
    assert isinstance(figure, NoEnergy)
    assert reason in figure.reason


def test_a_gap_between_the_measured_passes_does_not_matter() -> None:
    assert found(without(made(), 20.5, 29.5)).integrated_j == pytest.approx(12_000)


def test_a_second_board_without_readings_leaves_no_figure() -> None:
    telemetry = made()
    one = tuple(replace(sample, gpus=sample.gpus[:1]) for sample in telemetry.samples)
    figure = energy(replace(telemetry, samples=one), SPANS, 3000, FIRST_SENT_S)
    assert isinstance(figure, NoEnergy)
    assert "1 of 2 boards" in figure.reason
