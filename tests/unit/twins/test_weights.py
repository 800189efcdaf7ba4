"""Weights: names and shapes as the architectures have them, contents as the seed has them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import SpecError
from kit.twins.vocabulary import TEXT_TOKENS
from kit.twins.weights import (
    Bits,
    Fill,
    Tensor,
    bfloat16_table,
    contents,
    dimensions,
    layout,
)

DENSE: Mapping[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 16384,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MOE: Mapping[str, Any] = {
    "model_type": "qwen3_moe",
    "vocab_size": 16384,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_experts": 2,
}

# What Qwen2ForCausalLM and Qwen3MoeForCausalLM of transformers list in `state_dict()` for these.
DENSE_SHAPES = {
    "model.embed_tokens.weight": (16384, 64),
    "model.layers.0.self_attn.q_proj.weight": (64, 64),
    "model.layers.0.self_attn.q_proj.bias": (64,),
    "model.layers.0.self_attn.k_proj.weight": (32, 64),
    "model.layers.0.self_attn.k_proj.bias": (32,),
    "model.layers.0.self_attn.v_proj.weight": (32, 64),
    "model.layers.0.self_attn.v_proj.bias": (32,),
    "model.layers.0.self_attn.o_proj.weight": (64, 64),
    "model.layers.0.mlp.gate_proj.weight": (96, 64),
    "model.layers.0.mlp.up_proj.weight": (96, 64),
    "model.layers.0.mlp.down_proj.weight": (64, 96),
    "model.layers.0.input_layernorm.weight": (64,),
    "model.layers.0.post_attention_layernorm.weight": (64,),
    "model.norm.weight": (64,),
    "lm_head.weight": (16384, 64),
}
MOE_SHAPES = {
    "model.embed_tokens.weight": (16384, 64),
    "model.layers.0.self_attn.q_proj.weight": (128, 64),
    "model.layers.0.self_attn.k_proj.weight": (64, 64),
    "model.layers.0.self_attn.v_proj.weight": (64, 64),
    "model.layers.0.self_attn.o_proj.weight": (64, 128),
    "model.layers.0.self_attn.q_norm.weight": (32,),
    "model.layers.0.self_attn.k_norm.weight": (32,),
    "model.layers.0.mlp.gate.weight": (2, 64),
    "model.layers.0.mlp.experts.0.gate_proj.weight": (24, 64),
    "model.layers.0.mlp.experts.0.up_proj.weight": (24, 64),
    "model.layers.0.mlp.experts.0.down_proj.weight": (64, 24),
    "model.layers.0.mlp.experts.1.gate_proj.weight": (24, 64),
    "model.layers.0.mlp.experts.1.up_proj.weight": (24, 64),
    "model.layers.0.mlp.experts.1.down_proj.weight": (64, 24),
    "model.layers.0.input_layernorm.weight": (64,),
    "model.layers.0.post_attention_layernorm.weight": (64,),
    "model.norm.weight": (64,),
    "lm_head.weight": (16384, 64),
}


def as_numbers(bits: Bits) -> npt.NDArray[np.float32]:
    """Widen bfloat16 to float32: the same bits, sixteen zero bits after them."""
    return (bits.astype("<u4") << 16).view("<f4")


def made(config: Mapping[str, Any], seed: int) -> dict[str, Bits]:
    tensors = layout(config)
    return {
        tensor.name: bits for tensor, bits in zip(tensors, contents(tensors, seed), strict=True)
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [pytest.param(DENSE, DENSE_SHAPES, id="dense"), pytest.param(MOE, MOE_SHAPES, id="moe")],
)
def test_names_and_shapes_are_those_of_transformers(
    config: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]
) -> None:
    tensors = layout(config)
    assert {tensor.name: tensor.shape for tensor in tensors} == expected
    assert len(tensors) == len(expected)
    assert {name: bits.shape for name, bits in made(config, 1).items()} == expected


def test_each_layer_has_its_tensors() -> None:
    per_layer = len(layout(dict(MOE, num_hidden_layers=2))) - len(layout(MOE))
    assert len(layout(dict(MOE, num_hidden_layers=5))) == len(layout(MOE)) + 4 * per_layer


@pytest.mark.parametrize("config", [DENSE, MOE], ids=["dense", "moe"])
def test_equal_seeds_give_equal_bytes_and_others_do_not(config: Mapping[str, Any]) -> None:
    once, again, other = made(config, 7), made(config, 7), made(config, 8)
    assert all(once[name].tobytes() == again[name].tobytes() for name in once)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert once[name].tobytes() != other[name].tobytes()


def test_no_two_tensors_hold_the_same() -> None:
    weights = made(MOE, 3)
    drawn = [weights[tensor.name] for tensor in layout(MOE) if tensor.fill is Fill.LINEAR]
    assert len({bits.tobytes() for bits in drawn}) == len(drawn) > 1


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("model.embed_tokens.weight", 1.0),
        ("lm_head.weight", 64**-0.5),
        ("model.layers.0.self_attn.o_proj.weight", 128**-0.5),
        ("model.layers.0.mlp.experts.0.down_proj.weight", 24**-0.5),
    ],
)
def test_standard_deviation_keeps_the_scale(name: str, deviation: float) -> None:
    numbers = as_numbers(made(MOE, 5)[name][:TEXT_TOKENS])
    assert float(numbers.std()) == pytest.approx(deviation, rel=0.05)
    assert abs(float(numbers.mean())) < 0.06 * deviation


def test_norms_are_one_and_biases_zero() -> None:
    dense, moe = made(DENSE, 1), made(MOE, 1)
    assert np.all(as_numbers(dense["model.norm.weight"]) == 1.0)
    assert np.all(as_numbers(moe["model.layers.0.self_attn.q_norm.weight"]) == 1.0)
    assert np.all(as_numbers(dense["model.layers.0.self_attn.q_proj.bias"]) == 0.0)


def test_rows_of_ids_that_are_not_text_give_a_logit_of_zero() -> None:
    output = made(DENSE, 1)["lm_head.weight"]
    assert not output[TEXT_TOKENS:].any()
    assert output[:TEXT_TOKENS].any(axis=1).all()


def test_text_wins_against_ids_that_are_not_text() -> None:
    """Twenty or more text ids have a logit above 0 whatever the hidden state is."""
    output = as_numbers(made(DENSE, 1)["lm_head.weight"])
    hidden = np.random.default_rng(0).standard_normal((200, 64)).astype("f4")
    logits = hidden @ output[:TEXT_TOKENS].T
    assert ((logits > 1.0).sum(axis=1) > 20).all()


@settings(deadline=None)  # the first example of a busy machine is slow
@given(st.integers(min_value=1, max_value=1 << 20))
def test_table_is_the_uniform_distribution_to_bfloat16_precision(fan_in: int) -> None:
    table = as_numbers(bfloat16_table(fan_in)).astype("f8")
    edge = math.sqrt(3.0 / fan_in)
    exact = (2.0 * np.arange(256) - 255.0) / 255.0 * edge
    assert np.all(np.abs(table / exact - 1.0) <= 2.0**-8)
    assert np.array_equal(table, -table[::-1])
    assert np.all(np.diff(table) >= 0.0)


def test_table_is_stored_little_endian() -> None:
    assert bfloat16_table(3)[-1:].tobytes() == b"\x80\x3f"


def test_contents_of_an_odd_number_of_elements() -> None:
    tensor = Tensor(name="x", shape=(3, 7), fill=Fill.LINEAR)
    (bits,) = contents((tensor,), 1)
    assert bits.shape == (3, 7)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "llama"),
        ("model_type", None),
        ("hidden_size", None),
        ("hidden_size", 0),
        ("hidden_size", "64"),
        ("num_experts", -1),
        ("num_hidden_layers", True),
        ("vocab_size", 1.5),
    ],
)
def test_a_bad_config_is_named_with_its_value(key: str, value: object) -> None:
    with pytest.raises(SpecError) as caught:
        layout(dict(MOE) | {key: value})
    assert f"{key} = {value!r}" in caught.value.what


def test_dense_ignores_the_sizes_of_experts() -> None:
    assert dimensions(dict(DENSE, num_experts=8)).experts == 0
