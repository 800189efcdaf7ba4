"""Statistics, held against scipy and against what must be true of any rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle.record import Chunk, ErrorCode, Record
from kit.figures import intervals, latency, throughput
from kit.figures.intervals import Interval
from kit.plan.schedule import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the tests vary of a record."""

    tokens: int | None = 100
    wall_s: float = 2.0
    phase: Phase = Phase.MEASURED
    number: int = 1
    prompt: str = "impl"
    error: ErrorCode | None = None
    chunks: tuple[Chunk, ...] | None = None

    def record(self) -> Record:
        return Record(
            phase=self.phase,
            pass_number=self.number,
            prompt_id=self.prompt,
            seed=1,
            sent_s=0.0,
            wall_s=self.wall_s,
            completion_tokens=self.tokens,
            error=self.error,
            chunks=self.chunks,
        )


def stream(*chunks: Chunk) -> Record:
    return Seen(phase=Phase.STREAM, chunks=chunks).record()


SECONDS = st.floats(1e-3, 1e4)
RECORDS = st.lists(
    st.builds(
        Seen,
        tokens=st.integers(1, 10_000),
        wall_s=SECONDS,
        number=st.integers(1, 5),
        prompt=st.sampled_from(["impl", "debug", "test"]),
    ).map(Seen.record),
    min_size=1,
    max_size=20,
)
RATES = st.lists(st.floats(0.1, 1e4), min_size=3, max_size=12)
CHUNKS = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5)), min_size=1, max_size=20).map(
    lambda chunks: tuple(sorted(chunks))
)


def pooled_rate(records: Sequence[Record]) -> float:
    pooled = throughput.pooled(records)
    assert pooled is not None
    return pooled.tokens_per_s


def rate_interval(rates: Sequence[float], centre: float, starts: int = 1) -> Interval:
    interval = intervals.rate_interval(rates, centre, starts)
    assert interval is not None
    return interval


def ratio_interval(one: Sequence[float], other: Sequence[float], starts: int = 1) -> Interval:
    interval = intervals.ratio_interval(one, other, 1.0, starts)
    assert interval is not None
    return interval


def half_width(interval: Interval) -> float:
    return math.log(interval.high / interval.low) / 2


# Pooled figures


@given(RECORDS)
def test_pooled_lies_between_the_slowest_and_the_fastest(records: list[Record]) -> None:
    rates = [(record.completion_tokens or 0) / record.wall_s for record in records]
    assert min(rates) * (1 - 1e-12) <= pooled_rate(records) <= max(rates) * (1 + 1e-12)


@given(RECORDS, st.randoms(use_true_random=False))
def test_order_does_not_matter(records: list[Record], dice: object) -> None:
    shuffled = records.copy()
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert throughput.pooled(shuffled) == throughput.pooled(records)
    assert throughput.by_pass(shuffled) == throughput.by_pass(records)
    assert throughput.by_prompt(shuffled) == throughput.by_prompt(records)


@given(RECORDS, st.sampled_from([0.5, 2.0, 1024.0]))
def test_seconds_scale_rates(records: list[Record], factor: float) -> None:
    slower = [
        Seen(tokens=record.completion_tokens, wall_s=record.wall_s * factor).record()
        for record in records
    ]
    assert pooled_rate(slower) == pytest.approx(pooled_rate(records) / factor, rel=1e-12)


@given(RECORDS)
def test_passes_and_prompts_add_up_to_the_whole(records: list[Record]) -> None:
    whole = throughput.pooled(records)
    assert whole is not None
    for groups in (throughput.by_pass(records).values(), throughput.by_prompt(records).values()):
        assert sum(group.tokens for group in groups) == whole.tokens
        assert math.fsum(group.seconds for group in groups) == pytest.approx(whole.seconds)


def test_pooled_is_total_over_total_and_not_a_mean_of_rates() -> None:
    records = [Seen(tokens=100, wall_s=1.0).record(), Seen(tokens=100, wall_s=4.0).record()]
    assert pooled_rate(records) == 200 / 5
    assert throughput.mean_of_columns(records) == 40.0


def test_mean_of_columns_weighs_prompts_alike() -> None:
    records = [
        Seen(prompt="impl", tokens=100, wall_s=1.0).record(),
        Seen(prompt="debug", tokens=100, wall_s=4.0).record(),
        Seen(prompt="debug", tokens=100, wall_s=4.0, number=2).record(),
    ]
    assert throughput.mean_of_columns(records) == (100 + 25) / 2


@pytest.mark.parametrize(
    "seen",
    [
        Seen(phase=Phase.WARMUP),
        Seen(phase=Phase.STREAM),
        Seen(error=ErrorCode.TIMED_OUT),
        Seen(tokens=None),
        Seen(wall_s=0.0),
        Seen(wall_s=-1.0),
    ],
)
def test_what_the_headline_leaves_out(seen: Seen) -> None:
    good = Seen(tokens=7).record()
    assert throughput.measured([seen.record(), good]) == (good,)
    assert throughput.pooled([seen.record()]) is None
    assert throughput.mean_of_columns([seen.record()]) is None
    assert throughput.by_pass([seen.record()]) == {}


def test_no_tokens_in_some_time_is_a_rate_of_nothing() -> None:
    assert pooled_rate([Seen(tokens=0).record()]) == 0.0


def test_groups_keep_the_order_of_first_appearance() -> None:
    records = [Seen(prompt=name).record() for name in ("test", "impl", "test", "debug")]
    assert list(throughput.by_prompt(records)) == ["test", "impl", "debug"]


# Intervals


@given(RATES, st.floats(0.1, 1e4))
def test_an_interval_is_symmetric_in_the_logarithm(rates: list[float], centre: float) -> None:
    interval = rate_interval(rates, centre)
    assert interval.low < centre < interval.high
    assert math.sqrt(interval.low * interval.high) == pytest.approx(centre)


@given(RATES)
def test_an_interval_is_never_narrower_than_restarts_differ(rates: list[float]) -> None:
    assert half_width(rate_interval(rates, 1.0)) >= intervals.RESTART_FLOOR * (1 - 1e-9)
    assert half_width(rate_interval(rates, 1.0, starts=2)) >= intervals.RESTART_FLOOR * (1 - 1e-9)
    assert half_width(ratio_interval(rates, rates)) >= 2**0.5 * intervals.RESTART_FLOOR * (1 - 1e-9)


def test_three_starts_lift_the_floor() -> None:
    rates = [100.0, 100.1, 99.9]
    assert half_width(rate_interval(rates, 100.0, starts=2)) == pytest.approx(0.013)
    assert 0 < half_width(rate_interval(rates, 100.0, starts=3)) < 0.013
    assert half_width(ratio_interval(rates, rates, starts=2)) == pytest.approx(0.013 * 2**0.5)
    assert 0 < half_width(ratio_interval(rates, rates, starts=3)) < 0.013


@given(RATES)
def test_more_passes_of_the_same_kind_narrow_the_interval(rates: list[float]) -> None:
    once = rate_interval(rates, 1.0, starts=3)
    assert half_width(rate_interval(rates * 2, 1.0, starts=3)) <= half_width(once)


@given(RATES)
def test_doubling_every_rate_leaves_the_width(rates: list[float]) -> None:
    doubled = [2 * rate for rate in rates]
    assert half_width(rate_interval(doubled, 1.0)) == pytest.approx(
        half_width(rate_interval(rates, 1.0)), rel=1e-6
    )


@given(st.lists(st.floats(50, 200), min_size=3, max_size=12))
def test_a_rate_interval_is_students(rates: list[float]) -> None:
    logarithms = [math.log(rate) for rate in rates]
    error = float(scipy.stats.sem(logarithms))
    width = error * float(scipy.stats.t.ppf(0.975, len(rates) - 1))
    assert half_width(rate_interval(rates, 1.0)) == pytest.approx(max(width, 0.013), rel=1e-6)


@given(
    st.lists(st.floats(50, 200), min_size=3, max_size=9, unique=True),
    st.lists(st.floats(50, 200), min_size=3, max_size=9, unique=True),
)
def test_a_ratio_interval_is_welchs(one: list[float], other: list[float]) -> None:
    logs = [[math.log(rate) for rate in rates] for rates in (one, other)]
    welch = scipy.stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    width = max(float(welch.high - welch.low) / 2, 0.013 * 2**0.5)
    assert half_width(ratio_interval(one, other)) == pytest.approx(width, rel=1e-5)


@given(RATES, RATES)
def test_a_ratio_is_as_wide_either_way(one: list[float], other: list[float]) -> None:
    assert half_width(ratio_interval(one, other)) == pytest.approx(
        half_width(ratio_interval(other, one))
    )


@given(RATES)
def test_a_cell_against_itself_may_be_equal(rates: list[float]) -> None:
    for starts in (1, 3):
        interval = ratio_interval(rates, rates, starts)
        assert interval.low <= 1.0 <= interval.high


def test_equal_passes_have_no_spread_of_their_own() -> None:
    assert half_width(ratio_interval([70.0] * 3, [30.0] * 3)) == pytest.approx(0.013 * 2**0.5)
    assert ratio_interval([70.0] * 3, [30.0] * 3, 3) == Interval(low=1.0, high=1.0)
    assert rate_interval([70.0] * 3, 70.0, 3) == Interval(low=70.0, high=70.0)


@pytest.mark.parametrize("rates", [[], [1.0], [1.0, 2.0], [1.0, 2.0, 0.0]])
def test_too_few_passes_or_an_empty_one_have_no_interval(rates: list[float]) -> None:
    enough = [1.0, 2.0, 3.0]
    assert intervals.rate_interval(rates, 1.0) is None
    assert intervals.ratio_interval(rates, enough, 1.0) is None
    assert intervals.ratio_interval(enough, rates, 1.0) is None
    assert intervals.ratio_interval(enough, enough, 1.0) is not None


@given(st.floats(0.5, 1000), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_quantile_agrees_with_scipy(degrees: float, confidence: float) -> None:
    expected = float(scipy.stats.t.ppf((1 + confidence) / 2, degrees))
    assert intervals.student_t_quantile(degrees, confidence) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.30265), (4, 2.77645), (10, 2.22814), (30, 2.04227), (1e6, 1.95997)],
)
def test_quantile_is_the_one_in_printed_tables(degrees: float, expected: float) -> None:
    assert intervals.student_t_quantile(degrees) == pytest.approx(expected, abs=1e-4)


# Latencies


@given(CHUNKS)
def test_gaps_add_up_to_the_span_of_the_tokens(chunks: tuple[Chunk, ...]) -> None:
    arrivals = [arrival_s for arrival_s, tokens in chunks if tokens]
    gaps = latency.inter_token_latencies([stream(*chunks)])
    assert math.fsum(gaps) == pytest.approx(arrivals[-1] - arrivals[0] if arrivals else 0.0)


@given(CHUNKS)
def test_every_token_after_the_first_chunk_has_a_gap(chunks: tuple[Chunk, ...]) -> None:
    counts = [tokens for _, tokens in chunks if tokens]
    assert len(latency.inter_token_latencies([stream(*chunks)])) == sum(counts[1:])


def test_a_chunk_of_three_tokens_counts_three_times() -> None:
    gaps = latency.inter_token_latencies([stream((0.5, 2), (0.75, 1), (2.25, 3))])
    assert gaps == (0.25, 0.5, 0.5, 0.5)


def test_time_to_first_token_is_that_of_the_first_chunk_with_one() -> None:
    records = [stream((0.25, 0), (0.5, 2), (0.75, 1)), stream((0.125, 1))]
    assert latency.times_to_first_token(records) == (0.5, 0.125)


def test_a_chunk_without_tokens_makes_no_gap() -> None:
    assert latency.inter_token_latencies([stream((0.5, 1), (0.7, 0), (1.0, 1))]) == (0.5,)


def test_gaps_do_not_reach_from_one_response_to_the_next() -> None:
    assert latency.inter_token_latencies([stream((0.5, 1)), stream((9.0, 1))]) == ()


@pytest.mark.parametrize(
    "seen",
    [
        Seen(phase=Phase.STREAM, chunks=None),
        Seen(phase=Phase.STREAM, chunks=()),
        Seen(phase=Phase.STREAM, chunks=((0.5, 0),)),
        Seen(phase=Phase.STREAM, chunks=((0.5, 1), (1.0, 1)), error=ErrorCode.STREAM_CUT),
        Seen(phase=Phase.MEASURED, chunks=((0.5, 1), (1.0, 1))),
    ],
)
def test_absent_latencies_are_absent(seen: Seen) -> None:
    assert latency.times_to_first_token([seen.record()]) == ()
    assert latency.inter_token_latencies([seen.record()]) == ()


def test_no_latencies_have_no_summary() -> None:
    assert latency.latency_summary([]) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_a_summary_agrees_with_scipys_quantiles(seconds: list[float]) -> None:
    summary = latency.latency_summary(seconds)
    assert summary is not None
    quantiles = scipy.stats.mstats.mquantiles(seconds, [0.5, 0.99], alphap=1, betap=1)
    assert [summary.median_s, summary.p99_s] == pytest.approx(list(quantiles), abs=1e-9)
    assert min(seconds) <= summary.median_s <= summary.p99_s <= max(seconds)
    assert summary.mean_s == pytest.approx(math.fsum(seconds) / len(seconds))
