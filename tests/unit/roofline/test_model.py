"""The least time of tokens: the two models' published numbers, and what must hold for any model."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import SpecError
from kit.roofline import model as roofline
from kit.roofline.model import Ceiling, Shape
from kit.twins.weights import layout
from tests.catalog import GPUS, SHAPES

RTX_3090 = "NVIDIA GeForce RTX 3090"


def shape(model: str) -> Shape:
    found = roofline.shape_of(SHAPES[model])
    assert found is not None
    return found


def ceiling(*names: str, ranks: int = 1, **more: float) -> Ceiling:
    found = roofline.ceiling_of(names or (RTX_3090,) * 2, ranks, GPUS, **more)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("model", "read_gb", "checkpoint_gb", "kv_bytes", "tp1", "tp2"),
    [
        ("moe", 2.18, 18.09, 98_304, 430, 860),
        ("dense", 17.77, 19.33, 262_144, 52.7, 105.4),
    ],
)
def test_the_articles_models(
    model: str, read_gb: float, checkpoint_gb: float, kv_bytes: int, tp1: float, tp2: float
) -> None:
    """Bytes read a token, size of the checkpoint, KV cache, and roofline on 3090s at 936.2 GB/s.

    Retyped from what was derived from the models' repositories before there was this code. The
    checkpoint holds an embedding that is as large as the output, and that no step reads.
    """
    found = shape(model)
    assert roofline.step_bytes(found) / 1e9 == pytest.approx(read_gb, abs=0.005)
    assert roofline.checkpoint_bytes(found) / 1e9 == pytest.approx(checkpoint_gb, abs=0.005)
    assert found.kv_bytes_per_token == kv_bytes
    rates = [roofline.roofline_tokens_per_s(found, ceiling(ranks=ranks)) for ranks in (1, 2)]
    assert rates[0] == pytest.approx(tp1, rel=2e-3)
    assert rates[1] == pytest.approx(tp2, rel=2e-3)


@pytest.mark.parametrize(
    ("model", "ranks", "published", "percent"),
    [("moe", 1, 168.4, 39), ("dense", 1, 41.0, 78), ("moe", 2, 169.7, 20), ("dense", 2, 65.4, 62)],
)
def test_the_articles_share_of_the_roofline(
    model: str, ranks: int, published: float, percent: int
) -> None:
    limit = roofline.roofline_tokens_per_s(shape(model), ceiling(ranks=ranks))
    assert round(100 * published / limit) == percent


@pytest.mark.parametrize("twin", ["moe-mini", "dense-mini"])
def test_a_twins_bytes_are_those_of_its_tensors(twin: str) -> None:
    """Counted from the checkpoint's own layout: only norms and biases are left out."""
    found = shape(twin)
    tensors = [tensor for tensor in layout(SHAPES[twin]) if len(tensor.shape) == 2]
    stored = 2 * sum(tensor.shape[0] * tensor.shape[1] for tensor in tensors)
    embedding = found.output_weights * found.plain_bytes
    assert roofline.step_bytes(found, found.experts) + embedding == stored


def test_more_experts_are_more_bytes_and_the_least_is_what_one_token_takes() -> None:
    found = shape("moe")
    assert roofline.step_bytes(found) == roofline.step_bytes(found, 8)
    sizes = [roofline.step_bytes(found, experts) for experts in (8, 9, 32, 128)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


def test_the_scales_of_quantized_weights_count() -> None:
    """4 bits and a share of 16 for 32 weights; with a zero point of 4 bits for 128; 8 bits."""
    assert shape("moe").weight_bytes == (4 + 16 / 32) / 8
    assert shape("dense").weight_bytes == (4 + 20 / 128) / 8
    assert shape("moe-fp8").weight_bytes == pytest.approx(1, rel=2e-4)
    assert shape("moe-mini").weight_bytes == 2


def test_an_empty_config_has_no_shape() -> None:
    assert roofline.shape_of({}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mamba"},
        {"hidden_size": "2048"},
        {"num_attention_heads": 0, "model_type": "qwen2"},
        {"torch_dtype": "int3"},
        {"quantization_config": {"bits": 4}},
        {"quantization_config": {"bits": 4, "group_size": 0, "zero_point": False}},
    ],
)
def test_half_a_config_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="cannot read the shape"):
        roofline.shape_of({**SHAPES["moe"], "intermediate_size": 4, **change})


@pytest.mark.parametrize("name", [name for name in SHAPES["moe"] if name.startswith("num_")])
def test_a_config_without_one_of_its_sizes_is_refused(name: str) -> None:
    config = {key: value for key, value in SHAPES["moe"].items() if key != name}
    with pytest.raises(SpecError, match=name):
        roofline.shape_of(config)


def test_ranks_share_the_weights_and_the_slowest_sets_the_pace() -> None:
    one, two = ceiling(), ceiling(ranks=2)
    assert two.bytes_per_s == 2 * one.bytes_per_s
    assert two.flop_per_s == 2 * one.flop_per_s
    mixed = ceiling("NVIDIA L4", RTX_3090, ranks=2)
    assert mixed.bytes_per_s == 2 * 300e9
    assert ceiling("NVIDIA L4", RTX_3090).bytes_per_s == 936.2e9


@pytest.mark.parametrize(
    ("names", "ranks"),
    [((), 1), ((RTX_3090,), 2), ((RTX_3090,), 0), ((RTX_3090, "A Card"), 1), (("A Card",), 1)],
)
def test_where_a_gpu_is_missing_or_not_known_there_is_no_ceiling(
    names: tuple[str, ...], ranks: int
) -> None:
    assert roofline.ceiling_of(names, ranks, GPUS) is None


def test_the_ceiling_goes_with_the_clock_of_the_memory() -> None:
    assert ceiling(memory_clock_ratio=1.1).bytes_per_s == pytest.approx(1.1 * 936.2e9)
    assert ceiling(memory_clock_ratio=0.5).bytes_per_s == pytest.approx(0.5 * 936.2e9)


def test_tokens_take_a_step_each_and_more_with_a_longer_context() -> None:
    """By hand: three tokens after 100, so two steps that read the cache of 101 and 102."""
    found, limit = shape("dense"), ceiling()
    three_s = roofline.tokens_s(found, limit, 100, 3)
    expected_s = 3 * roofline.step_s(found, limit) + 203 * 262_144 / 936.2e9
    assert three_s == pytest.approx(expected_s, rel=1e-12)
    assert roofline.tokens_s(found, limit, 100, 0) == 0


def test_a_prompt_takes_a_step_at_least_and_then_its_arithmetic() -> None:
    found, limit = shape("dense"), ceiling()
    assert roofline.prefill_s(found, limit, 1) == roofline.step_s(found, limit)
    thousand_s = roofline.prefill_s(found, limit, 1000)
    weights = 64 * (2 * 5120 * (5120 + 1024) + 3 * 5120 * 27648)
    flop = 2 * (1000 * weights + 152064 * 5120)
    assert thousand_s == pytest.approx(flop / (142e12 * 1.3), rel=1e-12)


def test_what_fits_into_the_cache_takes_no_time_of_memory() -> None:
    found = shape("moe-mini")
    roomy = dataclasses.replace(ceiling(), cache_bytes=1e9)
    assert roofline.step_s(found, roomy) == 0
    assert roofline.token_energy_j(found, roomy) == 0


def test_reading_the_dense_models_weights_takes_half_a_joule() -> None:
    energy_j = roofline.token_energy_j(shape("dense"), ceiling())
    assert energy_j == pytest.approx(17.77e9 * 8 * 3.92e-12, rel=2e-3)


@given(
    model=st.sampled_from(["moe", "dense", "moe-fp8", "moe-mini", "dense-mini"]),
    prompt=st.integers(0, 10**6),
    tokens=st.integers(1, 10**6),
    ranks=st.sampled_from([1, 2]),
)
def test_later_tokens_never_come_sooner(model: str, prompt: int, tokens: int, ranks: int) -> None:
    """Convex and increasing, also beyond a longer prompt: what the stream check relies on."""
    found, limit = shape(model), ceiling(ranks=ranks)
    times_s = [roofline.tokens_s(found, limit, prompt, tokens + more) for more in (0, 1, 2)]
    first_s, second_s = times_s[1] - times_s[0], times_s[2] - times_s[1]
    assert 0 <= times_s[0] <= times_s[1] <= times_s[2]
    assert second_s >= first_s * (1 - 1e-6) - 1e-9 * times_s[2]
    assert roofline.tokens_s(found, limit, prompt + 1, tokens) >= times_s[0]
