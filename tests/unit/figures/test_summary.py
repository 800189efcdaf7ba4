"""The figures equal those recomputed from the records."""

import json
import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.bundle.bag import Bundle
from kit.bundle.document import Runtime
from kit.figures import intervals, throughput
from kit.figures.summary import NO_TOKENS, TOO_FEW_PASSES, summarise
from kit.format import canonical
from kit.plan.schedule import Phase
from kit.report import terminal, wording
from tests.unit.report.factory import DENSE, MOE, PROMPTS, make

FAST, SLOW = make(MOE), make(DENSE)
OTHER_HOST = "f" * 32


def test_ten_lines_over_records_jsonl_agree_to_the_last_printed_digit() -> None:
    bundle = make(MOE)
    lines = canonical.encode_lines(bundle.records).splitlines()

    records = [json.loads(line) for line in lines]
    kept = [record for record in records if record["phase"] == "measured" and "error" not in record]
    tokens = sum(record["completion_tokens"] for record in kept)
    seconds = sum(record["wall_s"] for record in kept)

    text = terminal.render(summarise([bundle]))
    assert f"{tokens} tokens in {seconds:.6f} s" in text
    assert f" {tokens / seconds:.2f} " in text
    for prompt_id in PROMPTS:
        own = [record for record in kept if record["prompt_id"] == prompt_id]
        rate = sum(r["completion_tokens"] for r in own) / sum(r["wall_s"] for r in own)
        assert f" {rate:.1f} " in text


def test_the_interval_is_that_of_the_passes() -> None:
    (cell,) = summarise([make(MOE)]).cells
    rates = [rate.tokens_per_s for rate in throughput.by_pass(cell.bundle.records).values()]
    assert cell.pooled is not None
    assert cell.interval == intervals.rate_interval(rates, cell.pooled.tokens_per_s)


def test_prompts_stand_in_the_order_of_the_suite() -> None:
    (cell,) = summarise([make(replace(MOE, prompts=("z", "a", "m")))]).cells
    assert [prompt.prompt_id for prompt in cell.prompts] == ["z", "a", "m"]


def test_the_order_of_records_does_not_matter() -> None:
    bundle = make(MOE)
    turned = Bundle(id=bundle.id, document=bundle.document, records=bundle.records[::-1])
    cell, other = summarise([bundle]).cells[0], summarise([turned]).cells[0]
    assert (cell.pooled, cell.interval, cell.passes) == (other.pooled, other.interval, other.passes)


def test_two_passes_have_no_interval_and_say_why() -> None:
    (cell,) = summarise([make(replace(MOE, passes=2))]).cells
    assert (cell.interval, cell.no_interval) == (None, TOO_FEW_PASSES)
    assert cell.pooled is not None


def test_an_incomplete_pass_counts_for_the_rate_and_not_for_the_interval() -> None:
    (cell,) = summarise([make(replace(MOE, kept=5 + 15 + 2))]).cells
    assert cell.is_partial
    assert len(cell.pass_rates) == 3
    assert cell.pooled is not None
    assert cell.pooled.tokens == 17 * MOE.tokens
    assert "3 of 5 passes" in wording.amount(cell)


def test_nothing_recorded_is_nothing_shown() -> None:
    (cell,) = summarise([make(replace(MOE, kept=0))]).cells
    assert (cell.pooled, cell.mean_of_columns, cell.inter_token, cell.passes) == (
        None,
        None,
        None,
        (),
    )
    assert [prompt.throughput for prompt in cell.prompts] == [None] * 5


def test_no_bundle_is_an_empty_summary() -> None:
    assert summarise([]).cells == ()


def test_a_copy_counts_once() -> None:
    bundle = make(MOE)
    assert [cell.starts for cell in summarise([bundle, bundle]).cells] == [1]


def test_bundles_of_one_plan_and_host_are_starts() -> None:
    cells = summarise([make(replace(MOE, seed=seed)) for seed in (1, 2, 3)]).cells
    assert [(cell.starts, cell.tag) for cell in cells] == [(3, " #1"), (3, " #2"), (3, " #3")]
    for cell in cells:
        assert cell.pooled is not None
        assert cell.interval is not None
        half = math.log(cell.interval.high / cell.pooled.tokens_per_s)
        assert half >= intervals.RESTART_FLOOR * (1 - 1e-9)


@pytest.mark.parametrize("changes", [{"host_id": OTHER_HOST}, {"runtime": Runtime.DOCKER}])
def test_another_host_or_runtime_is_not_another_start(changes: dict[str, object]) -> None:
    cells = summarise([make(MOE), make(replace(MOE, seed=2, **changes))]).cells
    assert [cell.starts for cell in cells] == [1, 1]


def test_a_pass_without_a_token_has_no_interval() -> None:
    bundle = make(replace(MOE, tokens=0, prompts=("impl",), stream_passes=0))
    short = tuple(msgspec.structs.replace(record, wall_s=1.0) for record in bundle.records)
    (cell,) = summarise([Bundle(id="0", document=bundle.document, records=short)]).cells
    assert (cell.interval, cell.no_interval) == (None, NO_TOKENS)


@settings(max_examples=25, deadline=None)
@given(st.floats(min_value=0.01, max_value=100))
def test_slower_clocks_scale_rates_and_leave_ratios(factor: float) -> None:
    bundles = [FAST, SLOW]

    def slowed(bundle: Bundle) -> Bundle:
        records = tuple(
            msgspec.structs.replace(record, wall_s=record.wall_s * factor)
            for record in bundle.records
        )
        return Bundle(id=bundle.id, document=bundle.document, records=records)

    before, after = summarise(bundles), summarise([slowed(bundle) for bundle in bundles])
    assert before.cells[0].pooled
    assert after.cells[0].pooled
    rate = before.cells[0].pooled.tokens_per_s / factor
    assert after.cells[0].pooled.tokens_per_s == pytest.approx(rate)
    assert after.advantages[0].pooled.value == pytest.approx(before.advantages[0].pooled.value)


def test_the_advantage_is_the_ratio_of_pooled_rates_with_welchs_interval() -> None:
    summary = summarise([make(DENSE), make(MOE)])
    dense, moe = summary.cells
    (advantage,) = summary.advantages
    assert moe.pooled
    assert dense.pooled
    ratio = moe.pooled.tokens_per_s / dense.pooled.tokens_per_s
    assert advantage.pooled.value == pytest.approx(ratio, rel=1e-12)
    assert advantage.pooled.interval == intervals.ratio_interval(
        moe.pass_rates, dense.pass_rates, advantage.pooled.value
    )
    assert [prompt_id for prompt_id, _ in advantage.prompts] == list(PROMPTS)


@pytest.mark.parametrize(
    "other",
    [
        replace(DENSE, host_id=OTHER_HOST),
        replace(DENSE, topology="cpu-tp2"),
        replace(DENSE, prompts=("impl", "debug")),
        replace(DENSE, twin_of=None, model="dense"),
        replace(DENSE, twin_of=None),
        replace(DENSE, kept=0),
        replace(DENSE, kept=34),  # a run that stopped short
        replace(DENSE, runtime=Runtime.ENDPOINT),
        replace(DENSE, runtime=Runtime.DOCKER),
        replace(MOE, seed=9),
    ],
)
def test_what_does_not_agree_is_not_compared(other: object) -> None:
    assert summarise([make(MOE), make(other)]).advantages == ()


def test_the_models_themselves_are_compared_too() -> None:
    moe, dense = (
        replace(MOE, model="moe", twin_of=None),
        replace(DENSE, model="dense", twin_of=None),
    )
    (advantage,) = summarise([make(moe), make(dense)]).advantages
    assert not advantage.is_twin


def test_with_three_starts_the_start_is_the_unit() -> None:
    bundles = [make(replace(shape, seed=seed)) for shape in (MOE, DENSE) for seed in (1, 2, 3)]
    summary = summarise(bundles)
    rates = [cell.pooled.tokens_per_s for cell in summary.cells if cell.pooled]
    (advantage,) = summary.advantages
    assert advantage.pooled.interval == intervals.ratio_interval(
        rates[:3], rates[3:], advantage.pooled.value, starts=3
    )


def test_two_starts_keep_the_floor() -> None:
    bundles = [
        make(replace(shape, seed=seed, noise=0)) for shape in (MOE, DENSE) for seed in (1, 2)
    ]
    (advantage,) = summarise(bundles).advantages
    assert advantage.pooled.interval
    half = math.log(advantage.pooled.interval.high / advantage.pooled.value)
    assert half == pytest.approx(math.sqrt(2) * intervals.RESTART_FLOOR)


def test_passes_are_those_of_the_records() -> None:
    (cell,) = summarise([FAST]).cells
    warm_up, *passes = cell.passes
    assert warm_up.phase is Phase.WARMUP
    assert {pass_.number: pass_.throughput for pass_ in passes} == throughput.by_pass(FAST.records)


def test_the_longest_time_to_first_token_is_shown() -> None:
    (cell,) = summarise([SLOW]).cells
    latency = cell.time_to_first_token
    assert latency
    uneven = replace(latency, samples_s=(0.1, 0.35, 0.2))
    assert wording.first_token(uneven).endswith("maximum 350 ms, 3 samples")
