"""Energy of the GPU boards over the seconds that a figure is from.

Boards only: no processor, no other fans, no losses of the supply. By NVML's total energy counter
where every board has one, else by power integrated over time; both are kept. A board's sensor is
off by up to 5 %, differently on equal boards (Yang, Adamek, Armour, "Part-time Power Measurements",
arXiv 2312.02741), so that energy of two hosts cannot be compared more closely.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from statistics import median

from kit.bundle.telemetry import ClockReason, Reading, Telemetry, by_gpu

BOARD_ERROR_RATIO = 0.05
LEAST_COVERAGE = 0.95
LONGEST_GAP_S = 2.0
IDLE_S = 2.0
"""Before the first request the engine is ready and idle for so long: the client is calibrated."""

J_PER_WH = 3600.0

_BY_POWER = frozenset({ClockReason.SW_POWER_CAP, ClockReason.HW_POWER_BRAKE_SLOWDOWN})
_BY_HEAT = frozenset({ClockReason.SW_THERMAL_SLOWDOWN, ClockReason.HW_THERMAL_SLOWDOWN})

Span = tuple[float, float]
"""Seconds from the run's start."""

Points = list[tuple[float, float]]
"""(seconds, value) of one board, in the order of time."""


class Source(Enum):
    """Where the joules are from."""

    COUNTER = "the cards' counters"
    POWER = "power over time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Energy:
    """Joules of all boards together over `seconds`, in which `tokens` arrived.

    `idle_w` is their power while the engine was ready and idle. `by_power` and `by_heat` are the
    shares of readings with a clock held down by either. A `power_limit_w` is of each board.
    """

    counted_j: float | None
    integrated_j: float
    idle_w: float | None
    seconds: float
    tokens: int
    by_power: float | None
    by_heat: float | None
    power_limit_w: float | None

    @property
    def source(self) -> Source:
        """What `joules` are from."""
        return Source.POWER if self.counted_j is None else Source.COUNTER

    @property
    def joules(self) -> float:
        """By the counters, else integrated."""
        return self.integrated_j if self.counted_j is None else self.counted_j

    @property
    def joules_per_token(self) -> float:
        return self.joules / self.tokens

    @property
    def net_joules_per_token(self) -> float | None:
        """The same without what the boards take while idle."""
        if self.idle_w is None:
            return None
        return (self.joules - self.idle_w * self.seconds) / self.tokens

    @property
    def wh_per_1000_tokens(self) -> float:
        return 1000 * self.joules_per_token / J_PER_WH


@dataclass(frozen=True, kw_only=True, slots=True)
class NoEnergy:
    """Why there is no figure of energy."""

    reason: str


def energy(
    telemetry: Telemetry | None, spans: Sequence[Span], tokens: int, first_sent_s: float
) -> Energy | NoEnergy:
    """Return the energy over these spans; idle power is from just before the first request."""
    if telemetry is None or not telemetry.samples:
        return NoEnergy(reason="no telemetry of GPUs")
    if not spans or not tokens:
        return NoEnergy(reason="nothing was measured")
    powers = _points(telemetry, lambda reading: reading.power_w)
    boards = len(telemetry.header.inventory.gpus)
    if len(powers) < boards:
        return NoEnergy(reason=f"power of {len(powers)} of {boards} boards")
    if (reason := next(_holes(powers, spans), None)) is not None:
        return NoEnergy(reason=reason)
    integrated = [sum(_integral(points, *span) for span in spans) for points in powers]
    readings = list(_readings(telemetry, spans))
    return Energy(
        counted_j=_counted(telemetry, spans, boards),
        integrated_j=sum(integrated),
        idle_w=_idle_w(powers, first_sent_s),
        seconds=sum(end_s - start_s for start_s, end_s in spans),
        tokens=tokens,
        by_power=_share(readings, _BY_POWER),
        by_heat=_share(readings, _BY_HEAT),
        power_limit_w=telemetry.header.inventory.gpus[0].power_limit_w,
    )


def _points(telemetry: Telemetry, value_of: Callable[[Reading], float | None]) -> list[Points]:
    """Return what each board reported, without what it did not."""
    boards: dict[int, Points] = {}
    for sample in telemetry.samples:
        for reading in sample.gpus:
            if (value := value_of(reading)) is not None and value >= 0:
                boards.setdefault(reading.index, []).append((sample.t_s, float(value)))
    return [points for points in boards.values() if len(points) > 1]


def _holes(boards: Sequence[Points], spans: Sequence[Span]) -> Iterator[str]:
    """Yield why readings do not cover the spans."""
    for points in boards:
        times_s = [at_s for at_s, _ in points]
        if times_s[0] > spans[0][0] or times_s[-1] < spans[-1][1]:
            covered = min(times_s[-1], spans[-1][1]) - max(times_s[0], spans[0][0])
            share = max(0.0, covered) / (spans[-1][1] - spans[0][0])
            if share < LEAST_COVERAGE:
                yield f"power was read over {share:.0%} of the time"
        for earlier_s, later_s in pairwise(times_s):
            is_inside = any(start_s < later_s and earlier_s < end_s for start_s, end_s in spans)
            if is_inside and later_s - earlier_s > LONGEST_GAP_S:
                yield f"a gap of {later_s - earlier_s:.1f} s between readings of power"


def _integral(points: Points, start_s: float, end_s: float) -> float:
    """Return the area under straight lines between the points, over a span."""
    area = 0.0
    for (earlier_s, earlier), (later_s, later) in pairwise(points):
        low_s, high_s = max(earlier_s, start_s), min(later_s, end_s)
        if low_s < high_s:
            slope = (later - earlier) / (later_s - earlier_s)
            middle = earlier + slope * ((low_s + high_s) / 2 - earlier_s)
            area += middle * (high_s - low_s)
    return area


def _counted(telemetry: Telemetry, spans: Sequence[Span], boards: int) -> float | None:
    """Return what all counters moved by over the spans; None where one is missing or went back."""
    counters = _points(telemetry, lambda reading: reading.energy_mj)
    went_back = any(
        later < earlier for points in counters for (_, earlier), (_, later) in pairwise(points)
    )
    if len(counters) < boards or went_back:
        return None
    return sum(
        (_at(points, end_s) - _at(points, start_s)) / 1000
        for points in counters
        for start_s, end_s in spans
    )


def _at(points: Points, at_s: float) -> float:
    """Return the value at a time, on the straight line between the points around it."""
    for (earlier_s, earlier), (later_s, later) in pairwise(points):
        if at_s <= later_s:
            share = max(0.0, at_s - earlier_s) / (later_s - earlier_s)
            return earlier + share * (later - earlier)
    return points[-1][1]


def _idle_w(boards: Sequence[Points], first_sent_s: float) -> float | None:
    """Return the boards' power before the first request; None where none was read."""
    idle = [
        [watts for at_s, watts in points if first_sent_s - IDLE_S <= at_s < first_sent_s]
        for points in boards
    ]
    return sum(map(median, idle)) if all(idle) else None


def _readings(telemetry: Telemetry, spans: Sequence[Span]) -> Iterator[Reading]:
    inside = [
        sample
        for sample in telemetry.samples
        if any(start_s <= sample.t_s <= end_s for start_s, end_s in spans)
    ]
    for readings in by_gpu(inside).values():
        yield from readings


def _share(readings: Sequence[Reading], reasons: frozenset[ClockReason]) -> float | None:
    known = [set(it.clock_reasons) for it in readings if it.clock_reasons is not None]
    return sum(bool(it & reasons) for it in known) / len(known) if known else None
