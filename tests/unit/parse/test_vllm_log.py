"""The log of vLLM 0.17.0: a real one of its CPU build, and GPU lines from its sources."""

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.parse import vllm_config, vllm_log
from kit.parse.vllm_log import ServerLog, World

LOGS = Path(__file__).parents[2] / "logs"
PLACE = "INFO 03-07 10:00:01 [a_file.py:1] "


def log(name: str) -> ServerLog:
    return vllm_log.read((LOGS / f"{name}.log").read_bytes())


def one(message: str, prefix: str = "") -> ServerLog:
    return vllm_log.read(f"{prefix}{PLACE}{message}\n".encode())


def test_a_real_log_of_the_cpu_build() -> None:
    found = log("server-real-cpu-tp1")
    assert found.engine_versions == ("0.17.0",)
    assert found.context_limits == (4096,)
    assert found.kv_cache_tokens == (699_040,)
    assert found.worlds == (World(size=1, backend="gloo"),)
    assert found.gloo_peers == (0,)
    assert found.custom_all_reduce_disabled == (True,)
    assert (found.kernels, found.graph_registrations, found.cpu_shm_disabled) == ((), (), False)
    (arguments,) = found.arguments
    assert arguments is not None
    told = dict(arguments)
    assert told["max_model_len"] == "4096"
    assert told["served_model_name"] == '["moe-mini"]'
    assert told["dtype"] == '"bfloat16"'
    assert told["disable_custom_all_reduce"] == "true"
    assert "tensor_parallel_size" not in told


def test_a_real_engine_names_its_model_and_its_process() -> None:
    """The lines are those of a bundle of the community, measured without a GPU."""
    path = next((Path(__file__).parents[3] / "results/community").glob("*-moe-mini-*"))
    log = gzip.decompress((path / "data/server.log.gz").read_bytes())
    found = vllm_log.read(log)
    assert found.models == ("<state>/models/moe-mini",)
    assert found.architectures == ("Qwen3MoeForCausalLM",)
    assert dict(found.settings) == {
        "speculative_config": "None",
        "dtype": "torch.bfloat16",
        "load_format": "auto",
        "tensor_parallel_size": "1",
        "pipeline_parallel_size": "1",
        "data_parallel_size": "1",
        "quantization": "None",
        "kv_cache_dtype": "auto",
        "enforce_eager": "False",
        "trust_remote_code": "False",
        "seed": "0",
        "enable_prefix_caching": "True",
        "enable_chunked_prefill": "True",
    }
    (pid,) = found.rank_pids
    assert f"(EngineCore_DP0 pid={pid}) ".encode() in log


def test_two_ranks_in_a_container_name_their_processes() -> None:
    """Real lines of a rehearsal in a container, with the kit's own logging configuration."""
    found = vllm_log.read(
        b"(VllmWorker-0 pid=139) INFO 11-25 23:16:17 [cpu_worker.py:90] \tOMP tid: 139, core 0\n"
        b"(VllmWorker-0 pid=139) INFO 11-25 23:16:17 [parallel_state.py:1393] world_size=2 rank=0 "
        b"local_rank=0 distributed_init_method=tcp://127.0.0.1:37531 backend=gloo\n"
        b"(VllmWorker-1 pid=140) INFO 11-25 23:16:17 [cpu_worker.py:90] \tOMP tid: 140, core 1\n"
        b"(VllmWorker-1 pid=140) INFO 11-25 23:16:17 [parallel_state.py:1393] world_size=2 rank=1 "
        b"local_rank=1 distributed_init_method=tcp://127.0.0.1:37531 backend=gloo\n"
        b"(EngineCore_DP0 pid=98) INFO 11-25 23:16:18 [kv_cache_utils.py:1314] GPU KV cache size: "
        b"4,194,304 tokens\n"
    )
    assert found.rank_pids == (139, 140)


@pytest.mark.parametrize(
    ("config", "models", "settings"),
    [
        (
            "model='/m/a', speculative_config=None, tokenizer='/m/b'",
            ("/m/a", "/m/b"),
            {"speculative_config": "None"},
        ),
        ('model="/o\'neil/a", tokenizer=None', (), {}),
        (
            "speculative_config=SpeculativeConfig(m='x', n=2)",
            (),
            {"speculative_config": "SpeculativeConfig(m='x'"},
        ),
        ("served_model_name='a', dtype=torch.int4", (), {"dtype": "torch.int4"}),
        ("kv_cache_dtype=auto, x=Y(kv_cache_dtype=fp8)", (), {"kv_cache_dtype": "auto"}),
    ],
)
def test_what_the_engine_was_made_of(
    config: str, models: tuple[str, ...], settings: dict[str, str]
) -> None:
    found = one(f"Initializing a V1 LLM engine (v0.17.0) with config: {config}")
    assert (found.models, dict(found.settings)) == (models, settings)


def test_gpu_lines_of_the_moe_model() -> None:
    found = log("server-gpu-moe")
    assert found.kernels == ("MarlinLinearKernel", "CompressedTensorsWNA16MarlinMoEMethod")
    assert found.attention_backends == ("FLASH_ATTN",)
    assert found.model_gib == (8.55,)
    assert found.nccl_versions == ("2.27.5",)
    assert found.worlds == (World(size=2, backend="nccl"),)
    assert found.context_limits == (131_072,)
    assert (found.fallbacks, found.graph_registrations) == ((), ())
    (arguments,) = found.arguments
    assert dict(arguments or ())["gpu_memory_utilization"] == "0.92"


def test_gpu_lines_of_the_dense_model_without_a_prefix() -> None:
    found = log("server-gpu-dense")
    assert found.kernels == ("awq_marlin",)
    assert found.fallbacks == (
        "Layer 'model.layers.0.mlp.down_proj' is not supported by AWQMarlin",
    )
    assert found.model_gib == (18.15,)
    assert found.graph_registrations == (4515,)
    assert found.custom_all_reduce_disabled == (False,)


@pytest.mark.parametrize(
    "prefix", ["", "(EngineCore_DP0 pid=12) ", "(Worker_TP0 pid=1) ", "(APIServer pid=9) "]
)
def test_the_prefix_of_a_process_may_be_there_or_not(prefix: str) -> None:
    assert one("GPU KV cache size: 1,234 tokens", prefix).kv_cache_tokens == (1234,)


@pytest.mark.parametrize(
    ("message", "kernels", "fallbacks"),
    [
        ("Using MacheteLinearKernel for CompressedTensorsWNA16", ("MacheteLinearKernel",), 0),
        (
            "Using CompressedTensorsWNA16MoEMethod",
            ("CompressedTensorsWNA16MoEMethod",),
            0,
        ),
        ("The model is convertible to awq_marlin during runtime. Using ...", ("awq_marlin",), 0),
        ("Layer 'a.b' is not supported by AWQMoeMarlin. Falling back to Moe WNA16 kernels.", (), 1),
        (
            "Detected that the model can run with awq_marlin, however you specified another",
            (),
            1,
        ),
        ("Using FLASH_ATTN attention backend", (), 0),
    ],
)
def test_kernels_good_and_bad(message: str, kernels: tuple[str, ...], fallbacks: int) -> None:
    found = one(message)
    assert found.kernels == kernels
    assert len(found.fallbacks) == fallbacks


def test_two_ranks_over_gloo_without_shared_memory() -> None:
    """The first line's form is real; with two ranks it was not at hand as a file."""
    found = vllm_log.read(
        b"[Gloo] Rank 1 is connected to 1 peer ranks. Expected number of connected peer ranks "
        b"is : 1\n(Worker_TP0 pid=4) INFO 11-25 12:29:32 [cpu_communicator.py:42] CPU SHM "
        b"communicator disabled for group tp:0: ranks do not share the same SHM group name, "
        b"falling back to torch.distributed.\n"
    )
    assert found.gloo_peers == (1,)
    assert found.cpu_shm_disabled


def test_another_releases_log_tells_its_version_and_little_else() -> None:
    found = one("Initializing a V2 LLM engine (v1.2.3) with config: model='x'")
    assert found.engine_versions == ()
    assert one("Initializing a V1 LLM engine (v0.18.1) with config: x").engine_versions == (
        "0.18.1",
    )
    assert vllm_log.read(b"INFO serving\n").arguments == ()


@pytest.mark.parametrize(
    "text",
    [
        "{'a': <X.Y: 1>}",
        "{'a': b'x'}",
        "{'a': 'it\\'s'}",
        "{'a': X(b=1)}",
        "{'a': 1",
        "[1]",
        "{'a': 00}",
        "{1: 2}",
        "[" * 9000,
        "{'a': " * 2000,
        "{'a': '" + "x" * vllm_config.ARGUMENTS_LIMIT_BYTES + "'}",
        "",
    ],
)
def test_arguments_that_are_not_plain_values_are_not_guessed(text: str) -> None:
    assert one(f"non-default args: {text}").arguments == (None,)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8", exclude_characters="'\"\\")).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.from_regex(r"\A[a-z_]{1,20}\Z"), plain, max_size=6))
def test_plain_arguments_are_read_back(given: dict[str, object]) -> None:
    (arguments,) = one(f"non-default args: {given}").arguments
    assert arguments is not None
    assert {name: json.loads(value) for name, value in arguments} == given


@given(st.binary(max_size=500))
def test_any_bytes_can_be_read(text: bytes) -> None:
    before = (LOGS / "server-gpu-moe.log").read_bytes()
    assert vllm_log.read(before + text).engine_versions[:1] == ("0.17.0",)


def test_more_than_is_looked_at_is_said() -> None:
    lines = [f"{PLACE}GPU KV cache size: {n} tokens\n" for n in range(vllm_log.DISTINCT_LIMIT)]
    assert not vllm_log.read("".join(lines * 2).encode()).is_cut
    lines.append(f"{PLACE}GPU KV cache size: 99999 tokens\n")
    assert vllm_log.read("".join(lines).encode()).is_cut
    assert vllm_log.read(b" " * (vllm_log.LOG_LIMIT_BYTES + 1)).is_cut


@pytest.mark.parametrize("lines", ["{{'a': {n}}}", "{{'a': 1{spaces}}}", "{{'a': '{n}', b}}"])
def test_arguments_are_read_a_few_times_and_no_more(lines: str) -> None:
    """Also where all tell the same, or nothing: each takes as long."""
    told = [lines.format(n=n, spaces=" " * n) for n in range(vllm_log.LONG_LIMIT + 1)]
    texts = [f"{PLACE}non-default args: {one}\n" for one in told]
    enough = vllm_log.read("".join(texts[:-1] * 2).encode())
    more = vllm_log.read("".join([*texts, f"{PLACE}non-default args: {{'b': 2}}\n"]).encode())
    assert (enough.is_cut, more.is_cut) == (False, True)
    assert enough.arguments == more.arguments


def test_configurations_are_read_a_few_times_and_no_more() -> None:
    config = f"{PLACE}Initializing a V1 LLM engine (v0.17.0) with config: max_seq_len="
    log = "".join(f"{config}{n}\n" for n in range(vllm_log.LONG_LIMIT + 1))
    found = vllm_log.read(log.encode())
    assert found.context_limits == tuple(range(vllm_log.LONG_LIMIT))
    assert found.is_cut


@pytest.mark.parametrize(
    "piece",
    [b"] ", b"]", b"\n", b"] Using ", b"] Using A", b"] world_size=", b"] non-default args: {'a':",
     b"] Layer '", b"[Gloo] Rank ", b" pid=1) INFO 1 [", b"\tOMP tid: 1, ", b" pid=",
     b", model='", b"] Initializing a V1 LLM engine (v0"],
)  # fmt: skip
def test_hostile_text_takes_linear_time(piece: bytes) -> None:
    began = time.process_time()
    vllm_log.read(piece * (2**20 // len(piece)))
    assert time.process_time() - began < 5
