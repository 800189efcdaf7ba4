"""Lower bounds for the time and energy of a model's tokens on given GPUs.

An engine step generates one token for each running request. It reads the weights of every layer
from memory, once for the batch, and each request's KV cache. So no step is shorter than these bytes
divided by the memory bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
Prefill is also bound by compute: two operations per weight and token.

All bounds are generous to the measurement. They leave out norms and biases (under 0.1 %),
activations, communication between GPUs and all work outside the model, and assume that the L2 cache
keeps weights from step to step, although each step evicts them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.errors import SpecError
from kit.roofline.gpus import Gpu

MOE = "qwen3_moe"
DENSE = "qwen2"

_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
_SCALE_BITS = 16

CLOCK_HEADROOM = 1.3
"""Cards run above their datasheet's boost clock: by their drivers' tables a 3090 up to 2100 MHz,
1.24 times the 1695 MHz of the whitepaper, and a 5090 up to 3090 MHz, 1.28 times 2407 MHz."""

MEMORY_HEADROOM = 24 / 19.5
"""Overclocked memory: Micron's fastest GDDR6X has 24 Gb/s per pin (April 2022), a 3090 has
19.5. HBM cannot be overclocked."""

MEMORY_J_PER_BIT = 3.92e-12
"""Energy to read a bit from HBM2, "the most energy-efficient contemporary DRAM" (O'Connor et al.,
"Fine-Grained DRAM", MICRO-50, 2017); GDDR takes more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Numbers of weights of a model; a dense model has one expert, which is always active.

    `attention_weights`, `expert_weights` (one expert's) and `router_weights` are per layer. Linear
    layers take `weight_bytes` per weight, with scales; router and output take `plain_bytes`.
    """

    layers: int
    attention_weights: int
    expert_weights: int
    experts: int
    active_experts: int
    router_weights: int
    output_weights: int
    weight_bytes: float
    plain_bytes: int
    kv_bytes_per_token: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """Combined limits of an engine's GPUs."""

    gpus: tuple[Gpu, ...]
    bytes_per_s: float
    flop_per_s: float
    cache_bytes: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Yardsticks:
    """Data for rooflines: models' shapes by id, and GPUs by the driver's name."""

    shapes: Mapping[str, Shape]
    gpus: Mapping[str, Gpu]


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """Read a config.json; None if it is empty, `SpecError` if it is incomplete."""
    if not config:
        return None
    try:
        return _shape(config)
    except (KeyError, TypeError) as error:
        raise SpecError(
            f"cannot read the shape of a model from its config: {error!r}",
            f"expected model_type {MOE} or {DENSE}, and all sizes",
            "git diff -- docker/models.toml",
        ) from error


def ceiling_of(
    names: Sequence[str], ranks: int, table: Mapping[str, Gpu], memory_clock_ratio: float = 1.0
) -> Ceiling | None:
    """Return the limits of the fastest `ranks` GPUs of these names; None if one is not known.

    Each rank reads its share of the weights, so the slowest one limits a step. Bandwidth is scaled
    by `memory_clock_ratio`, the memory clock over the datasheet's.
    """
    known = [table[name] for name in names if name in table]
    if len(known) < len(names) or not 0 < ranks <= len(known):
        return None
    chosen = sorted(known, key=lambda gpu: gpu.bandwidth_gb_s, reverse=True)[:ranks]
    flops = sorted((gpu.tensor_tflops for gpu in known), reverse=True)[:ranks]
    return Ceiling(
        gpus=tuple(chosen),
        bytes_per_s=ranks * chosen[-1].bandwidth_gb_s * 1e9 * memory_clock_ratio,
        flop_per_s=ranks * flops[-1] * 1e12 * CLOCK_HEADROOM,
        cache_bytes=ranks * max(gpu.l2_cache_mib for gpu in known) * 2**20,
    )


def step_bytes(shape: Shape, experts: int | None = None) -> float:
    """Return the bytes of weights that a step reads, with this many experts per layer.

    None is the minimum: all tokens of the batch use the same experts. A batch of n tokens reads at
    most n times as many.
    """
    used = shape.active_experts if experts is None else experts
    linear = shape.attention_weights + used * shape.expert_weights
    plain = shape.layers * shape.router_weights + shape.output_weights
    return shape.layers * linear * shape.weight_bytes + plain * shape.plain_bytes


def checkpoint_bytes(shape: Shape) -> float:
    """Return the size of all weights: those of every expert, and an embedding like the output."""
    return step_bytes(shape, shape.experts) + shape.output_weights * shape.plain_bytes


def roofline_tokens_per_s(shape: Shape, ceiling: Ceiling) -> float:
    """Return the highest rate of one request: weights only, empty context, no L2 cache."""
    return ceiling.bytes_per_s / step_bytes(shape)


def step_s(shape: Shape, ceiling: Ceiling) -> float:
    """Return the shortest time of a step, without its KV cache."""
    return max(0.0, step_bytes(shape) - ceiling.cache_bytes) / ceiling.bytes_per_s


def tokens_s(shape: Shape, ceiling: Ceiling, prompt_tokens: int, tokens: int) -> float:
    """Return the shortest time from sending a request to its token number `tokens`.

    The first token takes a step for the prompt; each later one also reads the KV cache so far.
    """
    if tokens < 1:
        return 0.0
    later = tokens - 1
    kv_tokens = later * (prompt_tokens + (later + 1) / 2)
    kv_s = kv_tokens * shape.kv_bytes_per_token / ceiling.bytes_per_s
    return tokens * step_s(shape, ceiling) + kv_s


def prefill_s(shape: Shape, ceiling: Ceiling, uncached_tokens: int) -> float:
    """Return the shortest prefill time of a prompt with this many uncached tokens.

    The output layer is computed for the last token only.
    """
    weights = shape.attention_weights + shape.active_experts * shape.expert_weights
    per_token = shape.layers * (weights + shape.router_weights)
    flop = 2.0 * (uncached_tokens * per_token + shape.output_weights)
    return max(step_s(shape, ceiling), flop / ceiling.flop_per_s)


def token_energy_j(shape: Shape, ceiling: Ceiling) -> float:
    """Return the energy to read one token's weights from memory, at batch size 1."""
    return max(0.0, step_bytes(shape) - ceiling.cache_bytes) * 8 * MEMORY_J_PER_BIT


def _shape(config: Mapping[str, Any]) -> Shape:
    is_moe = {MOE: True, DENSE: False}[config["model_type"]]
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    width = _size(config, "head_dim") if is_moe else hidden // heads
    queries, keys = heads * width, _size(config, "num_key_value_heads") * width
    inner = _size(config, "moe_intermediate_size" if is_moe else "intermediate_size")
    experts = _size(config, "num_experts") if is_moe else 1
    plain_bytes = _BYTES[config["torch_dtype"]]
    layers = _size(config, "num_hidden_layers")
    return Shape(
        layers=layers,
        attention_weights=2 * hidden * (queries + keys),
        expert_weights=3 * hidden * inner,
        experts=experts,
        active_experts=_size(config, "num_experts_per_tok") if is_moe else 1,
        router_weights=experts * hidden if is_moe else 0,
        output_weights=_size(config, "vocab_size") * hidden,
        weight_bytes=_weight_bytes(config, plain_bytes),
        plain_bytes=plain_bytes,
        kv_bytes_per_token=layers * 2 * keys * plain_bytes,
    )


def _size(config: Mapping[str, Any], key: str) -> int:
    size = config[key]
    if type(size) is not int or size < 1:
        raise TypeError(f"{key} = {size!r}")
    return size


def _weight_bytes(config: Mapping[str, Any], plain_bytes: int) -> float:
    """Return the bytes per weight of a linear layer, with its share of scale and zero point."""
    quantized = config.get("quantization_config")
    if quantized is None:
        return plain_bytes
    bits, group = _size(quantized, "bits"), _size(quantized, "group_size")
    group_bits = _SCALE_BITS + (bits if quantized["zero_point"] else 0)
    return (bits + group_bits / group) / 8
