"""Throughput and latency, compared with scipy and with what is true of any rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle.record import Chunk, ErrorCode, Record
from kit.figures import latency, throughput
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
CHUNKS = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5)), min_size=1, max_size=20).map(
    lambda chunks: tuple(sorted(chunks))
)


def pooled_rate(records: Sequence[Record]) -> float:
    pooled = throughput.pooled(records)
    assert pooled is not None
    return pooled.tokens_per_s


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
        Seen(phase=Phase.WARMUP, chunks=((0.5, 1), (1.0, 1))),
    ],
)
def test_absent_latencies_are_absent(seen: Seen) -> None:
    assert latency.times_to_first_token([seen.record()]) == ()
    assert latency.inter_token_latencies([seen.record()]) == ()


def test_no_latencies_have_no_summary() -> None:
    assert latency.latency_summary([]) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=800))
def test_a_summary_agrees_with_scipys_quantiles(seconds: list[float]) -> None:
    summary = latency.latency_summary(seconds)
    assert summary is not None
    quantiles = scipy.stats.mstats.mquantiles(seconds, [0.5, 0.9, 0.99], alphap=1, betap=1)
    found = (summary.median_s, summary.p90_s, summary.p99_s)
    for value, quantile in zip(found, quantiles, strict=True):
        assert value is None or value == pytest.approx(quantile, abs=1e-9)
    assert summary.mean_s == pytest.approx(math.fsum(seconds) / len(seconds))


@pytest.mark.parametrize(
    ("count", "known"), [(63, (False, False)), (64, (True, False)), (662, (True, True))]
)
def test_a_percentile_needs_samples(count: int, known: tuple[bool, bool]) -> None:
    summary = latency.latency_summary([float(number) for number in range(count)])
    assert summary is not None
    assert (summary.p90_s is not None, summary.p99_s is not None) == known


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=50))
def test_a_geometric_mean_agrees_with_scipys(seconds: list[float]) -> None:
    assert latency.geometric_mean(seconds) == pytest.approx(float(scipy.stats.gmean(seconds)))
