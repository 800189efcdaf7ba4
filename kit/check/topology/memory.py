"""The topology tier's look at memory: what weights and KV cache take, by the model's own shape.

The server's log against itself, the plan, and what the driver says of the cards. Lines that only a
GPU writes follow the sources of vLLM 0.17.0; no GPU was seen.
"""

import re
from collections.abc import Iterator, Sequence

from kit.bundle.bag import SERVER_LOG, TELEMETRY
from kit.bundle.telemetry import Reading, by_gpu
from kit.check.evidence import Evidence, while_measured
from kit.check.problem import Problem, clip, fail, unchecked
from kit.check.topology.options import planned_options
from kit.parse.vllm_log import ServerLog
from kit.plan.models import Model
from kit.plan.plan import Engine
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.model import Shape

_CPU_BLOCK_TOKENS = 128
"""Tokens in a block of the KV cache on CPU, unless told (vllm/platforms/cpu.py)."""

IN_USE_RATIO = 0.95
"""Of weights and cache: the log rounds them, and the driver what it tells."""

LEAST_LOADED, MOST_LOADED = 0.85, 1.6
"""Of a model's weights, by its shape, which its checkpoint's size follows from within a hundredth.
vLLM tells what PyTorch has allotted after loading, and after kernels have packed the weights anew
(vllm/v1/worker/gpu_model_runner.py, `load_model`); packed they are as many."""

MEMORY_TOLERANCE = 1.02
"""A driver tells a little less memory than CUDA does, or more."""

CONCURRENCY_STEP = 0.0051
"""How many requests fit is told to two decimals."""

GIB_STEP = 0.006
"""Memory is told to two decimals."""

_LARGEST_BLOCK_TOKENS = 128
"""Every block of vLLM's is as large or a part of it, so that a multiple of it is whole blocks."""

_SHARE = re.compile(r"0?\.[0-9]{1,6}|1(?:\.0{1,6})?")
_DEFAULT_SHARE = "0.9"
"""`--gpu-memory-utilization` of vLLM 0.17."""

_DIGITS = 12
"""Of a space and a block together: longer numbers are no sizes."""


def check(evidence: Evidence, engine: Engine, model: Model, log: ServerLog) -> Iterator[Problem]:
    """Yield what the model's shape does not allow; nothing of a shape that is not known."""
    shape = roofline.shape_of(model.config)
    if shape is None or evidence.document.plan.rehearsal:
        return
    if not log.kv_cache_tokens:
        yield unchecked(SERVER_LOG, "the log tells of no KV cache", "one of the model's shape")
    yield from _concurrency(log)
    yield from _for_one(log)
    if engine.device is Device.GPU:
        yield from _loaded(engine, shape, log)
    if model.config["num_key_value_heads"] % engine.tensor_parallel_size:
        return  # heads are then held more than once
    if engine.device is Device.GPU:
        yield from _cache_in_memory(evidence, engine, shape, log)
        yield from _cache_in_its_room(engine, shape, log)
        yield from _in_use(evidence, engine, shape, log)
    elif planned_options(engine.command).get("dtype") == model.config["torch_dtype"]:
        yield from _cache_as_told(engine, shape, log)


def _cache_as_told(engine: Engine, shape: Shape, log: ServerLog) -> Iterator[Problem]:
    """Hold the cache of a CPU against the space that it was given: whole blocks, and no more.

    Each rank has that space to itself, for its share of the heads (vllm/v1/worker/cpu_worker.py).
    """
    space_gib = dict(engine.environment).get("VLLM_CPU_KVCACHE_SPACE", "")
    block = planned_options(engine.command).get("block_size") or str(_CPU_BLOCK_TOKENS)
    if not (space_gib.isdecimal() and block.isdecimal() and len(space_gib + block) < _DIGITS):
        return
    most = int(space_gib) * 2**30 * engine.tensor_parallel_size / shape.kv_bytes_per_token
    for tokens in log.kv_cache_tokens:
        if not most - int(block) < tokens <= most:
            expected = f"{most:.0f}, less a part of a block: {space_gib} GiB, by the model's shape"
            yield fail(SERVER_LOG, f"a KV cache of {tokens} tokens", clip(expected))


def _cache_in_memory(
    evidence: Evidence, engine: Engine, shape: Shape, log: ServerLog
) -> Iterator[Problem]:
    """Hold the cache of a GPU, and the weights beside it, against its share of the memory.

    Of cards that differ the largest is taken.
    """
    telemetry, planned = evidence.observed.telemetry, planned_options(engine.command)
    gpus = () if telemetry is None else telemetry.header.inventory.gpus
    memory_gib = max((gpu.memory_bytes or 0 for gpu in gpus), default=0) / 2**30
    most_gib = memory_gib * _share(planned.get("gpu_memory_utilization")) * MEMORY_TOLERANCE
    token_bytes = _token_bytes(engine, shape)
    weights_gib = max(log.model_gib, default=0.0)
    for tokens in log.kv_cache_tokens if memory_gib else ():
        if tokens * token_bytes / 2**30 + weights_gib > most_gib:
            observed = f"a KV cache of {tokens} tokens, beside {weights_gib:g} GiB of weights"
            yield fail(SERVER_LOG, observed, f"what fits into {most_gib:.1f} GiB a GPU")


def _cache_in_its_room(engine: Engine, shape: Shape, log: ServerLog) -> Iterator[Problem]:
    """Hold the cache of a GPU against the room for it, of which one rank alone leaves no block.

    The first rank tells its own; the one with the least sets the blocks of all
    (vllm/v1/core/kv_cache_utils.py, `get_kv_cache_configs`).
    """
    if log.kv_cache_tokens and not log.cache_gib:
        yield unchecked(SERVER_LOG, "the log tells of no memory for the cache", "as many GiB")
    if not log.cache_gib:
        return
    token_gib = _token_bytes(engine, shape) / 2**30
    least = min(log.cache_gib) - token_gib * _LARGEST_BLOCK_TOKENS - GIB_STEP
    if engine.tensor_parallel_size > 1:
        least = 0.0
    most = max(log.cache_gib) + GIB_STEP
    for tokens in log.kv_cache_tokens:
        if not least <= tokens * token_gib <= most:
            observed = f"a KV cache of {tokens} tokens, {tokens * token_gib:.2f} GiB"
            yield fail(SERVER_LOG, observed, f"{most - GIB_STEP:g} GiB, by the same log")


def _token_bytes(engine: Engine, shape: Shape) -> float:
    """Return what a token takes of each rank's cache: a value is a byte at least, or as planned."""
    each = shape.kv_bytes_per_token / engine.tensor_parallel_size
    is_planned = planned_options(engine.command).get("kv_cache_dtype") in (None, "auto")
    return each if is_planned else each / shape.plain_bytes


def _share(planned: str | None) -> float:
    """Return the share of a GPU's memory that vLLM may use; all of it if none is told."""
    words = _DEFAULT_SHARE if planned is None else planned
    return float(words) if _SHARE.fullmatch(words) else 1.0


def _concurrency(log: ServerLog) -> Iterator[Problem]:
    """Hold how many longest requests fit into the cache against its tokens, as rounded.

    One function writes both, and counts in whole blocks (vllm/v1/core/kv_cache_utils.py,
    `_report_kv_cache_config`).
    """
    expected = "the cache's tokens over the context limit"
    if log.kv_cache_tokens and not log.max_concurrency:
        yield unchecked(SERVER_LOG, "the log does not tell for how many requests", expected)
    for times in log.max_concurrency if log.kv_cache_tokens and log.context_limits else ():
        fitting = (
            _fits(times, tokens, limit)
            for limit in log.context_limits
            for tokens in log.kv_cache_tokens
        )
        if not any(fitting):
            yield fail(SERVER_LOG, f"room for {times:g} requests of the longest", expected)


def _for_one(log: ServerLog) -> Iterator[Problem]:
    """Hold that one longest request fits.

    Else no engine starts (vllm/v1/core/kv_cache_utils.py, `_check_enough_kv_cache_memory`).
    """
    limit = min(log.context_limits, default=0)
    for tokens in log.kv_cache_tokens:
        if tokens < limit:
            yield fail(SERVER_LOG, f"a KV cache of {tokens} tokens", f"{limit} at least, for one")


def _fits(times: float, tokens: int, limit: int) -> bool:
    part = 0 if limit % _LARGEST_BLOCK_TOKENS == 0 else _LARGEST_BLOCK_TOKENS - 1
    if limit < 1:
        return False
    return tokens / (limit + part) - CONCURRENCY_STEP <= times <= tokens / limit + CONCURRENCY_STEP


def _loaded(engine: Engine, shape: Shape, log: ServerLog) -> Iterator[Problem]:
    """Hold the weights that each rank says it has loaded against the model's, by its shape.

    Roughly upwards: what ranks hold in common, and kernels add, was not seen.
    """
    if log.kv_cache_tokens and not log.model_gib:  # which comes after it
        yield unchecked(SERVER_LOG, "the log tells of no weights loaded", "the model's, on GPUs")
    model_bytes = roofline.step_bytes(shape, shape.experts)
    model_bytes += shape.output_weights * shape.plain_bytes  # the embedding has as many
    each_gib = model_bytes / engine.tensor_parallel_size / 2**30
    for gib in log.model_gib:
        if not each_gib * LEAST_LOADED <= gib <= each_gib * MOST_LOADED:
            expected = f"about {each_gib:.2f} on each of {engine.tensor_parallel_size}"
            yield fail(SERVER_LOG, f"{gib:g} GiB of weights loaded", expected)


def _in_use(evidence: Evidence, engine: Engine, shape: Shape, log: ServerLog) -> Iterator[Problem]:
    """Hold the memory in use on GPUs against what each rank says it holds: weights and cache.

    The whole of the cache is allotted at the start, however little of it is in use.
    """
    by_card = by_gpu(while_measured(evidence)).values()
    used_gib = [most for readings in by_card if (most := _most_in_use_gib(readings)) is not None]
    weights_gib, ranks = min(log.model_gib, default=0.0), engine.tensor_parallel_size
    cache_gib = min(log.kv_cache_tokens, default=0) * _token_bytes(engine, shape) / 2**30
    holding = sum(used >= (weights_gib + cache_gib) * IN_USE_RATIO for used in used_gib)
    if len(used_gib) >= ranks > holding:
        observed = f"{max(used_gib):.2f} GiB at most in use on {len(used_gib)} GPUs"
        held = f"{weights_gib:g} GiB of weights and {cache_gib:.2f} of cache on each of {ranks}"
        yield fail(TELEMETRY, observed, f"{held}, by the server's log")


def _most_in_use_gib(readings: Sequence[Reading]) -> float | None:
    told = [one.memory_used_bytes for one in readings if one.memory_used_bytes is not None]
    return max(told) / 2**30 if told else None
