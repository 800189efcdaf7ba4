"""Ways to tamper with what logs say of model, engine and ranks, each with the code that names it.

As `tampering.py`. Lines that only a GPU writes are from the sources: see `tests/gpu_evidence.py`.
"""

import re

from msgspec.structs import replace

from kit.plan import plan
from kit.plan.plan import Choices
from tests.cases.topologies import respelled
from tests.factory import ENGINES, MODELS, SUITE, Draft


def another_model_by_the_log(made: Draft) -> None:
    respelled(made, b"<models>/tiny", b"<models>/tinyllama-15m")


def another_architecture_by_the_log(made: Draft) -> None:
    respelled(made, b"Qwen3MoeForCausalLM", b"LlamaForCausalLM")


def more_cache_than_a_card_holds(made: Draft) -> None:
    respelled(made, b"123,456 tokens", b"99,999,999 tokens")


def less_cache_than_one_request_takes(made: Draft) -> None:
    respelled(made, b"123,456 tokens", b"16,384 tokens")
    respelled(made, b"3.77x", b"0.50x")


def ranks_that_talk_over_gloo(made: Draft) -> None:
    respelled(made, b"backend=nccl", b"backend=gloo")


def one_rank_of_two(made: Draft) -> None:
    respelled(made, b"world_size=2", b"world_size=1")


def a_cache_of_smaller_values(made: Draft) -> None:
    respelled(made, b"kv_cache_dtype=auto", b"kv_cache_dtype=fp8_e4m3")


def no_cuda_graphs(made: Draft) -> None:
    respelled(made, b"enforce_eager=False", b"enforce_eager=True")


def another_tokenizer_by_the_log(made: Draft) -> None:
    respelled(made, b"tokenizer='<models>/moe'", b"tokenizer='<models>/other'")


def tokens_guessed_ahead(made: Draft) -> None:
    respelled(made, b"speculative_config=None", b"speculative_config=SpeculativeConfig(method='x')")


def weights_that_were_made_up(made: Draft) -> None:
    respelled(made, b"load_format=auto", b"load_format=dummy")


def weights_that_were_quantized(made: Draft) -> None:
    respelled(made, b"quantization=None", b"quantization=fp8")


def weights_of_another_quantization(made: Draft) -> None:
    respelled(made, b"quantization=compressed-tensors", b"quantization=gguf")


def weights_that_are_not_quantized(made: Draft) -> None:
    respelled(made, b"quantization=fp8", b"quantization=None")


def more_engines_than_planned(made: Draft) -> None:
    respelled(made, b"data_parallel_size=1", b"data_parallel_size=4")


def four_bits_sold_as_eight(made: Draft) -> None:
    """A run of the 4-bit model with another plan, and the one word of its log that names it."""
    planned = plan.plan_engine(
        MODELS["moe-fp8"], ENGINES["tp2-nvlink", "moe-fp8"], "tp2-nvlink", SUITE, Choices(passes=3)
    )
    made.document = replace(made.document, plan=planned, plan_digest=planned.digest())
    assert made.server_log is not None
    made.server_log = re.sub(rb"(['/])moe'", rb"\1moe-fp8'", made.server_log)


def the_nccl_log_of_another_run(made: Draft) -> None:
    """Of the same topology, so that every channel is as it should be."""
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(b"node:41:41", b"node:57:57").replace(
        b"node:42:42", b"node:58:58"
    )


def the_nccl_log_of_one_rank_of_another_run(made: Draft) -> None:
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(b"node:42:42", b"node:58:58")


def an_engine_that_was_started_again(made: Draft) -> None:
    assert made.server_log is not None
    made.server_log += re.sub(rb"pid=7\)", b"pid=907)", made.server_log)


def the_nccl_log_of_another_release(made: Draft) -> None:
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(b"NCCL version 2.27.5", b"NCCL version 2.21.5")


def a_log_of_another_day_without_completions(made: Draft) -> None:
    assert made.server_log is not None
    lines = made.server_log.splitlines(keepends=True)
    kept = b"".join(line for line in lines if b"POST /v1/chat/completions" not in line)
    made.server_log = kept.replace(b"INFO 03-06 ", b"INFO 11-25 ")
