"""The topology tier's look at what the engine's metrics say of it: its name, and its KV cache.

vLLM 0.17 labels its samples with the first name that it serves a model under, and tells the whole
of its cache's configuration (vllm/v1/metrics/loggers.py).
"""

from collections.abc import Iterator, Mapping

from kit.check.evidence import Evidence, whole_number
from kit.check.problem import BUNDLE, Problem, clip, fail, unchecked
from kit.parse import vllm_metrics
from kit.parse.vllm_log import ServerLog
from kit.plan.plan import Engine

_DIGITS = 12
"""Of a space in GiB."""


def name(evidence: Evidence, planned: Mapping[str, str | None]) -> Iterator[Problem]:
    """Hold the name that the engine serves its model under; redacted, it tells nothing."""
    wanted = planned.get("served_model_name")
    if wanted is None:
        return
    if not evidence.observed.served_names:
        yield unchecked(BUNDLE, "no metrics name the model", clip(wanted))
    for told in evidence.observed.served_names:
        if told != wanted:
            problem = unchecked if "<" in told else fail
            yield problem(BUNDLE, clip(f"metrics of model {told}"), clip(wanted))


def cache_tokens(evidence: Evidence, log: ServerLog) -> Iterator[Problem]:
    """Hold the blocks of the cache against the tokens that the log says it has."""
    for config in evidence.observed.cache_configs:
        block, blocks = whole_number(config, "block_size"), whole_number(config, "num_gpu_blocks")
        if block is None or blocks is None or not log.kv_cache_tokens:
            continue
        if block * blocks not in log.kv_cache_tokens:
            expected = f"{log.kv_cache_tokens[0]} tokens, by the server's log"
            yield fail(vllm_metrics.CACHE_CONFIG, f"{blocks} blocks of {block} tokens", expected)


def settings(
    evidence: Evidence, engine: Engine, planned: Mapping[str, str | None]
) -> Iterator[Problem]:
    """Hold the cache's configuration against the plan's options, and their defaults."""
    configs = evidence.observed.cache_configs
    if not configs:
        yield unchecked(BUNDLE, "no metrics tell it", f"{vllm_metrics.CACHE_CONFIG}, as planned")
    wanted = _wanted(engine, planned)
    for config in map(dict, configs):
        for name, value in wanted.items():
            if name in config and config[name] != value:
                yield fail(name, clip(config[name]), clip(f"{value}, as planned"))
    if len(set(configs)) > 1:
        observed = f"{len(configs)} different ones"
        yield fail(vllm_metrics.CACHE_CONFIG, observed, "the same in all metrics")


def _wanted(engine: Engine, planned: Mapping[str, str | None]) -> Mapping[str, str]:
    wanted = {
        "cache_dtype": planned.get("kv_cache_dtype") or "auto",
        "enable_prefix_caching": "True",
        "gpu_memory_utilization": _as_told(planned.get("gpu_memory_utilization") or "0.9"),
        "num_gpu_blocks_override": "None",
    }
    if (block := planned.get("block_size")) is not None:
        wanted["block_size"] = block
    space_gib = dict(engine.environment).get("VLLM_CPU_KVCACHE_SPACE", "")
    if space_gib.isdecimal() and len(space_gib) < _DIGITS:
        wanted["cpu_kvcache_space_bytes"] = str(int(space_gib) * 2**30)
    return wanted


def _as_told(number: str) -> str:
    """Spell a number as Python does: an option's `0.90` is told as `0.9`."""
    try:
        return str(float(number))
    except ValueError:
        return number
