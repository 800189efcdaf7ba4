"""The topology tier's look at memory: what weights and KV cache take, by the model's own shape.

The server's log against itself, the plan, and what the driver says of the cards. Lines that only a
GPU writes follow the sources of vLLM 0.17.0; no GPU was seen.
"""

import re
from collections.abc import Iterator

from kit.bundle.bag import SERVER_LOG
from kit.check.evidence import Evidence
from kit.check.problem import Problem, clip, fail, unchecked
from kit.check.topology.options import planned_options
from kit.parse.vllm_log import ServerLog
from kit.plan.models import Model
from kit.plan.plan import Engine
from kit.plan.spec import Device
from kit.roofline import model as roofline
from kit.roofline.model import Shape

_CPU_BLOCK_TOKENS = 128
"""Tokens in a block of the KV cache on CPU, unless told (vllm/platforms/cpu.py)."""

MEMORY_TOLERANCE = 1.02
"""A driver tells a little less memory than CUDA does, or more."""

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
    yield from _for_one(log)
    if model.config["num_key_value_heads"] % engine.tensor_parallel_size:
        return  # heads are then held more than once
    if engine.device is Device.GPU:
        yield from _cache_in_memory(evidence, engine, shape, log)
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


def _token_bytes(engine: Engine, shape: Shape) -> float:
    """Return what a token takes of each rank's cache: a value is a byte at least, or as planned."""
    each = shape.kv_bytes_per_token / engine.tensor_parallel_size
    is_planned = planned_options(engine.command).get("kv_cache_dtype") in (None, "auto")
    return each if is_planned else each / shape.plain_bytes


def _share(planned: str | None) -> float:
    """Return the share of a GPU's memory that vLLM may use; all of it if none is told."""
    words = _DEFAULT_SHARE if planned is None else planned
    return float(words) if _SHARE.fullmatch(words) else 1.0


def _for_one(log: ServerLog) -> Iterator[Problem]:
    """Hold that one longest request fits.

    Else no engine starts (vllm/v1/core/kv_cache_utils.py, `_check_enough_kv_cache_memory`).
    """
    limit = min(log.context_limits, default=0)
    for tokens in log.kv_cache_tokens:
        if tokens < limit:
            yield fail(SERVER_LOG, f"a KV cache of {tokens} tokens", f"{limit} at least, for one")
