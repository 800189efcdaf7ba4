"""Random weights of twins: the same bytes on every platform for a seed, by integer arithmetic.

Floating-point generators differ between libraries and processors. Here each weight is a random byte
that is looked up in a table of 256 evenly spaced bfloat16 values, computed with integer square
roots. Seeding and raw output of PCG64 are covered by numpy's compatibility guarantee (NEP 19); its
distributions are not, and are not used.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from kit.errors import SpecError
from kit.twins.vocabulary import TEXT_TOKENS

Bits = npt.NDArray[np.uint16]
"""Bit patterns of bfloat16 numbers, little-endian."""

_BITS = np.dtype("<u2")
_ONE = 0x3F80
"""1.0 in bfloat16."""


class Architecture(Enum):
    """`model_type` of config.json."""

    DENSE = "qwen2"
    MOE = "qwen3_moe"


class Fill(Enum):
    """How a tensor is initialised."""

    ONE = "one"
    """Norms."""
    ZERO = "zero"
    """Biases."""
    EMBEDDING = "embedding"
    """Standard deviation 1."""
    LINEAR = "linear"
    """Standard deviation in_features ** -0.5, which preserves the scale of activations."""
    OUTPUT = "output"
    """As `LINEAR`, but 0 in rows of special and unused ids. Their logit of 0 is far below the top
    20 of 16,320 random ones, so a twin never samples them: it neither ends a response by itself
    nor calls tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """Name, shape and initialisation of one tensor."""

    name: str
    shape: tuple[int, ...]
    fill: Fill


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimensions:
    """The sizes of config.json that determine a model's shapes."""

    architecture: Architecture
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    intermediate: int
    """Inner width of a feed-forward block: the layer's if dense, else one expert's."""
    experts: int
    """0 if dense."""


def dimensions(config: Mapping[str, Any]) -> Dimensions:
    """Read config.json; raise `SpecError` if a size is missing or not positive."""
    architecture = _architecture(config)
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    match architecture:
        case Architecture.DENSE:  # Qwen2 has no head_dim
            width, inner, experts = hidden // heads, _size(config, "intermediate_size"), 0
        case Architecture.MOE:
            width, inner = _size(config, "head_dim"), _size(config, "moe_intermediate_size")
            experts = _size(config, "num_experts")
        case _:
            assert_never(architecture)
    return Dimensions(
        architecture=architecture,
        vocabulary=_size(config, "vocab_size"),
        hidden=hidden,
        layers=_size(config, "num_hidden_layers"),
        heads=heads,
        key_value_heads=_size(config, "num_key_value_heads"),
        head_width=width,
        intermediate=inner,
        experts=experts,
    )


def layout(config: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return every tensor of the checkpoint, in the order of the file.

    Names and shapes are those of `Qwen2ForCausalLM` and `Qwen3MoeForCausalLM` in `transformers`.
    """
    sizes = dimensions(config)
    vocabulary = (sizes.vocabulary, sizes.hidden)
    return (
        Tensor(name="model.embed_tokens.weight", shape=vocabulary, fill=Fill.EMBEDDING),
        *(tensor for number in range(sizes.layers) for tensor in _layer(sizes, number)),
        Tensor(name="model.norm.weight", shape=(sizes.hidden,), fill=Fill.ONE),
        Tensor(name="lm_head.weight", shape=vocabulary, fill=Fill.OUTPUT),
    )


def contents(tensors: tuple[Tensor, ...], seed: int) -> Iterator[Bits]:
    """Yield the contents of each tensor, from one stream of random bytes for all of them."""
    stream = np.random.PCG64(seed)
    for tensor in tensors:
        yield _filled(tensor, stream)


def bfloat16_table(fan_in: int) -> Bits:
    """Return 256 evenly spaced, ascending values of mean 0 and standard deviation `fan_in ** -0.5`.

    A uniform distribution over (-a, a) has standard deviation a / sqrt(3), so a = sqrt(3 / fan_in);
    value i is a * (2i - 255) / 255.
    """
    positive = [_bfloat16_root(3 * odd * odd, 255 * 255 * fan_in) for odd in range(1, 256, 2)]
    negative = [0x8000 | bits for bits in reversed(positive)]
    return np.array(negative + positive, dtype=_BITS)


def _bfloat16_root(numerator: int, denominator: int) -> int:
    """Return sqrt(numerator / denominator), from 2**-40 to 2**40, as rounded bfloat16 bits."""
    fraction_bits = 60  # leaves more than 8 significant bits of the smallest value
    root = math.isqrt((numerator << 2 * fraction_bits) // denominator)
    dropped = root.bit_length() - 8
    mantissa = (root + (1 << dropped - 1)) >> dropped  # 128 to 256
    exponent = root.bit_length() - 1 - fraction_bits
    return (exponent + 127 << 7) + mantissa - 128  # a mantissa of 256 carries into the exponent


def _filled(tensor: Tensor, stream: np.random.PCG64) -> Bits:
    match tensor.fill:
        case Fill.ONE:
            return np.full(tensor.shape, _ONE, dtype=_BITS)
        case Fill.ZERO:
            return np.zeros(tensor.shape, dtype=_BITS)
        case Fill.EMBEDDING:
            return _drawn(tensor.shape, bfloat16_table(1), stream)
        case Fill.LINEAR:
            return _drawn(tensor.shape, bfloat16_table(tensor.shape[-1]), stream)
        case Fill.OUTPUT:
            bits = _drawn(tensor.shape, bfloat16_table(tensor.shape[-1]), stream)
            bits[TEXT_TOKENS:] = 0
            return bits
        case _:
            assert_never(tensor.fill)


def _drawn(shape: tuple[int, ...], table: Bits, stream: np.random.PCG64) -> Bits:
    count = math.prod(shape)
    words = stream.random_raw(-(-count // 8)).astype("<u8")  # each word is eight random bytes
    return table[words.view(np.uint8)[:count]].reshape(shape)


def _layer(sizes: Dimensions, number: int) -> Iterator[Tensor]:
    prefix = f"model.layers.{number}."
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield Tensor(name=f"{prefix}{norm}.weight", shape=(sizes.hidden,), fill=Fill.ONE)
    yield from _attention(sizes, f"{prefix}self_attn.")
    match sizes.architecture:
        case Architecture.DENSE:
            yield from _gated_linear_unit(sizes, f"{prefix}mlp.")
        case Architecture.MOE:
            yield from _experts(sizes, f"{prefix}mlp.")
        case _:
            assert_never(sizes.architecture)


def _attention(sizes: Dimensions, prefix: str) -> Iterator[Tensor]:
    queries = sizes.heads * sizes.head_width
    keys = sizes.key_value_heads * sizes.head_width
    for name, rows in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        yield _linear(f"{prefix}{name}", rows, sizes.hidden)
        if sizes.architecture is Architecture.DENSE:
            yield Tensor(name=f"{prefix}{name}.bias", shape=(rows,), fill=Fill.ZERO)
    yield _linear(f"{prefix}o_proj", sizes.hidden, queries)
    if sizes.architecture is Architecture.MOE:  # Qwen3 has norms where Qwen2 has biases
        for name in ("q_norm", "k_norm"):
            yield Tensor(name=f"{prefix}{name}.weight", shape=(sizes.head_width,), fill=Fill.ONE)


def _experts(sizes: Dimensions, prefix: str) -> Iterator[Tensor]:
    yield _linear(f"{prefix}gate", sizes.experts, sizes.hidden)
    for expert in range(sizes.experts):
        yield from _gated_linear_unit(sizes, f"{prefix}experts.{expert}.")


def _gated_linear_unit(sizes: Dimensions, prefix: str) -> Iterator[Tensor]:
    yield _linear(f"{prefix}gate_proj", sizes.intermediate, sizes.hidden)
    yield _linear(f"{prefix}up_proj", sizes.intermediate, sizes.hidden)
    yield _linear(f"{prefix}down_proj", sizes.hidden, sizes.intermediate)


def _linear(name: str, out_features: int, in_features: int) -> Tensor:
    return Tensor(name=f"{name}.weight", shape=(out_features, in_features), fill=Fill.LINEAR)


def _architecture(config: Mapping[str, Any]) -> Architecture:
    try:
        return Architecture(config.get("model_type"))
    except ValueError as error:
        known = ", ".join(repr(architecture.value) for architecture in Architecture)
        raise _bad_config("model_type", config.get("model_type"), f"one of {known}") from error


def _size(config: Mapping[str, Any], key: str) -> int:
    size = config.get(key)
    if type(size) is not int or size < 1:
        raise _bad_config(key, size, "a positive whole number")
    return size


def _bad_config(key: str, value: object, expected: str) -> SpecError:
    return SpecError(
        f"cannot make a twin with {key} = {value!r} in its config",
        f"expected {expected}",
        "git diff -- docker/models.toml",
    )
