"""The value of each quantity, and the reason where a bundle does not have it."""

import dataclasses
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from kit.bundle.telemetry import ClockReason
from kit.check.finding import Outcome
from kit.claims import formula
from kit.claims.claim import VOCABULARY
from kit.claims.eligible import EligibleBundle
from kit.claims.estimate import Estimate
from kit.claims.formula import Quantity
from kit.claims.quantities import Missing, by_suite, resolve
from kit.plan.schedule import Phase
from tests.six_cells import Shape, cell_draft, eligible, load_draft


def moe(**changes: object) -> EligibleBundle:
    bundle = eligible(dataclasses.replace(Shape(cell="moe@tp1"), **changes))
    assert isinstance(bundle, EligibleBundle)
    return bundle


def value(text: str, *bundles: EligibleBundle) -> Estimate:
    tree = formula.parse(text)
    assert isinstance(tree, Quantity)
    return resolve(tree, by_suite(bundles or (moe(),))["single"])


def lacking(text: str, *bundles: EligibleBundle) -> str:
    with pytest.raises(Missing) as caught:
        value(text, *bundles)
    return str(caught.value)


def without(bundle: EligibleBundle, **changes: object) -> EligibleBundle:
    records = tuple(replace(record, **changes) for record in bundle.records)
    return dataclasses.replace(bundle, records=records)


def test_every_quantity_of_the_vocabulary_has_a_value() -> None:
    words = {"rate": "impl", "not-passed": "topology-kernels"}
    for name, (_, least, most) in VOCABULARY.items():
        for count in {least, most}:
            word = f", {words[name]}" if count else ""
            assert value(f"{name}(moe@tp1{word})").value >= 0


def test_a_rate_is_pooled_over_all_measured_passes() -> None:
    bundle = moe()
    records = [record for record in bundle.records if record.phase is Phase.MEASURED]
    tokens = sum(record.completion_tokens or 0 for record in records)
    seconds = sum(record.wall_s for record in records)
    estimate = value("rate(moe@tp1)", bundle)
    assert estimate.value == pytest.approx(tokens / seconds)
    assert repeated(estimate) == (4, 1)


def repeated(estimate: Estimate) -> tuple[int, int]:
    """Return the degrees of freedom and the starts of an estimate of one figure."""
    (repetitions,) = estimate.slopes
    assert repetitions.spread is not None
    return repetitions.spread.degrees, repetitions.starts


def test_the_unit_of_repetition_is_the_start_where_there_are_three() -> None:
    starts = [moe(seed=seed) for seed in (1, 2, 3)]
    for several, degrees in ((starts[:2], 9), (starts, 2)):
        assert repeated(value("rate(moe@tp1)", *several)) == (degrees, len(several))


def test_values_from_the_log_are_exact() -> None:
    assert value("kv-tokens(moe@tp1)") == Estimate(33_408.0)
    assert value("weights-gb(moe@tp1)").value == pytest.approx(16.9, abs=0.01)
    assert value("checkpoint-gb(moe@tp1)") == Estimate(16.9)


def test_the_fewest_tokens_of_all_starts_are_what_a_cache_holds() -> None:
    bundle, other = moe(seed=1), moe(seed=2)
    assert other.server_log is not None
    larger = dataclasses.replace(
        other, server_log=replace(other.server_log, kv_cache_tokens=(99_999,))
    )
    assert value("kv-tokens(moe@tp1)", larger, bundle) == Estimate(33_408.0)


def no_log() -> EligibleBundle:
    return dataclasses.replace(moe(), server_log=None)


def kernels_not_checked() -> EligibleBundle:
    bundle = moe()
    findings = tuple(
        replace(finding, outcome=Outcome.COULD_NOT_CHECK)
        if finding.code == "topology-kernels"
        else finding
        for finding in bundle.verdict.findings
    )
    return dataclasses.replace(bundle, verdict=replace(bundle.verdict, findings=findings))


def no_files() -> EligibleBundle:
    bundle = moe()
    document = replace(bundle.document, engine=replace(bundle.document.engine, model_files=()))
    return dataclasses.replace(bundle, document=document)


@pytest.mark.parametrize(
    ("text", "bundle", "said"),
    [
        ("rate(dense@tp1)", moe(), "no bundle of dense@tp1"),
        ("rate(moe@tp1:4)", moe(), "no bundle of moe@tp1:4"),
        ("rate(moe@tp1, nothing)", moe(), "nothing was measured"),
        ("rate(moe@tp1)", without(moe(), completion_tokens=0), "nothing was measured"),
        ("ttft(moe@tp1)", without(moe(), chunks=None), "no request was streamed"),
        ("kv-tokens(moe@tp1)", no_log(), "the server's log does not have it"),
        ("weights-gb(moe@tp1)", no_log(), "the server's log does not have it"),
        ("checkpoint-gb(moe@tp1)", no_files(), "no weight files"),
        ("not-passed(moe@tp1, topology-kernels)", kernels_not_checked(), "could not be checked"),
        ("not-passed(moe@tp1, no-such-code)", moe(), "could not be checked"),
    ],
)
def test_a_missing_quantity_has_its_reason(text: str, bundle: EligibleBundle, said: str) -> None:
    assert said in lacking(text, bundle)


def test_a_warning_is_no_pass() -> None:
    """A card that was slowed down in the warm-up: valid, and yet throttled."""
    hot = cell_draft(Shape(cell="moe@tp1"))
    assert hot.telemetry is not None
    last_s = max(
        record.sent_s + record.wall_s for record in hot.records if record.phase is Phase.WARMUP
    )
    slow = tuple(
        replace(gpu, clock_reasons=(ClockReason.HW_THERMAL_SLOWDOWN,))
        for gpu in hot.telemetry.samples[1].gpus
    )
    samples: Sequence[object] = hot.telemetry.samples
    assert hot.telemetry.samples[1].t_s < last_s
    hot.telemetry = replace(
        hot.telemetry,
        samples=(samples[0], replace(hot.telemetry.samples[1], gpus=slow), *samples[2:]),
    )
    bundle = load_draft("hot", hot)
    assert isinstance(bundle, EligibleBundle)
    assert value("not-passed(moe@tp1, topology-slowdown)", bundle).value > 0
    assert value("not-passed(moe@tp1, topology-slowdown)").value == 0
