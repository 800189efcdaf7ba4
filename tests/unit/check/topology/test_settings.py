"""What the server's log says of its start. GPU lines come from the sources: no GPU was seen."""

import re

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from kit.edge.files import checkout
from kit.errors import ExitCode
from tests.edits.logs import edit_server_log
from tests.factory import Draft, Settings, change_plan, draft, judge, outcomes_of
from tests.fake_logs import LOGS

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
PCIE = Settings(topology="tp2-pcie", model="moe")
DENSE = Settings(topology="tp2-pcie", model="dense")
OF_THE_LOG = ("device", "arguments", "context-limit", "all-reduce", "kernels")


def outcomes(made: Draft, name: str) -> set[Outcome]:
    return outcomes_of(made, f"topology-{name}")


def respelled(old: bytes, new: bytes, settings: Settings = PCIE) -> Draft:
    made = draft(settings)
    edit_server_log(made, old, new)
    return made


def test_a_server_that_was_started_as_planned() -> None:
    for settings in (Settings(), PCIE, DENSE):
        made = draft(settings)
        for name in ("engine-version", *OF_THE_LOG[:4]):
            assert outcomes(made, name) == {PASS}, name
    assert outcomes(draft(PCIE), "kernels") == outcomes(draft(DENSE), "kernels") == {PASS}


def test_a_real_log_of_the_cpu_build_passes() -> None:
    made = draft()
    made.server_log = (LOGS / "server-real-cpu-tp1.log").read_bytes()
    engine = made.document.plan.engine
    assert engine is not None
    command = (
        "vllm", "serve", "/models/moe-mini", "--served-model-name=moe-mini", "--host=0.0.0.0",
        "--port=8000", "--dtype=bfloat16", "--tensor-parallel-size=1", "--max-model-len=4096",
        "--max-num-seqs=4", "--block-size=32", "--enable-chunked-prefill",
        "--disable-custom-all-reduce", "--enable-prompt-tokens-details",
    )  # fmt: skip
    change_plan(made, engine=replace(engine, command=command))
    made.metrics = {
        name: text.replace(b'block_size="16"', b'block_size="32"')
        for name, text in made.metrics.items()
    }
    for name in ("engine-version", "transport", *OF_THE_LOG[:4]):
        assert outcomes(made, name) == {PASS}, name


def test_of_another_releases_log_nothing_is_concluded_but_its_version() -> None:
    made = respelled(b"(v0.17.0)", b"(v0.18.1)")
    assert outcomes(made, "engine-version") == {FAIL}
    for name in OF_THE_LOG:
        assert outcomes(made, name) == {UNCHECKED}, name


def test_a_log_without_a_version_could_not_be_checked() -> None:
    made = draft(PCIE)
    made.server_log = b"INFO serving\n"
    for name in ("engine-version", *OF_THE_LOG):
        assert outcomes(made, name) == {UNCHECKED}, name
    assert judge(made.seal()).exit_code is ExitCode.DONE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"'max_num_seqs': 4", b"'max_num_seqs': 4.0", PASS),
        (b"'max_num_seqs': 4", b"'max_num_seqs': '4'", PASS),
        (b"'max_num_seqs': 4", b"'max_num_seqs': 5", FAIL),
        (b"'max_num_seqs': 4", b"'max_num_seqs': None", FAIL),
        (b", 'max_num_seqs': 4", b"", UNCHECKED),  # its default is not a number that we know
        (b"'served_model_name': ['moe']", b"'served_model_name': ['other']", FAIL),
        (b", 'tensor_parallel_size': 2", b"", FAIL),  # so it is at its default, 1
        (b", 'disable_custom_all_reduce': True", b"", FAIL),
        (b"'enable_chunked_prefill': True", b"'enable_chunked_prefill': False", FAIL),
        (b"'port': 41789", b"'port': 1", PASS),
        (b"{'model_tag'", b"{'trust_remote_code': True, 'model_tag'", FAIL),
        (b"{'model_tag'", b"{'x': <Y.Z: 1>, 'model_tag'", UNCHECKED),
        (b"non-default args", b"default args", UNCHECKED),
    ],
)
def test_arguments(old: bytes, new: bytes, expected: Outcome) -> None:
    assert outcomes(respelled(old, new), "arguments") == {expected}


def test_an_engine_that_was_started_twice_with_other_arguments() -> None:
    made = draft(PCIE)
    assert made.server_log is not None
    made.server_log += b"INFO 1 [utils.py:238] non-default args: {'seed': 5}\n"
    assert outcomes(made, "arguments") == {UNCHECKED}


def test_the_context_limit_is_told_twice() -> None:
    assert outcomes(respelled(b"max_seq_len=32768", b"max_seq_len=4096"), "context-limit") == {FAIL}
    made = respelled(b"max_seq_len=32768, ", b"")
    assert made.server_log is not None
    assert outcomes(made, "context-limit") == {PASS}
    made.server_log = made.server_log.replace(b"Maximum concurrency", b"Concurrency")
    assert outcomes(made, "context-limit") == {UNCHECKED}


def test_the_topologies_of_a_cpu_have_a_core_for_each_rank() -> None:
    engines = {key: one for key, one in checkout.catalog().engines.items() if "cpu" in key[0]}
    assert engines
    for engine in engines.values():
        words = dict(engine.environment)["VLLM_CPU_OMP_THREADS_BIND"]
        assert len(words.split("|")) == engine.tensor_parallel_size


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"speculative_config=None", b"speculative_config=SpeculativeConfig(method='ngram')", FAIL),
        (b"speculative_config=None, ", b"", PASS),
        (b"dtype=torch.bfloat16", b"dtype=torch.float16", PASS),  # the plan leaves it to the model
        (b"load_format=auto", b"load_format=dummy", FAIL),
        (b"data_parallel_size=1", b"data_parallel_size=4", FAIL),
        (b" tensor_parallel_size=2", b" tensor_parallel_size=4", FAIL),
        (b"quantization=compressed-tensors", b"quantization=awq", FAIL),
    ],
)
def test_what_the_engine_made_of_its_arguments(old: bytes, new: bytes, expected: Outcome) -> None:
    assert outcomes(respelled(old, new), "arguments") == {expected}


@pytest.mark.parametrize(
    ("model", "told", "expected"),
    [
        ("moe", b"compressed-tensors", PASS),
        ("dense", b"awq_marlin", PASS),
        ("dense", b"awq", PASS),  # not converted: the kernels say so
        ("dense", b"None", FAIL),
        ("moe-fp8", b"fp8", PASS),
        ("moe-fp8", b"compressed-tensors", FAIL),
        ("tiny", b"whatever", PASS),  # a model that nothing is known of
    ],
)
def test_weights_are_stored_as_the_models_own_files_say(
    model: str, told: bytes, expected: Outcome
) -> None:
    made = draft(Settings(topology="tp2-nvlink", model=model))
    assert made.server_log is not None
    made.server_log = re.sub(rb"quantization=[^,]*", b"quantization=" + told, made.server_log)
    assert outcomes(made, "arguments") == {expected}


def test_a_type_of_the_plan_is_the_engines() -> None:
    made = draft()
    engine = made.document.plan.engine
    assert engine is not None
    assert made.server_log is not None
    change_plan(made, engine=replace(engine, command=(*engine.command, "--dtype=bfloat16")))
    made.server_log = made.server_log.replace(b"args: {", b"args: {'dtype': 'bfloat16', ")
    assert outcomes(made, "arguments") == {PASS}
    made.server_log = made.server_log.replace(b"torch.bfloat16", b"torch.float32")
    assert outcomes(made, "arguments") == {FAIL}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"quantization=None", b"quantization=fp8"),
        (b"kv_cache_dtype=auto", b"kv_cache_dtype=fp8"),
    ],
)
def test_a_twin_is_served_as_it_was_made(old: bytes, new: bytes) -> None:
    assert outcomes(respelled(old, new, Settings()), "arguments") == {FAIL}
