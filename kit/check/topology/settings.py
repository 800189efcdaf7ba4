"""The topology tier's look at the server's start: release, arguments, context, kernels, all-reduce.

Only the pinned release's log is understood: of another's nothing is concluded but its version.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from kit.bundle.bag import SERVER_LOG
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.check.topology import cache_config
from kit.check.topology.options import OF_THE_MACHINE, planned_options, spellings
from kit.parse.vllm_config import Arguments
from kit.parse.vllm_log import ServerLog
from kit.plan.plan import Engine
from kit.plan.topology import Device

PINNED_VLLM = "0.17.0"

_DEFAULTS = {
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
"""What the log leaves out: defaults of vLLM 0.17.0, as its own argument parser gives them. That of
`max_model_len`, `max_num_seqs`, `enable_chunked_prefill` and others is None: no plan says that."""

_BIND_LIMIT = 1000
"""Characters of a list of cores; the kit's own has three."""

_ALWAYS = {
    "speculative_config": "None",
    "load_format": "auto",
    "pipeline_parallel_size": "1",
    "data_parallel_size": "1",
    "enable_prefix_caching": "True",
    "enable_chunked_prefill": "True",
}
_QUANTIZATIONS = {
    "moe": ("compressed-tensors",),
    "dense": ("awq_marlin", "awq"),
    "moe-fp8": ("fp8",),
}
"""What vLLM makes of the `quant_method` of a model's own config.json, by its sources: AWQ's becomes
Marlin's where that can be (vllm/config/model.py, `_verify_quantization`). Twins have none."""

_DTYPES = ("bfloat16", "float16", "float32")
"""What a plan may name; `auto` is whatever the model's own files say."""

_TORCH_NAMES = {Device.CPU: "cpu", Device.GPU: "cuda"}

_MARLIN = {
    "moe": ("MarlinLinearKernel", "CompressedTensorsWNA16MarlinMoEMethod"),
    "dense": ("awq_marlin",),
}
"""The kernels of the two 4-bit models: compressed-tensors with group 32, and AWQ with group 128."""

_BUILD = re.compile(r"\+(?:cpu|cu[0-9]{2,3})\Z")

_NOT_4_BIT = ("moe-fp8",)


def check(evidence: Evidence, engine: Engine) -> Iterator[Finding]:
    """Yield what the server's log says of the plan's engine."""
    log = evidence.observed.server_log
    yield from findings(Code.TOPOLOGY_ENGINE_VERSION, _version(evidence, log))
    yield from findings(Code.TOPOLOGY_DEVICE, _device(evidence, engine, log))
    planned = planned_options(engine.command)
    told = cache_config.settings(evidence, engine, planned)
    found = (*_arguments(engine, log), *_config(evidence, engine, log), *told)
    yield from findings(Code.TOPOLOGY_ARGUMENTS, found)
    yield from findings(Code.TOPOLOGY_CONTEXT_LIMIT, _context_limit(engine, log))
    yield from findings(Code.TOPOLOGY_ALL_REDUCE, _all_reduce(engine, log))
    if engine.device is Device.GPU:
        model = evidence.document.plan.cell.model
        yield from findings(Code.TOPOLOGY_KERNELS, _kernels(model, log))


def unread(log: ServerLog | None) -> str | None:
    """Return why nothing can be concluded from a log; None where it can."""
    if log is None:
        return "no server log"
    if not log.engine_versions:
        return "the log tells no version of vLLM"
    others = [clip(version) for version in log.engine_versions if _release(version) != PINNED_VLLM]
    return f"a log of vLLM {others[0]}, which this kit does not read" if others else None


def _release(version: str) -> str:
    """Return a version without the label that vLLM's own builds have (PEP 440: `0.17.0+cpu`)."""
    return _BUILD.sub("", version)


def _version(evidence: Evidence, log: ServerLog | None) -> Iterator[Problem]:
    told = evidence.document.engine.version
    if log is None or not log.engine_versions:
        yield unchecked(SERVER_LOG, unread(log) or "no server log", f"vLLM {PINNED_VLLM}")
    if told is None:
        yield unchecked("/version", "the server told no version", f"vLLM {PINNED_VLLM}")
    logged = () if log is None else log.engine_versions
    for subject, version in [*((SERVER_LOG, one) for one in logged), ("/version", told)]:
        if version is not None and _release(version) != PINNED_VLLM:
            yield fail(subject, f"vLLM {clip(version)}", f"vLLM {PINNED_VLLM}")
    if len(logged) > 1:
        yield fail(SERVER_LOG, f"{len(logged)} versions", "one engine, started once")
    elif told is not None and told not in (logged or (told,)):
        yield fail("/version", f"vLLM {clip(told)}", clip(f"{logged[0]}, as its log has it"))


def _device(evidence: Evidence, engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    """Hold what serves against the topology; in a rehearsal that is the CPU, whatever it says."""
    device = Device.CPU if evidence.document.plan.rehearsal else engine.device
    expected = _TORCH_NAMES[device]
    if (reason := unread(log)) is not None or log is None or not log.devices:
        yield unchecked(SERVER_LOG, reason or "the log does not name a device", expected)
        return
    for name in log.devices:
        if name != expected:
            yield fail(SERVER_LOG, clip(name), expected)
    if engine.device is Device.CPU:
        yield from _cores(evidence, engine, log.cores)


def _cores(evidence: Evidence, engine: Engine, bound: Sequence[int]) -> Iterator[Problem]:
    """Hold the cores that threads were bound to against the plan's number of them.

    Which ones they are is the machine's: a process takes the first that it may use, and tells.
    An engine that never answered may have ended before each rank had its own.
    """
    count = _core_count(dict(engine.environment).get("VLLM_CPU_OMP_THREADS_BIND", ""))
    chosen = set(evidence.document.engine.cores or ())
    if count is None:
        return
    if chosen and len(chosen) != count:
        yield fail("engine.cores", f"{len(chosen)} cores", f"{count}, by the plan")
    told = set(bound)
    if evidence.answered and not told:
        yield unchecked(SERVER_LOG, "the log tells of no core", f"{count}, by the plan")
    is_short = bool(told and evidence.answered) and len(told) < count
    if is_short or len(told) > count:
        yield fail(SERVER_LOG, f"{len(told)} cores", f"{count}, by the plan")
    if chosen and not told <= chosen:
        observed = clip(f"cores {', '.join(map(str, sorted(told)))}")
        yield fail(SERVER_LOG, observed, clip(f"cores {', '.join(map(str, sorted(chosen)))}"))


def _core_count(words: str) -> int | None:
    """Return how many cores vLLM is told: ranges and numbers, ranks apart by `|`; None if others.

    (vllm/v1/worker/cpu_worker.py; ranges as `numactl` has them.)
    """
    cores: set[int] = set()
    for word in words[:_BIND_LIMIT].replace("|", ",").split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", word)
        if match is None:
            return None
        cores |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return len(cores)


def _arguments(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    given, reason = _given(log)
    if given is None:
        yield unchecked(SERVER_LOG, reason, Code.TOPOLOGY_ARGUMENTS.holds)
        return
    planned = planned_options(engine.command)
    for name, word in planned.items():
        told = given.get(name, _DEFAULTS.get(name))
        if told is None:
            observed = "not in the log, and its default is not known here"
            yield unchecked(clip(name), observed, clip(f"`{word}`"))
        elif "<" in told:
            yield unchecked(clip(name), f"redacted, {clip(told)}", clip(f"`{word}`, as planned"))
        elif told not in spellings(word):
            yield fail(clip(name), clip(told), clip(f"`{word}`, as planned"))
    for name, told in given.items():
        if name not in planned and name not in OF_THE_MACHINE:
            yield fail(clip(name), clip(told), "not given, as planned")


def _config(evidence: Evidence, engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    """Hold what the engine made of its arguments, where it is known what that should be."""
    if log is None or unread(log) is not None:
        return  # which has been said
    wanted = _settings(engine)
    for name, value in log.settings:
        if value != wanted.get(name, value):
            yield fail(name, clip(value), f"{wanted[name]}, as planned")
        elif name == "quantization":
            yield from _quantization(evidence, engine, value)


def _quantization(evidence: Evidence, engine: Engine, told: str) -> Iterator[Problem]:
    """Hold how weights are stored; a rehearsal's are a twin's, under the name of its model."""
    planned = evidence.document.plan
    known = ("None",) if engine.device is Device.CPU else _QUANTIZATIONS.get(planned.cell.model)
    if known and not planned.rehearsal and told not in known:
        yield fail(
            "quantization", clip(told), f"{' or '.join(known)}, as the model's own files say"
        )


def _settings(engine: Engine) -> Mapping[str, str]:
    """Return the settings that an engine of vLLM 0.17 ends up with, started as planned."""
    planned = planned_options(engine.command)
    wanted = {
        **_ALWAYS,
        "tensor_parallel_size": str(engine.tensor_parallel_size),
        "kv_cache_dtype": planned.get("kv_cache_dtype") or "auto",
        "enforce_eager": str("enforce_eager" in planned),
        "trust_remote_code": str("trust_remote_code" in planned),
        "seed": planned.get("seed") or "0",
    }
    if (dtype := planned.get("dtype")) in _DTYPES:
        wanted["dtype"] = f"torch.{dtype}"
    return wanted


def _given(log: ServerLog | None) -> tuple[Mapping[str, str] | None, str]:
    """Return the arguments that the log tells, or None and why it tells none."""
    if (reason := unread(log)) is not None or log is None:
        return None, reason or "no server log"
    if not log.arguments:
        return None, "the log tells no arguments"
    arguments: Arguments | None = log.arguments[0]
    if arguments is None or len(log.arguments) > 1 or log.is_cut:
        return None, "the log's arguments cannot be read as one set of plain values"
    return dict(arguments), ""


def _context_limit(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    planned = planned_options(engine.command).get("max_model_len")
    expected = f"{clip(planned)} tokens"
    reason = unread(log)
    if reason is not None or log is None or planned is None or not log.context_limits:
        why = "the plan has no limit" if planned is None else "the log tells no limit"
        yield unchecked(SERVER_LOG, reason or why, expected)
        return
    for tokens in log.context_limits:
        if str(tokens) != planned:
            yield fail(SERVER_LOG, f"{tokens} tokens", expected)


def _all_reduce(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    """Hold vLLM's own way over NVLink off; one rank alone has nothing to reduce."""
    expected = "disabled, so that NCCL alone carries the traffic"
    if (reason := unread(log)) is not None or log is None:
        yield unchecked(SERVER_LOG, reason or "no server log", expected)
        return
    for addresses in log.graph_registrations:
        yield fail(SERVER_LOG, f"{addresses} CUDA graph addresses registered", expected)
    if engine.tensor_parallel_size > 1 and False in log.custom_all_reduce_disabled:
        yield fail(SERVER_LOG, "custom all-reduce is not disabled", expected)
    if not log.custom_all_reduce_disabled or log.is_cut:
        yield unchecked(SERVER_LOG, "the log does not tell whether it is disabled", expected)


def _kernels(model: str, log: ServerLog | None) -> Iterator[Problem]:
    wanted = _MARLIN.get(model)
    reason = unread(log)
    if model in _NOT_4_BIT and reason is None and log is not None:
        for line in (*log.kernels, *log.fallbacks):
            yield fail(SERVER_LOG, clip(line), "no kernel for 4-bit weights: the model has none")
        return
    if reason is not None or log is None or wanted is None:
        why = f"no kernels are known for model {clip(model)}"
        yield unchecked(SERVER_LOG, reason or why, "Marlin kernels")
        return
    for line in log.fallbacks:
        yield fail(SERVER_LOG, clip(line), "Marlin kernels for every layer")
    for kernel in log.kernels:
        if kernel not in wanted:
            yield fail(SERVER_LOG, clip(kernel), " and ".join(wanted))
    for kernel in wanted:
        if kernel not in log.kernels:
            yield unchecked(SERVER_LOG, "the log does not name it", kernel)
    if log.is_cut:
        yield unchecked(SERVER_LOG, "more lines than are looked at", "Marlin kernels")
