"""What the engine was started with: the plan's options against its log and its metrics' labels.

A table says which settings of vLLM 0.17 are compared, where each is written, and what a plan makes
of it; the command's arguments are compared one by one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from kit.bundle.bag import SERVER_LOG
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import READABLE_SERVER_LOG
from kit.check.topology.options import OF_THE_MACHINE, planned_options, spellings
from kit.parse import vllm_metrics
from kit.plan.topology import Device

DEFAULTS = {
    "disable_custom_all_reduce": "false",
    "dtype": '"auto"',
    "enable_auto_tool_choice": "false",
    "enable_prompt_tokens_details": "false",
    "enforce_eager": "false",
    "generation_config": '"auto"',
    "gpu_memory_utilization": "0.9",
    "kv_cache_dtype": '"auto"',
    "pipeline_parallel_size": "1",
    "seed": "0",
    "swap_space": "4",
    "tensor_parallel_size": "1",
    "trust_remote_code": "false",
    "uvicorn_log_level": '"info"',
}
"""Defaults of vLLM 0.17.0, which the log omits. Options whose default is None, such as
`max_model_len`, are not here: no plan sets them to None."""

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

_DIGITS = 12
"""Of a size in GiB."""


class Source(Enum):
    """Where a setting is written."""

    CONFIG = "the engine's configuration in its log"
    CACHE_LABELS = vllm_metrics.CACHE_CONFIG


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What a plan says of its engine: the command's options, its environment, and the model."""

    options: Mapping[str, str | None]
    environment: Mapping[str, str]
    tensor_parallel_size: int
    device: Device
    model: str
    is_rehearsal: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, and the values that the plan allows; none where the plan does not decide it.

    `known` are the values that vLLM can have, of a setting whose spelling was not seen yet: there a
    value that is not among them is a warning.
    """

    source: Source
    name: str
    allowed: Callable[[Planned], tuple[str, ...]]
    known: tuple[str, ...] = ()


def _always(value: str) -> Callable[[Planned], tuple[str, ...]]:
    return lambda _: (value,)


def _option(name: str, default: str) -> Callable[[Planned], tuple[str, ...]]:
    return lambda planned: (planned.options.get(name) or default,)


def _flag(name: str) -> Callable[[Planned], tuple[str, ...]]:
    return lambda planned: (str(name in planned.options),)


def _dtype(planned: Planned) -> tuple[str, ...]:
    dtype = planned.options.get("dtype")
    return (f"torch.{dtype}",) if dtype in DTYPES else ()


def _quantization(planned: Planned) -> tuple[str, ...]:
    """A rehearsal serves a twin under the name of its model."""
    if planned.is_rehearsal:
        return ()
    return ("None",) if planned.device is Device.CPU else QUANTIZATIONS.get(planned.model, ())


def _memory_share(planned: Planned) -> tuple[str, ...]:
    """Spell a number as Python does: an option's `0.90` is logged as `0.9`."""
    option = planned.options.get("gpu_memory_utilization") or "0.9"
    try:
        return (str(float(option)),)
    except ValueError:
        return (option,)


def _block_size(planned: Planned) -> tuple[str, ...]:
    size = planned.options.get("block_size")
    return () if size is None else (size,)


def _cpu_cache_bytes(planned: Planned) -> tuple[str, ...]:
    space_gib = planned.environment.get("VLLM_CPU_KVCACHE_SPACE", "")
    is_size = space_gib.isdecimal() and len(space_gib) < _DIGITS
    return (str(int(space_gib) * 2**30),) if is_size else ()


SETTINGS = (
    Setting(Source.CONFIG, "tensor_parallel_size", lambda p: (str(p.tensor_parallel_size),)),
    Setting(Source.CONFIG, "pipeline_parallel_size", _always("1")),
    Setting(Source.CONFIG, "data_parallel_size", _always("1")),
    Setting(Source.CONFIG, "dtype", _dtype),
    Setting(Source.CONFIG, "quantization", _quantization, QUANTIZATION_METHODS),
    Setting(Source.CONFIG, "kv_cache_dtype", _option("kv_cache_dtype", "auto")),
    Setting(Source.CONFIG, "load_format", _always("auto")),
    Setting(Source.CONFIG, "trust_remote_code", _flag("trust_remote_code")),
    Setting(Source.CONFIG, "enforce_eager", _flag("enforce_eager")),
    Setting(Source.CONFIG, "enable_prefix_caching", _always("True")),
    Setting(Source.CONFIG, "enable_chunked_prefill", _always("True")),
    Setting(Source.CONFIG, "speculative_config", _always("None")),
    Setting(Source.CONFIG, "seed", _option("seed", "0")),
    Setting(Source.CACHE_LABELS, "cache_dtype", _option("kv_cache_dtype", "auto")),
    Setting(Source.CACHE_LABELS, "enable_prefix_caching", _always("True")),
    Setting(Source.CACHE_LABELS, "gpu_memory_utilization", _memory_share),
    Setting(Source.CACHE_LABELS, "num_gpu_blocks_override", _always("None")),
    Setting(Source.CACHE_LABELS, "block_size", _block_size),
    Setting(Source.CACHE_LABELS, "cpu_kvcache_space_bytes", _cpu_cache_bytes),
)


def _settings(evidence: Evidence) -> Iterator[Problem]:
    """Compare what is written in each source; what is not there is not compared."""
    planned = _planned(evidence)
    written = {
        Source.CONFIG: tuple(evidence.server_log.settings),
        Source.CACHE_LABELS: tuple(
            label for config in evidence.observed.cache_configs for label in config
        ),
    }
    for setting in SETTINGS:
        allowed = setting.allowed(planned)
        values = {value for name, value in written[setting.source] if name == setting.name}
        for value in sorted(values - set(allowed)) if allowed else ():
            problem = warn if setting.known and value not in setting.known else fail
            yield problem(setting.name, value, f"{' or '.join(allowed)}, as planned")


def _planned(evidence: Evidence) -> Planned:
    engine, plan = evidence.engine, evidence.document.plan
    return Planned(
        options=planned_options(engine.command),
        environment=dict(engine.environment),
        tensor_parallel_size=engine.tensor_parallel_size,
        device=engine.device,
        model=plan.cell.model,
        is_rehearsal=plan.rehearsal,
    )


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
    yield from _settings(evidence)
    yield from _cache_labels(evidence)


def _context_limit(evidence: Evidence) -> Iterator[Problem]:
    planned, log = (
        planned_options(evidence.engine.command).get("max_model_len"),
        evidence.server_log,
    )
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
