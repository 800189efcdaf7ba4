"""Words that are not redacted even if they are the name of a host or a user.

A host may be named `cuda` and a user `via`. To replace such words would make the logs and metrics
unreadable for the checks; and since they occur in every server's logs, they identify no one.
"""

from kit.bundle import redact
from kit.parse import vllm_metrics
from kit.plan.plan import Cell, Engine, Plan

_LINES = """
(APIServer pid=7) (EngineCore_DP0 pid=7) (Worker_TP0 pid=7) (VllmWorker pid=7) (MainProcess pid=7)
INFO WARNING [core.py] [loggers.py] [parallel_state.py] [httptools_impl.py] [h11_impl.py]
"POST /v1/chat/completions HTTP/1.1" 200 OK
Engine 000: Avg prompt throughput: tokens/s, Avg generation throughput: tokens/s
non-default args: {'model_tag': '/models', 'model': None, 'served_model_name': True, 'host': False}
{'port', 'block_size', 'dtype', 'max_model_len', 'max_num_seqs', 'enable_prompt_tokens_details'}
{'disable_custom_all_reduce', 'enable_chunked_prefill', 'gpu_memory_utilization'}
Initializing a V1 LLM engine (v0.17.0) with config: model= speculative_config=None tokenizer=
dtype=torch.bfloat16 dtype=torch.float16 dtype=torch.float32 max_seq_len= load_format=auto
tensor_parallel_size= pipeline_parallel_size= data_parallel_size= disable_custom_all_reduce=True
quantization=None awq_marlin compressed-tensors fp8 kv_cache_dtype=auto device_config=cuda cpu
enforce_eager=False trust_remote_code=False seed=0 enable_prefix_caching=True
enable_chunked_prefill=True
Resolved architecture: Qwen3MoeForCausalLM Qwen2ForCausalLM
GPU KV cache size: 1 tokens
Maximum concurrency for 1 tokens per request:
Model loading took 1 GiB
Available KV cache memory: 1 GiB
Using FLASH_ATTN FLASHINFER TRITON_ATTN FLEX_ATTENTION attention backend out of potential backends
Using MarlinLinearKernel for CompressedTensorsWNA16
Using CompressedTensorsWNA16MarlinMoEMethod
The model is convertible to awq_marlin during runtime. Using awq_marlin kernel.
Layer 'model.layers.0.mlp.down_proj' 'self_attn.o_proj' 'experts' is not supported by AWQMarlin
AWQMoeMarlin. Detected that the model can run with gptq_marlin awq_marlin, however
Registering 1 cuda graph addresses
vLLM is using nccl
world_size=1 rank=0 local_rank=0 distributed_init_method=tcp backend=nccl backend=gloo
CPU SHM communicator disabled for group tp
[Gloo] Rank 0 is connected to 0 peer ranks.
OMP tid: 1, core 1
NCCL version 2.27.5+cuda12.9
NCCL INFO Channel Ring -> [send] [receive] via
P2P/CUMEM/read P2P/IPC/read P2P/direct pointer P2P/indirect SHM/direct/direct SHM/CE/CE
direct shared memory NET/Socket/0 NET/IB/0/GDRDMA/Shared comm
NCCL INFO NCCL_DEBUG set by environment to INFO
NVL[48.0]
vllm:cache_config_info{block_size="16",cache_dtype="auto",cpu_kvcache_space_bytes="1",engine="0",
enable_prefix_caching="True",gpu_memory_utilization="0.9",num_gpu_blocks="1",
num_gpu_blocks_override="None"} vllm:e2e_request_latency_seconds_bucket{le="+Inf",model_name="moe"}
vllm:request_success_total{finished_reason="stop"} {finished_reason="length"}
moe dense mini server python
"""
"""Lines that `vllm_log`, `nccl_log` and `vllm_metrics` read, with the words around the values."""

_FIXED = "\n".join([_LINES, *vllm_metrics.COUNTERS]).lower()


def is_fixed(name: str) -> bool:
    """Return whether a name, in any case, is a word of every server's logs or metrics."""
    return redact.holds(_FIXED, name.lower())


def is_planned(name: str, plan: Plan) -> bool:
    """Return whether a name, in any case, is part of the plan of an engine that the kit starts.

    Those words are the kit's own, and the bundle contains them anyway. An endpoint's model is named
    by the user, and its log is not collected.
    """
    return plan.engine is not None and redact.holds(_words(plan.cell, plan.engine), name.lower())


def _words(cell: Cell, engine: Engine) -> str:
    """Return the words of a plan that a server logs; options also as argument names."""
    words = [cell.model, cell.topology, *engine.command]
    words += [word for pair in engine.environment for word in pair]
    as_arguments = [word.removeprefix("--").replace("-", "_") for word in words]
    return "\n".join([*words, *as_arguments]).lower()
