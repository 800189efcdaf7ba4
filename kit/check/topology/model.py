"""Which model was served: its folder, name and class, and a KV cache of its shape."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from kit.bundle.bag import SERVER_LOG
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import READABLE_SERVER_LOG
from kit.check.topology.options import SIZE, cpu_cache_gib, planned_options
from kit.parse import vllm_metrics
from kit.parse.vllm_metrics import Labels
from kit.plan.models import Model
from kit.plan.plan import Engine
from kit.plan.topology import Device
from kit.roofline import model as roofline
from kit.roofline.model import Shape

CLASSES = {roofline.MOE: "Qwen3MoeForCausalLM", roofline.DENSE: "Qwen2ForCausalLM"}
"""The class of transformers, and of vLLM, for a `model_type`."""

CPU_BLOCK_TOKENS = 128
"""Tokens in a block of the KV cache on CPU by default (vllm/platforms/cpu.py)."""

CLOSE_RATIO = 1.10
"""On GPUs no cache was seen yet: one that is over the memory by less than this is a warning."""

_SHARE = re.compile(r"0?\.[0-9]{1,6}|1(?:\.0{1,6})?")
_DEFAULT_SHARE = "0.9"
"""`--gpu-memory-utilization` of vLLM 0.17."""


def _model(evidence: Evidence) -> Iterator[Problem]:
    planned = planned_options(evidence.engine.command)
    yield from _folder(evidence)
    yield from _served_name(evidence, planned)
    yield from _cache_blocks(evidence)
    if evidence.model is not None:
        yield from _class(evidence, evidence.model)
        yield from _cache(evidence, evidence.model, planned)


def _folder(evidence: Evidence) -> Iterator[Problem]:
    """Compare the name of the model's folder: what is above it is the machine's, and redacted."""
    log = evidence.server_log
    expected = folder_of(evidence.engine) or evidence.document.plan.cell.model
    arguments = dict((log.arguments or (None,))[0] or ())
    given = [arguments[name].strip('"') for name in ("model", "model_tag") if name in arguments]
    names = {PurePosixPath(folder).name for folder in (*log.models, *given)} - {""}
    for name in sorted(names):
        if "<" in name:
            yield unchecked(SERVER_LOG, f"a redacted name, {name}", expected)
        elif name != expected:
            yield fail(SERVER_LOG, f"model {name}", expected)
    if not names:
        yield unchecked(SERVER_LOG, "the log names no model", expected)


def folder_of(engine: Engine) -> str | None:
    """Return the name of the folder that an engine's command serves; None if it names none."""
    words = engine.command
    if "serve" not in words[:-1] or (word := words[words.index("serve") + 1]).startswith("--"):
        return None
    return PurePosixPath(word).name


def _served_name(evidence: Evidence, planned: Mapping[str, str | None]) -> Iterator[Problem]:
    """Metrics are labelled by vLLM with the first name that it serves a model under."""
    expected = planned.get("served_model_name")
    if expected is None:
        return
    if not evidence.observed.served_names:
        yield unchecked(BUNDLE, "no metrics name the model", expected)
    for name in evidence.observed.served_names:
        if name != expected:
            problem = unchecked if "<" in name else fail
            yield problem(BUNDLE, f"metrics of model {name}", expected)


def _cache_blocks(evidence: Evidence) -> Iterator[Problem]:
    """Compare the blocks of the cache in the metrics with its tokens in the log."""
    logged = evidence.server_log.kv_cache_tokens
    for config in evidence.observed.cache_configs:
        block, blocks = _whole_number(config, "block_size"), _whole_number(config, "num_gpu_blocks")
        if block is not None and blocks is not None and logged and block * blocks not in logged:
            observed = f"{blocks} blocks of {block} tokens"
            yield fail(vllm_metrics.CACHE_CONFIG, observed, f"{logged[0]} tokens, as in the log")


def _whole_number(labels: Labels, name: str) -> int | None:
    value = dict(labels).get(name, "")
    return int(value) if SIZE.fullmatch(value) else None


def _class(evidence: Evidence, model: Model) -> Iterator[Problem]:
    """A rehearsal's twin has its model's class."""
    expected = CLASSES.get(str(model.config.get("model_type")))
    if expected is None:
        return
    classes = evidence.server_log.architectures
    if not classes:
        yield unchecked(SERVER_LOG, "the log resolves no architecture", expected)
    for name in classes:
        if name != expected:
            yield fail(SERVER_LOG, f"architecture {name}", expected)


def _cache(
    evidence: Evidence, model: Model, planned: Mapping[str, str | None]
) -> Iterator[Problem]:
    """Compare the KV cache with the model's shape; nothing where that is not known."""
    shape = roofline.shape_of(model.config)
    if shape is None or evidence.document.plan.rehearsal:
        return
    log, engine = evidence.server_log, evidence.engine
    if not log.kv_cache_tokens:
        yield unchecked(SERVER_LOG, "the log contains no KV cache size", "one of the model's shape")
    limit = min(log.context_limits, default=0)
    for tokens in log.kv_cache_tokens:
        if tokens < limit:  # no engine starts (vllm/v1/core/kv_cache_utils.py)
            expected = f"{limit} at least, for one request"
            yield fail(SERVER_LOG, f"a KV cache of {tokens} tokens", expected)
    if model.config["num_key_value_heads"] % engine.tensor_parallel_size:
        return  # heads are then held more than once
    if engine.device is Device.GPU:
        yield from _cache_on_gpus(evidence, shape, planned)
    elif planned.get("dtype") == model.config["torch_dtype"]:
        yield from _cache_on_cpu(evidence, shape, planned)


def _cache_on_cpu(
    evidence: Evidence, shape: Shape, planned: Mapping[str, str | None]
) -> Iterator[Problem]:
    """On CPU the cache fills the space that it is given: whole blocks, and no more.

    Each rank has that space to itself, for its share of the heads (vllm/v1/worker/cpu_worker.py).
    """
    engine, space_gib = evidence.engine, cpu_cache_gib(evidence.engine)
    block = planned.get("block_size") or str(CPU_BLOCK_TOKENS)
    if space_gib is None or not SIZE.fullmatch(block):
        return
    most = space_gib * 2**30 * engine.tensor_parallel_size / shape.kv_bytes_per_token
    for tokens in evidence.server_log.kv_cache_tokens:
        if not most - int(block) < tokens <= most:
            expected = f"{most:.0f}, less a part of a block: {space_gib} GiB, by the model's shape"
            yield fail(SERVER_LOG, f"a KV cache of {tokens} tokens", expected)


def _cache_on_gpus(
    evidence: Evidence, shape: Shape, planned: Mapping[str, str | None]
) -> Iterator[Problem]:
    """On a GPU the cache fits into the memory that vLLM may use, of the largest card."""
    memory_gib = max((gpu.memory_bytes or 0 for gpu in evidence.gpus), default=0) / 2**30
    room_gib = memory_gib * _share(planned.get("gpu_memory_utilization"))
    token_gib = _token_bytes(evidence.engine, shape, planned) / 2**30
    weights_gib = max(evidence.server_log.model_gib, default=0.0)
    for tokens in evidence.server_log.kv_cache_tokens if memory_gib else ():
        used_gib = tokens * token_gib + weights_gib
        if used_gib > room_gib:
            problem = warn if used_gib <= room_gib * CLOSE_RATIO else fail
            observed = f"a KV cache of {tokens} tokens, beside {weights_gib:g} GiB of weights"
            yield problem(SERVER_LOG, observed, f"what fits into {room_gib:.1f} GiB a GPU")


def _token_bytes(engine: Engine, shape: Shape, planned: Mapping[str, str | None]) -> float:
    """Return what a token takes of each rank's cache: a byte a value at least, or as planned."""
    each = shape.kv_bytes_per_token / engine.tensor_parallel_size
    return each if planned.get("kv_cache_dtype") in (None, "auto") else each / shape.plain_bytes


def _share(option: str | None) -> float:
    """Return the share of a GPU's memory that vLLM may use; all of it if that cannot be read."""
    share = _DEFAULT_SHARE if option is None else option
    return float(share) if _SHARE.fullmatch(share) else 1.0


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-model",
        holds="the server's log names the plan's model: its folder, its class, a KV cache of its "
        "shape",
        hint="these figures are another model's: ask for the original, or measure again",
        look=_model,
        needs=(READABLE_SERVER_LOG,),
        for_figures=ForFigures.CHECKED,
    ),
)
