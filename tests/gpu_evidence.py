"""What an engine on GPUs would leave behind, written from the formats in the sources.

No GPU was seen. Server logs follow vLLM 0.17.0, NCCL's are the files of `tests/logs/`, and the
cards are two RTX 3090s as `tests/stand_in_nvml.c` tells of them.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from kit.bundle.telemetry import (
    ClockReason,
    End,
    GpuFacts,
    GpuSample,
    Header,
    Inventory,
    Reading,
    Source,
    Telemetry,
)
from kit.plan.plan import Engine
from kit.plan.topology import Device, Transport

LOGS = Path(__file__).parent / "logs"

GRAPH = b"node:41:41 [0] NCCL INFO                             + NVL[48.0] - GPU/0-b3000\n"
"""A line of NCCL's topology, of two cards that are linked (`src/graph/topo.cc`)."""

NCCL_LOGS = {
    Transport.NVLINK: (LOGS / "nccl-p2p.log").read_bytes() + GRAPH,
    Transport.SHARED_MEMORY: (LOGS / "nccl-shm.log").read_bytes(),
    Transport.SOCKET: (LOGS / "nccl-socket.log").read_bytes(),
}

MATRIX = (
    "\x1b[4mGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
    "GPU0\t X \tNV4\t0-15\t0\t\tN/A\nGPU1\tNV4\t X \t0-15\t0\t\tN/A\n\n"
    "Legend:\n\n  X    = Self\n  NV#  = Connection traversing a bonded set of # NVLinks"
)
"""What `nvidia-smi topo -m` prints of two cards with a bridge: its form is public."""

FIRST_RANK_PID = 41
"""Process id of the first of two ranks in those logs."""

_ENVIRONMENTS = {
    Transport.NVLINK: {},
    Transport.SHARED_MEMORY: {"NCCL_P2P_DISABLE": "1"},
    Transport.SOCKET: {"NCCL_NET": "Socket", "NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"},
}

_KERNELS = {
    "moe": (
        "[compressed_tensors_wNa16.py:112] Using MarlinLinearKernel for CompressedTensorsWNA16",
        "[compressed_tensors_moe.py:191] Using CompressedTensorsWNA16MarlinMoEMethod",
    ),
    "dense": (
        "[awq_marlin.py:162] The model is convertible to awq_marlin during runtime. Using ...",
    ),
}

_QUANTIZATIONS = {"moe": "compressed-tensors", "dense": "awq_marlin", "moe-fp8": "fp8"}


LONGEST = {("dense", 1): 8192}
"""By model and ranks, the context that a card has room for beside the weights."""


def gpu_engine(model: str, transport: Transport) -> Engine:
    """Return the engine of a GPU topology as its Compose file would describe it."""
    size = 1 if transport is Transport.NONE else 2
    environment = {"NCCL_DEBUG": "INFO", **_ENVIRONMENTS.get(transport, {})}
    return Engine(
        device=Device.GPU,
        tensor_parallel_size=size,
        transport=transport,
        command=(
            "vllm",
            "serve",
            f"/models/{model}",
            f"--served-model-name={model}",
            "--host=0.0.0.0",
            "--port=8000",
            f"--tensor-parallel-size={size}",
            f"--max-model-len={LONGEST.get((model, size), 32_768)}",
            "--max-num-seqs=4",
            "--gpu-memory-utilization=0.92",
            "--enable-chunked-prefill",
            "--disable-custom-all-reduce",
        ),
        environment=tuple(sorted(environment.items())),
    )


def server_log(
    engine: Engine,
    model: str,
    model_class: str | None,
    kv_tokens: int,
    held_gib: tuple[float, float] | None,
) -> bytes:
    """Return the log of a server that was started so, and chose as it should.

    `held_gib` are the weights of a rank and its cache: on CPU the log does not tell them.
    """
    on_gpu = engine.device is Device.GPU
    size, options = engine.tensor_parallel_size, _options(engine.command)
    context = options["max_model_len"]
    is_off = "disable_custom_all_reduce" in options
    dtype = options.get("dtype", "bfloat16")
    config = (
        f"model='<models>/{model}', speculative_config=None, tokenizer='<models>/{model}', "
        f"dtype=torch.{dtype}, max_seq_len={context}, load_format=auto, "
        f"tensor_parallel_size={size}, pipeline_parallel_size=1, data_parallel_size=1, "
        f"disable_custom_all_reduce={is_off}, "
        f"quantization={_QUANTIZATIONS.get(model) if on_gpu else None}, "
        f"enforce_eager=False, kv_cache_dtype=auto, device_config={'cuda' if on_gpu else 'cpu'}"
    )
    longest = int(str(context))
    limit = f"Maximum concurrency for {longest:,} tokens per request: {kv_tokens / longest:.2f}x"
    messages = [
        f"[utils.py:238] non-default args: {_non_default(options, model)}",
        *([f"[model.py:531] Resolved architecture: {model_class}"] if model_class else ()),
        f"[core.py:101] Initializing a V1 LLM engine (v0.17.0) with config: {config}",
        *(_KERNELS.get(model, ()) if on_gpu else ()),
        *(_held(held_gib) if on_gpu else ()),
        f"[kv_cache_utils.py:1314] GPU KV cache size: {kv_tokens:,} tokens",
        f"[kv_cache_utils.py:1319] {limit}",
    ]
    if engine.transport is Transport.GLOO:
        messages.append(
            "[cpu_communicator.py:42] CPU SHM communicator disabled for group tp:0: ranks do not "
            "share the same SHM group name, falling back to torch.distributed."
        )
    peers = f"[Gloo] Rank 0 is connected to {size - 1} peer ranks. Expected number of connected"
    lines = [f"(EngineCore_DP0 pid=7) INFO 03-06 12:00:00 {message}" for message in messages]
    lines += [line for rank in range(size) for line in _rank_lines(engine, rank)]
    return "\n".join([*lines, "" if on_gpu else peers, ""]).encode()


def _held(held_gib: tuple[float, float] | None) -> Iterator[str]:
    if held_gib is not None:
        weights, cache = held_gib
        told = f"{round(weights, 2)} GiB memory and 24.123456 seconds"
        yield f"[gpu_model_runner.py:4338] Model loading took {told}"
        yield f"[gpu_worker.py:424] Available KV cache memory: {round(cache, 2)} GiB"


def _rank_lines(engine: Engine, rank: int) -> Iterator[str]:
    """Yield what a rank writes of itself; one alone is the engine's own process.

    Its process id is the one of NCCL's logs in `tests/logs/`.
    """
    size = engine.tensor_parallel_size
    name, pid = (
        ("EngineCore_DP0", 7) if size == 1 else (f"VllmWorker-{rank}", FIRST_RANK_PID + rank)
    )
    place = f"({name} pid={pid}) INFO 03-06 12:00:00"
    backend = "nccl" if engine.device is Device.GPU else "gloo"
    if engine.device is Device.CPU:
        yield f"{place} [cpu_worker.py:90] \tOMP tid: {pid}, core {rank}"
    yield (
        f"{place} [parallel_state.py:1393] world_size={size} rank={rank} local_rank={rank} "
        f"distributed_init_method=tcp://127.0.0.1:5 backend={backend}"
    )
    if engine.device is Device.GPU and size > 1:
        yield f"{place} [pynccl.py:111] vLLM is using nccl==2.27.5"


def access_log(moments: Iterable[datetime]) -> bytes:
    """Return what a server writes of each chat completion, as it does in a container."""
    return b"".join(
        f"(MainProcess pid=8) INFO {moment:%m-%d %H:%M:%S} [httptools_impl.py:482] <ipv4>:36524 - "
        '"POST /v1/chat/completions HTTP/1.1" 200\n'.encode()
        for moment in moments
    )


def throughput_log(rates: Iterable[tuple[datetime, float]]) -> bytes:
    """Return what a server writes each ten seconds of the tokens that it generates in each."""
    return b"".join(
        f"(APIServer pid=8) INFO {moment:%m-%d %H:%M:%S} [loggers.py:259] Engine 000: "
        f"Avg prompt throughput: 9.1 tokens/s, Avg generation throughput: {rate:.1f} tokens/s, "
        "Running: 1 reqs\n".encode()
        for moment, rate in rates
    )


def telemetry_of(start_utc: str, end_s: float, **values: object) -> Telemetry:
    """Return two cards' telemetry over a run; `values` replace those of every reading."""
    facts = tuple(
        GpuFacts(
            index=index,
            name="NVIDIA GeForce RTX 3090",
            memory_bytes=24 * 2**30,
            compute_capability="8.6",
            power_limit_w=350.0,
            power_default_limit_w=350.0,
            pcie_generation_max=4,
            pcie_width_max=16,
            nvlink_links_active=4,
            nvlink_link_gb_s=14.062,
        )
        for index in (0, 1)
    )
    inventory = Inventory(source=Source.NVML, driver_version="570.133.20", gpus=facts)
    times_s = [round(0.1 * step, 6) for step in range(int(end_s / 0.1) + 1)]
    return Telemetry(
        header=Header(
            schema_version=1, t_s=0.0, utc=start_utc, interval_s=0.1, inventory=inventory
        ),
        samples=tuple(
            GpuSample(t_s=t_s, gpus=tuple(_reading(index, values) for index in (0, 1)))
            for t_s in times_s
        ),
        end=End(t_s=end_s, utc=_later(start_utc, end_s)),
    )


def _later(utc: str, seconds: float) -> str:
    return f"{datetime.fromisoformat(utc) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def _reading(index: int, values: dict[str, object]) -> Reading:
    usual = {
        "sm_clock_mhz": 1695,
        "memory_clock_mhz": 9501,
        "utilization_percent": 96,
        "power_w": 349.25,
        "temperature_c": 71,
        "memory_used_bytes": 22 * 2**30,
        "clock_reasons": (ClockReason.SW_POWER_CAP,),
        "pcie_generation": 4,
        "pcie_width": 16,
    }
    return Reading(index=index, **(usual | values))  # type: ignore[arg-type]  # fields by name


def _options(command: tuple[str, ...]) -> dict[str, object]:
    words = [word.removeprefix("--").partition("=") for word in command if word.startswith("--")]
    return {name.replace("-", "_"): value or True for name, _, value in words}


def _non_default(options: dict[str, object], model: str) -> dict[str, object]:
    """Return what vLLM prints: numbers as such, and nothing that is at its default."""
    told: dict[str, object] = {"model_tag": f"<models>/{model}", "port": 41789}
    for name, value in options.items():
        if name in ("host", "port") or (name, value) == ("tensor_parallel_size", "1"):
            continue
        told[name] = [value] if name == "served_model_name" else value
        if isinstance(value, str) and value.replace(".", "", 1).isdigit():
            told[name] = json.loads(value)
    return told
