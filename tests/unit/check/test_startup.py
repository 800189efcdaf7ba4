"""What the server's log says of its start. GPU lines come from the sources: no GPU was seen."""

import pytest
from msgspec.structs import replace

from kit.check import startup
from kit.check.finding import Outcome
from kit.errors import ExitCode
from tests.factory import Draft, Settings, change_plan, draft, judge
from tests.gpu_evidence import LOGS

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
PCIE = Settings(topology="tp2-pcie", model="moe")
DENSE = Settings(topology="tp2-pcie", model="dense")

OF_THE_LOG = ("device", "arguments", "context-limit", "all-reduce", "kernels")


def outcomes(made: Draft, name: str) -> set[Outcome]:
    return {one.outcome for one in judge(made.seal()).findings if one.code == f"topology-{name}"}


def respelled(old: bytes, new: bytes, settings: Settings = PCIE) -> Draft:
    made = draft(settings)
    assert made.server_log is not None
    assert old in made.server_log
    made.server_log = made.server_log.replace(old, new)
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
    for name in ("engine-version", "transport", *OF_THE_LOG[:4]):
        assert outcomes(made, name) == {PASS}, name


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (b"03-06 17:30", PASS),
        (b"03-05 22:00", PASS),
        (b"03-06 17:35", FAIL),
        (b"03-07 12:00", FAIL),
    ],
)
def test_a_log_may_be_of_any_time_zone_and_of_no_other_time(zone: bytes, expected: Outcome) -> None:
    """UTC+5:30 and UTC-14 are zones; five minutes more are not, nor is a day."""
    made = draft(PCIE)
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"03-06 12:00", zone)
    assert outcomes(made, "log") == {expected}


def test_a_log_without_completions_or_times_cannot_be_held() -> None:
    made = draft(PCIE)
    assert made.server_log is not None
    quiet = made.server_log.replace(b"POST /v1", b"POST /v2")
    made.server_log = quiet
    assert outcomes(made, "log") == {UNCHECKED}
    made = draft(PCIE)
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"INFO 03-06 12:00", b"INFO 03-06 12")
    assert outcomes(made, "log") == {UNCHECKED}


def test_a_log_of_new_years_eve_is_of_the_year_before() -> None:
    made = draft(PCIE)
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"03-06 12:00", b"12-31 23:59")
    clock = made.document.clock
    made.document = replace(
        made.document, clock=replace(clock, end_utc="2027-01-01T00:00:09.000000Z")
    )
    assert outcomes(made, "log") == {PASS}


def test_a_rehearsal_is_served_by_a_cpu_and_says_so() -> None:
    cuda, cpu = b"device_config=cuda", b"device_config=cpu"
    rehearsal = Settings(topology="tp2-pcie", model="moe", rehearsal=True)
    assert outcomes(respelled(cuda, cpu), "device") == {FAIL}
    assert outcomes(respelled(cuda, cpu, rehearsal), "device") == {PASS}
    assert outcomes(draft(rehearsal), "device") == {FAIL}


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


def test_the_label_of_a_build_is_no_other_release() -> None:
    assert outcomes(respelled(b"(v0.17.0)", b"(v0.17.0+cpu)"), "engine-version") == {PASS}
    assert outcomes(respelled(b"(v0.17.0)", b"(v0.17.0rc1)"), "engine-version") == {FAIL}


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


@pytest.mark.parametrize(
    ("command", "planned"),
    [
        (("vllm", "serve", "/m", "--a-b=1"), {"a_b": "1"}),
        (("--a", "--b", "x", "--c=y=z"), {"a": None, "b": "x", "c": "y=z"}),
        (("--no-enable-prefix-caching",), {"enable_prefix_caching": "False"}),
        (("--host=::", "--port", "1", "--model=x"), {}),
        ((), {}),
    ],
)
def test_the_options_of_a_command(command: tuple[str, ...], planned: dict[str, str | None]) -> None:
    assert startup._planned(command) == planned


def test_the_context_limit_is_told_twice() -> None:
    assert outcomes(respelled(b"max_seq_len=32768", b"max_seq_len=4096"), "context-limit") == {FAIL}
    made = respelled(b"max_seq_len=32768, ", b"")
    assert made.server_log is not None
    assert outcomes(made, "context-limit") == {PASS}
    made.server_log = made.server_log.replace(b"Maximum concurrency", b"Concurrency")
    assert outcomes(made, "context-limit") == {UNCHECKED}


def test_custom_all_reduce_is_off_only_where_the_log_says_so() -> None:
    silent = respelled(b"disable_custom_all_reduce=True, ", b"")
    assert outcomes(silent, "all-reduce") == {UNCHECKED}
    alone = Settings(topology="tp1", model="moe")
    left_on = respelled(b"reduce=True", b"reduce=False", alone)
    assert outcomes(left_on, "all-reduce") == {PASS}  # one rank has nothing to reduce


@pytest.mark.parametrize(
    ("model", "expected"), [("moe-fp8", PASS), ("tiny", UNCHECKED), ("moe", PASS), ("dense", PASS)]
)
def test_kernels_are_asked_of_4_bit_models(model: str, expected: Outcome) -> None:
    assert outcomes(draft(Settings(topology="tp1", model=model)), "kernels") == {expected}


def test_a_kernel_that_the_log_does_not_name_is_not_assumed() -> None:
    assert outcomes(respelled(b"Using MarlinLinearKernel", b""), "kernels") == {UNCHECKED}
    assert outcomes(respelled(b"convertible", b"", DENSE), "kernels") == {UNCHECKED}
