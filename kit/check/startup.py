"""The topology tier's look at the server's log: release, arguments, context, kernels, all-reduce.

Only the pinned release's log is understood: of another's nothing is concluded but its version.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from kit.bundle import SERVER_LOG, Clock
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.plan import Engine
from kit.serverlog import Arguments, ServerLog
from kit.spec import Device

PINNED_VLLM = "0.17.0"

_OF_THE_MACHINE = ("host", "model", "model_tag", "port")
"""The plan has these at the defaults of its Compose file; a machine fills in its own."""

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

TIME_ZONES = timedelta(minutes=15)
FARTHEST_ZONE = timedelta(hours=14, minutes=15)
"""Zones differ from UTC by whole quarters of an hour, by 14 hours at most."""

QUIET_S, LATE_S = 120, 60
"""A server that answers says so at once, and its throughput every ten seconds."""

_TORCH_NAMES = {Device.CPU: "cpu", Device.GPU: "cuda"}

_MARLIN = {
    "moe": ("MarlinLinearKernel", "CompressedTensorsWNA16MarlinMoEMethod"),
    "dense": ("awq_marlin",),
}
"""The kernels of the two 4-bit models: compressed-tensors with group 32, and AWQ with group 128."""

_NOT_4_BIT = ("moe-fp8",)


def check(evidence: Evidence, engine: Engine) -> Iterator[Finding]:
    """Yield what the server's log says of the plan's engine."""
    log = evidence.observed.server_log
    yield from findings(Code.TOPOLOGY_ENGINE_VERSION, _version(evidence, log))
    yield from findings(Code.TOPOLOGY_DEVICE, _device(evidence, engine, log))
    yield from findings(Code.TOPOLOGY_ARGUMENTS, _arguments(engine, log))
    yield from findings(Code.TOPOLOGY_LOG, _of_this_run(evidence, log))
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
    """Return a version without the label of its build (PEP 440: `0.17.0+cpu`)."""
    return version.partition("+")[0]


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


def _arguments(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    given, reason = _given(log)
    if given is None:
        yield unchecked(SERVER_LOG, reason, Code.TOPOLOGY_ARGUMENTS.holds)
        return
    planned = _planned(engine.command)
    for name, word in planned.items():
        told = given.get(name, _DEFAULTS.get(name))
        if told is None:
            observed = "not in the log, and its default is not known here"
            yield unchecked(clip(name), observed, clip(f"`{word}`"))
        elif told not in _spellings(word):
            yield fail(clip(name), clip(told), clip(f"`{word}`, as planned"))
    for name, told in given.items():
        if name not in planned and name not in _OF_THE_MACHINE:
            yield fail(clip(name), clip(told), "not given, as planned")


def _of_this_run(evidence: Evidence, log: ServerLog | None) -> Iterator[Problem]:
    expected = f"{len(evidence.answered)} chat completions"
    if log is None or log.is_cut or not log.completions:
        reason = "no server log" if log is None else "more lines than are looked at"
        seen = reason if log is None or log.is_cut else "the log tells of no completion"
        yield unchecked(SERVER_LOG, seen, expected)
        return
    is_short = log.completions < len(evidence.answered)
    if is_short or log.completions > len(evidence.records):
        yield fail(SERVER_LOG, f"{log.completions} chat completions", expected)
    yield from _ends_with_the_run(evidence.document.clock, log.last_moment)


def _ends_with_the_run(clock: Clock, last_moment: str | None) -> Iterator[Problem]:
    """Hold the log's last time against the run's end, by whatever time zone the server has."""
    if last_moment is None:
        yield unchecked(SERVER_LOG, "no line bears a time", "times of this run")
        return
    try:
        end = datetime.fromisoformat(clock.end_utc)
        apart = min((moment - end for moment in _moments(last_moment, end.year)), key=abs)
    except ValueError as error:
        yield fail(SERVER_LOG, clip(error), "a date and a time")
        return
    early_s = -(apart.total_seconds() - round(apart / TIME_ZONES) * TIME_ZONES.total_seconds())
    if abs(apart) > FARTHEST_ZONE or not -LATE_S <= early_s <= QUIET_S:
        expected = f"within {QUIET_S} s of the run's end, {clip(clock.end_utc)}"
        yield fail(SERVER_LOG, f"its last line is of {clip(last_moment)}", expected)


def _moments(text: str, year: int) -> Iterator[datetime]:
    """Yield the times that one without a year may stand for, about the turn of a year too."""
    for each in (year - 1, year, year + 1):
        with suppress(ValueError):  # a 29th of February
            yield datetime.fromisoformat(f"{each:04}-{text.replace(' ', 'T')}+00:00")


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


def _planned(command: tuple[str, ...]) -> dict[str, str | None]:
    """Return the options of a command: name to its word, None for a flag without one."""
    found: dict[str, str | None] = {}
    last = None
    for word in command:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            last = name.replace("-", "_")
            if last.startswith("no_") and not equals:
                last, equals, value = last.removeprefix("no_"), "=", "False"
            found[last] = value if equals else None
        elif last is not None and found[last] is None:
            found[last] = word
    return {name: word for name, word in found.items() if name not in _OF_THE_MACHINE}


def _spellings(word: str | None) -> set[str]:
    """Return the JSON of every value that a word of a command line can stand for."""
    if word is None:
        return {"true"}
    found = {json.dumps(word, ensure_ascii=False), json.dumps([word], ensure_ascii=False)}
    if word in ("True", "False"):
        found.add(word.lower())
    for number in (int, float):
        with suppress(ValueError):
            found.add(json.dumps(number(word)))
    return found


def _context_limit(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    planned = _planned(engine.command).get("max_model_len")
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
    if model in _NOT_4_BIT:
        return
    wanted = _MARLIN.get(model)
    reason = unread(log)
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
