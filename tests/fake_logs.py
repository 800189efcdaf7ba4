"""The logs that a simulated run leaves: the server's, and NCCL's.

No GPU was used. Lines that only a GPU engine writes follow the sources of vLLM 0.17.0; NCCL's are
the files of `tests/logs/`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from kit.bundle.record import Record
from kit.plan.plan import Engine
from kit.plan.topology import Device, Transport
from kit.roofline.model import step_bytes
from tests.catalog import options_of
from tests.settings import START, Settings

LOGS = Path(__file__).parent / "logs"

GRAPH = b"node:41:41 [0] NCCL INFO                             + NVL[48.0] - GPU/0-b3000\n"
"""A line of NCCL's topology, of two cards that are linked (`src/graph/topo.cc`)."""

NCCL_LOGS = {
    Transport.NVLINK: (LOGS / "nccl-p2p.log").read_bytes() + GRAPH,
    Transport.SHARED_MEMORY: (LOGS / "nccl-shm.log").read_bytes(),
    Transport.SOCKET: (LOGS / "nccl-socket.log").read_bytes(),
}
FIRST_RANK_PID = 41
"""Process id of the first of two ranks in those files."""

PLACE = "INFO 03-06 12:00:00"
"""Level and time, as vLLM begins the lines of its start."""

ARCHITECTURES = {"qwen3_moe": "Qwen3MoeForCausalLM", "qwen2": "Qwen2ForCausalLM"}
QUANTIZATIONS = {"moe": "compressed-tensors", "dense": "awq_marlin", "moe-fp8": "fp8"}
KERNELS = {
    "moe": (
        "[compressed_tensors_wNa16.py:112] Using MarlinLinearKernel for CompressedTensorsWNA16",
        "[compressed_tensors_moe.py:191] Using CompressedTensorsWNA16MarlinMoEMethod",
    ),
    "dense": (
        "[awq_marlin.py:162] The model is convertible to awq_marlin during runtime. Using ...",
    ),
}


def server_log(
    settings: Settings, records: Sequence[Record], kv_tokens: int | None = None
) -> bytes:
    """Return the log of a server that started with these settings and answered these records."""
    answered = [record for record in records if record.error is None]
    ends_s = [record.sent_s + record.wall_s for record in answered]
    every_ten_s = range(10, int(max(ends_s, default=0)) + 1, 10)
    rates = [(START + timedelta(seconds=at_s), _rate(answered, at_s)) for at_s in every_ten_s]
    log = (
        _start(settings, kv_tokens or settings.kv_tokens)
        + throughput_log(rates)
        + access_log(START + timedelta(seconds=end_s) for end_s in ends_s)
    )
    return log.replace(b"pid=8", b"pid=%d" % (8 + settings.seed))  # each start has its own


def access_log(moments: Iterable[datetime]) -> bytes:
    """Return the lines that a server in a container writes for each chat completion."""
    return b"".join(
        f"(MainProcess pid=8) INFO {moment:%m-%d %H:%M:%S} [httptools_impl.py:482] <ipv4>:36524 - "
        '"POST /v1/chat/completions HTTP/1.1" 200\n'.encode()
        for moment in moments
    )


def throughput_log(rates: Iterable[tuple[datetime, float]]) -> bytes:
    """Return the lines that a server writes every ten seconds, with its tokens per second."""
    return b"".join(
        f"(APIServer pid=8) INFO {moment:%m-%d %H:%M:%S} [loggers.py:259] Engine 000: "
        f"Avg prompt throughput: 9.1 tokens/s, Avg generation throughput: {rate:.1f} tokens/s, "
        "Running: 1 reqs\n".encode()
        for moment, rate in rates
    )


def _rate(records: Iterable[Record], at_s: float) -> float:
    """Return the tokens per second of the last ten, as if each response came evenly."""
    tokens = 0.0
    for record in records:
        since_s, until_s = max(record.sent_s, at_s - 10), min(record.sent_s + record.wall_s, at_s)
        tokens += (record.completion_tokens or 0) * max(0.0, until_s - since_s) / record.wall_s
    return tokens / 10


def _start(settings: Settings, kv_tokens: int) -> bytes:
    """Return what a server writes until it is ready."""
    engine = settings.engine
    ranks = engine.tensor_parallel_size
    messages = list(_core_messages(settings, kv_tokens))
    if engine.transport is Transport.GLOO:
        messages.append(
            "[cpu_communicator.py:42] CPU SHM communicator disabled for group tp:0: ranks do not "
            "share the same SHM group name, falling back to torch.distributed."
        )
    peers = f"[Gloo] Rank 0 is connected to {ranks - 1} peer ranks. Expected number of connected"
    lines = [f"(EngineCore_DP0 pid=7) {PLACE} {message}" for message in messages]
    lines += [line for rank in range(ranks) for line in _rank_lines(engine, rank)]
    return "\n".join([*lines, "" if engine.device is Device.GPU else peers, ""]).encode()


def _core_messages(settings: Settings, kv_tokens: int) -> Iterator[str]:
    """Yield what the engine's core writes of arguments, model, kernels and memory."""
    engine, model = settings.engine, settings.model
    on_gpu = engine.device is Device.GPU
    options = options_of(engine)
    context_limit = int(options["max_model_len"])
    architecture = settings.catalog.models[model].config.get("model_type", "")
    yield f"[utils.py:238] non-default args: {_non_default(options, model)}"
    if architecture in ARCHITECTURES:
        yield f"[model.py:531] Resolved architecture: {ARCHITECTURES[architecture]}"
    yield f"[core.py:101] Initializing a V1 LLM engine (v0.17.0) with config: {_config(settings)}"
    if on_gpu:
        yield from KERNELS.get(model, ())
        yield from _memory_messages(settings, kv_tokens)
    yield f"[kv_cache_utils.py:1314] GPU KV cache size: {kv_tokens:,} tokens"
    yield (
        f"[kv_cache_utils.py:1319] Maximum concurrency for {context_limit:,} tokens per request: "
        f"{kv_tokens / context_limit:.2f}x"
    )


def _config(settings: Settings) -> str:
    engine, model = settings.engine, settings.model
    on_gpu = engine.device is Device.GPU
    options = options_of(engine)
    return (
        f"model='<models>/{model}', speculative_config=None, tokenizer='<models>/{model}', "
        f"dtype=torch.{options.get('dtype', 'bfloat16')}, max_seq_len={options['max_model_len']}, "
        f"load_format=auto, tensor_parallel_size={engine.tensor_parallel_size}, "
        "pipeline_parallel_size=1, data_parallel_size=1, "
        f"disable_custom_all_reduce={'disable_custom_all_reduce' in options}, "
        f"quantization={QUANTIZATIONS.get(model) if on_gpu else None}, "
        f"enforce_eager={options.get('enforce_eager') == ''}, kv_cache_dtype=auto, "
        f"device_config={'cuda' if on_gpu else 'cpu'}"
    )


def _memory_messages(settings: Settings, kv_tokens: int) -> Iterator[str]:
    """Yield a rank's share of weights and cache, where the model's shape is known."""
    shape = settings.shape
    if shape is None:
        return
    rank_gib = settings.engine.tensor_parallel_size * 2**30
    # The embedding has as many weights as the output, and no step reads it.
    weights = step_bytes(shape, shape.experts) + shape.output_weights * shape.plain_bytes
    cache_gib = kv_tokens * shape.kv_bytes_per_token / rank_gib
    yield (
        f"[gpu_model_runner.py:4338] Model loading took {round(weights / rank_gib, 2)} GiB memory "
        "and 24.123456 seconds"
    )
    yield f"[gpu_worker.py:424] Available KV cache memory: {round(cache_gib, 2)} GiB"


def _rank_lines(engine: Engine, rank: int) -> Iterator[str]:
    """Yield what a rank writes of itself; one alone is the engine's own process."""
    ranks = engine.tensor_parallel_size
    name, pid = ("EngineCore_DP0", 7)
    if ranks > 1:
        name, pid = f"VllmWorker-{rank}", FIRST_RANK_PID + rank
    place = f"({name} pid={pid}) {PLACE}"
    on_gpu = engine.device is Device.GPU
    if not on_gpu:
        yield f"{place} [cpu_worker.py:90] \tOMP tid: {pid}, core {rank}"
    yield (
        f"{place} [parallel_state.py:1393] world_size={ranks} rank={rank} local_rank={rank} "
        f"distributed_init_method=tcp://127.0.0.1:5 backend={'nccl' if on_gpu else 'gloo'}"
    )
    if on_gpu and ranks > 1:
        yield f"{place} [pynccl.py:111] vLLM is using nccl==2.27.5"


AT_THEIR_DEFAULT = (("tensor_parallel_size", "1"), ("enforce_eager", "False"))


def _non_default(options: Mapping[str, str], model: str) -> dict[str, object]:
    """Return the arguments as vLLM prints them: numbers as such, and no defaults."""
    arguments: dict[str, object] = {"model_tag": f"<models>/{model}", "port": 41789}
    for name, value in options.items():
        if name in ("host", "port") or (name, value) in AT_THEIR_DEFAULT:
            continue
        if name == "served_model_name":
            arguments[name] = [value]
        elif value in ("", "False"):
            arguments[name] = not value
        elif value.replace(".", "", 1).isdigit():
            arguments[name] = json.loads(value)
        else:
            arguments[name] = value
    return arguments
