"""Telemetry: one spelling a line, in order, and whole or said not to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kit.bundle import telemetry
from kit.bundle.telemetry import (
    ClockReason,
    End,
    GpuFacts,
    GpuSample,
    Header,
    Inventory,
    Reading,
    Source,
    Telemetry,
)
from kit.format.canonical import NotCanonical

NOTHING = Inventory(source=Source.NVML, gpus=())
UTC = "2026-03-06T12:00:00.000000Z"
GPU = GpuFacts(
    index=0, name="NVIDIA GeForce RTX 3090", memory_bytes=24 * 2**30, power_limit_w=350.0
)
HEADER = Header(
    schema_version=1,
    t_s=1000.0,
    utc=UTC,
    interval_s=1.0,
    inventory=Inventory(source=Source.NVML, driver_version="570.133.20", gpus=(GPU,)),
)


def sample(t_s: float, **values: object) -> GpuSample:
    return GpuSample(t_s=t_s, gpus=(replace(Reading(index=0), **values),))


WHOLE = Telemetry(
    header=HEADER,
    samples=(
        sample(1000.5, sm_clock_mhz=1695, clock_reasons=(ClockReason.SW_POWER_CAP,)),
        sample(1001.5, power_w=349.25, nvlink_sent_bytes=0),
    ),
    end=End(t_s=1002.0, utc=UTC),
)
DATA = telemetry.write(WHOLE)


def test_what_is_written_is_read_back() -> None:
    assert telemetry.read(DATA) == WHOLE
    assert DATA.count(b"\n") == 4


def test_an_absent_value_is_absent_and_zero_is_not() -> None:
    assert b"temperature" not in DATA
    assert b'"nvlink_sent_bytes":0' in DATA


def test_a_sampler_that_was_killed_leaves_no_end() -> None:
    cut = DATA[: DATA.rindex(b'{"kind":"end"')]
    assert telemetry.read(cut).end is None
    assert telemetry.read(cut).samples == WHOLE.samples


def lines(*numbers: int) -> bytes:
    found = DATA.splitlines(keepends=True)
    return b"".join(found[number] for number in numbers)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        DATA[:-1],
        DATA.replace(b'":1695', b'": 1695'),
        DATA.replace(b'"kind":"end"', b'"kind":"end","kind":"end"'),
        DATA.replace(b"sw-power-cap", b"cosmic-ray"),
        DATA.replace(b'"index":0', b'"index":-1'),
        DATA.replace(b'"index":0', b'"index":0,"serial":1'),
        DATA.replace(b'"schema_version":1', b'"schema_version":2'),
        DATA.replace(b"1000.5", b"1003.5"),
        DATA.replace(b"349.25", b"NaN"),
        DATA.replace(b"RTX 3090", b"R" * 100),
        DATA.replace(b"2026-03-06T12:00:00.000000Z", b"yesterday"),
        lines(1, 2, 3),
        lines(0, 0, 1, 3),
        lines(0, 1, 3, 3),
        lines(0, 3, 1),
        lines(3),
    ],
)
def test_what_is_not_telemetry(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        telemetry.read(data)


def test_a_file_without_end_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(NotCanonical, match="more than"):
        telemetry.read(b"\n" * (telemetry.LINE_LIMIT + 1))
    with pytest.raises(NotCanonical, match="more than"):
        telemetry.read(b" " * (telemetry.LIMIT_BYTES + 1))


def test_more_readings_than_of_two_gpus_in_a_day_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "READING_LIMIT", 40)
    one = GpuSample(t_s=1000.0, gpus=(Reading(index=0),) * 40)
    most = replace(WHOLE, samples=(one,), header=replace(HEADER, inventory=NOTHING))
    assert telemetry.read(telemetry.write(most)) == most
    more = replace(most, samples=(one, sample(1000.0)))
    with pytest.raises(NotCanonical, match="more than 40 readings"):
        telemetry.read(telemetry.write(more))


def test_times_are_moved_to_the_runs_start() -> None:
    moved = telemetry.read(telemetry.from_start(DATA, 1001.0))
    assert [moved.header.t_s, *(one.t_s for one in moved.samples)] == [-1.0, -0.5, 0.5]
    assert moved.end == replace(WHOLE.end, t_s=1.0)  # type: ignore[type-var]
    assert moved.header.utc == UTC


def test_a_last_line_that_was_cut_off_is_left_out() -> None:
    moved = telemetry.read(telemetry.from_start(DATA[:-5], 1000.0))
    assert moved.end is None
    assert len(moved.samples) == 2


@given(st.integers(0, len(DATA)))
def test_a_file_cut_anywhere_is_the_lines_before_or_nothing(size: int) -> None:
    cut = DATA[:size]
    if b"\n" in cut:
        assert len(telemetry.read(telemetry.from_start(cut, 0.0)).samples) <= 2
    else:
        with pytest.raises(NotCanonical):
            telemetry.from_start(cut, 0.0)


@given(st.floats(0, 1e7), st.lists(st.floats(0, 1e5), max_size=5))
def test_moving_keeps_order_and_distance(origin_s: float, times_s: list[float]) -> None:
    samples = tuple(sample(1000.0 + t_s) for t_s in sorted(times_s))
    moved = telemetry.from_start(
        telemetry.write(Telemetry(header=HEADER, samples=samples, end=None)), origin_s
    )
    for one, before in zip(telemetry.read(moved).samples, samples, strict=True):
        assert one.t_s == pytest.approx(before.t_s - origin_s, abs=1e-6)


@pytest.mark.parametrize(
    ("tail", "ended"),
    [
        (DATA, True),
        (DATA[-300:], True),
        (DATA[:-1], False),
        (lines(0, 1, 2), False),
        (lines(3), True),
        (b"", False),
        (b"\n", False),
        (lines(3)[3:], False),
    ],
)
def test_the_end_can_be_seen_from_the_tail(tail: bytes, ended: bool) -> None:
    assert telemetry.has_ended(tail) is ended


@given(st.binary(max_size=200))
def test_any_bytes_are_telemetry_or_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        telemetry.read(data)
