"""What the engine was started with: the plan's options against its log and its metrics' labels.

The command's arguments are compared one by one; of the configuration that vLLM 0.17 makes of them,
the settings that a plan decides.
"""

from collections.abc import Iterable, Iterator, Mapping

from kit.bundle.bag import SERVER_LOG
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import READABLE_SERVER_LOG
from kit.check.topology.options import (
    OF_THE_MACHINE,
    cpu_cache_gib,
    planned_options,
    spellings,
)
from kit.parse import vllm_metrics
from kit.plan.plan import Engine

DEFAULTS = {
    "disable_custom_all_reduce": "false",
    "dtype": '"auto"',
    "enable_auto_tool_choice": "false",
    "enable_prompt_tokens_details": "false",
    "enforce_eager": "false",
    "gpu_memory_utilization": "0.9",
    "tensor_parallel_size": "1",
}
"""Defaults of vLLM 0.17.0 for options in `compose/`: the log omits what is at its default. Options
whose default is None, such as `max_model_len`, are not here: no plan sets them to None."""

DTYPES = ("bfloat16", "float16", "float32")
"""What a plan may name; `auto` is whatever the model's own files say."""

QUANTIZATIONS = {
    "moe": ("compressed-tensors",),
    "dense": ("awq_marlin", "awq"),
    "moe-fp8": ("fp8",),
}
"""What vLLM makes of the `quant_method` of a model's own config.json, by its sources: AWQ's becomes
Marlin's where that can be (vllm/config/model.py, `_verify_quantization`). Twins have none."""

QUANTIZATION_METHODS = (
    "None",
    "awq",
    "awq_marlin",
    "bitsandbytes",
    "compressed-tensors",
    "fp8",
    "gguf",
    "gptq",
    "gptq_marlin",
    "modelopt",
    "torchao",
)
"""The common ones of vLLM 0.17 (vllm/model_executor/layers/quantization/__init__.py)."""

Allowed = Mapping[str, tuple[str, ...]]
"""The values that a plan allows, by the name of a setting; none where it does not decide."""


def _allowed_config(evidence: Evidence) -> Allowed:
    """Return what the engine's configuration must be in its log."""
    engine, options = evidence.engine, planned_options(evidence.engine.command)
    dtype = options.get("dtype")
    return {
        "tensor_parallel_size": (str(engine.tensor_parallel_size),),
        "pipeline_parallel_size": ("1",),
        "data_parallel_size": ("1",),
        "dtype": (f"torch.{dtype}",) if dtype in DTYPES else (),
        "quantization": _quantizations(evidence),
        "kv_cache_dtype": (options.get("kv_cache_dtype") or "auto",),
        "load_format": ("auto",),
        "trust_remote_code": (str("trust_remote_code" in options),),
        "enforce_eager": (_flag(options, "enforce_eager", default="False"),),
        "enable_prefix_caching": (_flag(options, "enable_prefix_caching", default="True"),),
        "enable_chunked_prefill": ("True",),
        "speculative_config": ("None",),
        "seed": (options.get("seed") or "0",),
    }


def _allowed_cache(evidence: Evidence) -> Allowed:
    """Return what the labels of the cache's configuration must be in the metrics."""
    options = planned_options(evidence.engine.command)
    block_size = options.get("block_size")
    return {
        "cache_dtype": (options.get("kv_cache_dtype") or "auto",),
        "enable_prefix_caching": (_flag(options, "enable_prefix_caching", default="True"),),
        "gpu_memory_utilization": (_as_logged(options.get("gpu_memory_utilization") or "0.9"),),
        "num_gpu_blocks_override": ("None",),
        "block_size": () if block_size is None else (block_size,),
        "cpu_kvcache_space_bytes": _cpu_cache_bytes(evidence.engine),
    }


def _flag(options: Mapping[str, str | None], name: str, *, default: str) -> str:
    """Return what a flag of the command says, as Python spells it."""
    return (options[name] or "True") if name in options else default


def _quantizations(evidence: Evidence) -> tuple[str, ...]:
    """A rehearsal serves a twin under the name of its model."""
    plan = evidence.document.plan
    if plan.rehearsal:
        return ()
    return QUANTIZATIONS.get(plan.cell.model, ()) if evidence.is_on_gpus else ("None",)


def _as_logged(number: str) -> str:
    """Spell a number as Python does: an option's `0.90` is logged as `0.9`."""
    try:
        return str(float(number))
    except ValueError:
        return number


def _cpu_cache_bytes(engine: Engine) -> tuple[str, ...]:
    space_gib = cpu_cache_gib(engine)
    return () if space_gib is None else (str(space_gib * 2**30),)


def _config(evidence: Evidence) -> Iterator[Problem]:
    """Compare what is written; what is not there is not compared."""
    labels = [label for config in evidence.observed.cache_configs for label in config]
    yield from _compare(evidence.server_log.settings, _allowed_config(evidence))
    yield from _compare(labels, _allowed_cache(evidence))


def _compare(written: Iterable[tuple[str, str]], allowed: Allowed) -> Iterator[Problem]:
    for name, value in sorted(set(written)):
        wanted = allowed.get(name)
        if wanted and value not in wanted:
            is_unseen = name == "quantization" and value not in QUANTIZATION_METHODS
            problem = warn if is_unseen else fail
            yield problem(name, value, f"{' or '.join(wanted)}, as planned")


def _cache_labels(evidence: Evidence) -> Iterator[Problem]:
    configs = evidence.observed.cache_configs
    if not configs:
        yield unchecked(BUNDLE, "not in the metrics", f"{vllm_metrics.CACHE_CONFIG}, as planned")
    elif len(configs) > 1:
        observed = f"{len(configs)} different ones"
        yield fail(vllm_metrics.CACHE_CONFIG, observed, "the same in all metrics")


def _arguments(evidence: Evidence) -> Iterator[Problem]:
    log = evidence.server_log
    arguments = log.arguments[0] if log.arguments else None
    if arguments is None or len(log.arguments) > 1 or log.is_cut:
        reason = "the log's arguments cannot be read as one set of plain values"
        yield unchecked(SERVER_LOG, reason, "the plan's arguments")
        return
    planned, given = planned_options(evidence.engine.command), dict(arguments)
    for name, word in planned.items():
        yield from _argument(name, word, given.get(name, DEFAULTS.get(name)))
    for name, value in given.items():
        if name not in planned and name not in OF_THE_MACHINE:
            yield fail(name, value, "not given, as planned")


def _argument(name: str, word: str | None, given: str | None) -> Iterator[Problem]:
    if given is None:
        yield unchecked(name, "not in the log, and its default is not known", f"`{word}`")
    elif "<" in given:
        yield unchecked(name, f"redacted, {given}", f"`{word}`, as planned")
    elif given not in spellings(word):
        yield fail(name, given, f"`{word}`, as planned")


def _started_as_planned(evidence: Evidence) -> Iterator[Problem]:
    yield from _arguments(evidence)
    yield from _config(evidence)
    yield from _cache_labels(evidence)


def _context_limit(evidence: Evidence) -> Iterator[Problem]:
    planned = planned_options(evidence.engine.command).get("max_model_len")
    log = evidence.server_log
    if planned is None or not log.context_limits:
        reason = "the plan has no limit" if planned is None else "the log does not contain it"
        yield unchecked(SERVER_LOG, reason, f"{planned} tokens")
        return
    for tokens in log.context_limits:
        if str(tokens) != planned:
            yield fail(SERVER_LOG, f"{tokens} tokens", f"{planned} tokens")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-arguments",
        holds="the server was started with the plan's arguments and no others, and took them",
        hint="measure again with an unchanged checkout",
        look=_started_as_planned,
        needs=(READABLE_SERVER_LOG,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-context-limit",
        holds="the server's context limit is the plan's",
        hint="measure again: another limit leaves another share of memory to the cache",
        look=_context_limit,
        needs=(READABLE_SERVER_LOG,),
    ),
)
