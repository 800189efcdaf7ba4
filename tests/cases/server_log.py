"""Cases that tamper with the server's log. Its GPU lines are written from vLLM's sources."""

import re

from msgspec.structs import replace

from kit.plan import plan
from kit.plan.plan import Choices
from tests.cases.case import edit, forged, group
from tests.cases.runs import (
    CPU,
    CPU_IN_CONTAINERS,
    CPU_TWO_RANKS,
    DENSE_PCIE,
    FP8,
    NVLINK,
    PCIE,
    TP1,
)
from tests.catalog import ENGINES, MODELS, SUITE
from tests.edits.logs import append_server_log, edit_server_log
from tests.factory import Draft
from tests.fake_logs import access_log
from tests.settings import START

POST = b"POST /v1/chat/completions"
ALL_REDUCE_LINE = (
    b"INFO 03-06 12:00:00 [custom_all_reduce.py:216] Registering 97 cuda graph addresses\n"
)
NOT_MARLIN_LINE = (
    b"WARNING 03-06 12:00:00 [a.py:1] Layer 'x' is not supported by AWQMarlin. Falling\n"
)


def drop_server_log(draft: Draft) -> None:
    """Remove the log."""
    draft.server_log = None


def drop_last_line(draft: Draft) -> None:
    """Remove the last line."""
    assert draft.server_log is not None
    *rest, _last = draft.server_log.splitlines(keepends=True)
    draft.server_log = b"".join(rest)


def drop_lines(draft: Draft, text: bytes) -> None:
    """Remove the lines that contain some text."""
    assert draft.server_log is not None
    lines = draft.server_log.splitlines(keepends=True)
    draft.server_log = b"".join(line for line in lines if text not in line)


def start_again(draft: Draft) -> None:
    """Add the log of a second start, of other processes."""
    assert draft.server_log is not None
    append_server_log(draft, re.sub(rb"pid=7\)", b"pid=907)", draft.server_log))


def call_four_bits_eight(draft: Draft) -> None:
    """Give a run of the 4-bit model the plan of the 8-bit one, and its name in the log."""
    planned = plan.plan_engine(
        MODELS["moe-fp8"], ENGINES["tp2-nvlink", "moe-fp8"], "tp2-nvlink", SUITE, Choices(passes=3)
    )
    draft.document = replace(draft.document, plan=planned, plan_digest=planned.digest())
    assert draft.server_log is not None
    draft.server_log = re.sub(rb"(['/])moe'", rb"\1moe-fp8'", draft.server_log)


SERVER_LOG_TIMES = group(
    "The server's log: which run it is of",
    forged("The log is missing", "protocol-evidence", drop_server_log),
    forged("The log is of another release of vLLM", "topology-engine-version",
           edit(edit_server_log, b"(v0.17.0)", b"(v0.18.1)")),
    forged("The log is of another day, and has no completions", "topology-log",
           edit(drop_lines, POST), edit(edit_server_log, b"INFO 03-06 ", b"INFO 11-25 "),
           runs=(CPU, CPU_IN_CONTAINERS)),
    forged("The log has nine responses more than there are records", "topology-log",
           edit(append_server_log, access_log([START] * 9))),
    forged("The log has one response fewer than there are records", "topology-log",
           drop_last_line, runs=(CPU_IN_CONTAINERS,)),
    forged("The log has a second start of the engine", "topology-log", start_again),
)  # fmt: skip

SERVER_LOG_SETTINGS = group(
    "The server's log: model, device, arguments, kernels",
    forged("The server loaded another model", "topology-model",
           edit(edit_server_log, b"<models>/tiny", b"<models>/tinyllama-15m")),
    forged("The server loaded another tokenizer", "topology-model",
           edit(edit_server_log, b"tokenizer='<models>/moe'", b"tokenizer='<models>/other'"),
           runs=(TP1,)),
    forged("The server resolved another architecture", "topology-model",
           edit(edit_server_log, b"Qwen3MoeForCausalLM", b"LlamaForCausalLM"), runs=(PCIE,)),
    forged("The KV cache has more tokens than a card has memory for", "topology-model",
           edit(edit_server_log, b"123,456 tokens", b"99,999,999 tokens"), runs=(NVLINK,)),
    forged("The KV cache has fewer tokens than one request may take", "topology-model",
           edit(edit_server_log, b"123,456 tokens", b"16,384 tokens"),
           edit(edit_server_log, b"3.77x", b"0.50x"), runs=(PCIE,)),
    forged("The context limit is 8,192 tokens", "topology-context-limit",
           edit(edit_server_log, b"Maximum concurrency for 32,768",
                b"Maximum concurrency for 8,192"), runs=(PCIE,)),
    forged("The engine runs on CPU in place of GPUs", "topology-device",
           edit(edit_server_log, b"device_config=cuda", b"device_config=cpu"), runs=(PCIE,)),
    forged("The server was started with a flag that is not planned", "topology-arguments",
           edit(edit_server_log, b"non-default args: {",
                b"non-default args: {'enforce_eager': True, ")),
    forged("The server was started without a planned flag", "topology-arguments",
           edit(edit_server_log, b", 'gpu_memory_utilization': 0.92", b""), runs=(PCIE,)),
    forged("The server was started with another value of a flag", "topology-arguments",
           edit(edit_server_log, b"'max_num_seqs': 4", b"'max_num_seqs': 256"), runs=(PCIE,)),
    forged("The KV cache holds FP8 values", "topology-arguments",
           edit(edit_server_log, b"kv_cache_dtype=auto", b"kv_cache_dtype=fp8_e4m3"), runs=(TP1,)),
    forged("CUDA graphs are off", "topology-arguments",
           edit(edit_server_log, b"enforce_eager=False", b"enforce_eager=True"), runs=(PCIE,)),
    forged("Speculative decoding is on", "topology-arguments",
           edit(edit_server_log, b"speculative_config=None",
                b"speculative_config=SpeculativeConfig(method='x')")),
    forged("The weights are vLLM's dummy weights", "topology-arguments",
           edit(edit_server_log, b"load_format=auto", b"load_format=dummy"), runs=(PCIE,)),
    forged("The weights are quantized to FP8, where they should not be", "topology-arguments",
           edit(edit_server_log, b"quantization=None", b"quantization=fp8")),
    forged("The weights have another quantization", "topology-arguments",
           edit(edit_server_log, b"quantization=compressed-tensors", b"quantization=gguf"),
           runs=(TP1,)),
    forged("The weights are not quantized, where they should be", "topology-arguments",
           edit(edit_server_log, b"quantization=fp8", b"quantization=None"), runs=(FP8,)),
    forged("Four engines share the requests, not one", "topology-arguments",
           edit(edit_server_log, b"data_parallel_size=1", b"data_parallel_size=4"), runs=(NVLINK,)),
    forged("A CPU engine's ranks use MPI", "topology-transport",
           edit(edit_server_log, b"backend=gloo", b"backend=mpi"), runs=(CPU_TWO_RANKS,)),
    forged("A GPU engine's ranks use Gloo", "topology-transport",
           edit(edit_server_log, b"backend=nccl", b"backend=gloo"), runs=(NVLINK,)),
    forged("There is one rank in place of two", "topology-transport",
           edit(edit_server_log, b"world_size=2", b"world_size=1"), runs=(CPU_TWO_RANKS, PCIE)),
    forged("vLLM's custom all-reduce is in use", "topology-all-reduce",
           edit(append_server_log, ALL_REDUCE_LINE), runs=(PCIE,)),
    forged("vLLM's custom all-reduce is not disabled", "topology-all-reduce",
           edit(edit_server_log, b"disable_custom_all_reduce=True",
                b"disable_custom_all_reduce=False"), runs=(NVLINK,)),
    forged("The MoE layers do not run on Marlin kernels", "topology-kernels",
           edit(edit_server_log, b"CompressedTensorsWNA16MarlinMoEMethod",
                b"CompressedTensorsWNA16MoEMethod"), runs=(PCIE,)),
    forged("The linear layers do not run on Marlin kernels", "topology-kernels",
           edit(edit_server_log, b"MarlinLinearKernel", b"ExllamaLinearKernel"), runs=(PCIE,)),
    forged("One layer of the dense model does not run on Marlin kernels", "topology-kernels",
           edit(append_server_log, NOT_MARLIN_LINE), runs=(DENSE_PCIE,)),
    forged("A run of the 4-bit model has the plan of the FP8 model, and its name in the log",
           "topology-kernels",
           call_four_bits_eight, runs=(NVLINK,)),
)  # fmt: skip
