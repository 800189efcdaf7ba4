"""Whether logs are of this run. No GPU was seen: NCCL's prefix and release are from the sources."""

import dataclasses
import re

import pytest

from kit.check.finding import Outcome
from kit.parse import vllm_metrics
from tests.catalog import TRANSPORTS
from tests.factory import Draft, Settings, draft, judge, outcomes_of

PASS, FAIL, WARN, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.WARN, Outcome.COULD_NOT_CHECK
PCIE = Settings(topology="tp2-pcie", model="moe")


def outcomes(made: Draft) -> set[Outcome]:
    return outcomes_of(made, "topology-log")


def test_a_log_that_tells_of_no_completion_is_of_no_run_that_had_one() -> None:
    """The access log can only be turned off by arguments, and none of them is planned."""
    made = quiet(PCIE)
    assert outcomes(made) == {FAIL}
    assert outcomes(quiet(dataclasses.replace(PCIE, stop_after=0))) == {UNCHECKED}
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"v0.17.0", b"v0.18.0")
    assert outcomes(made) == {UNCHECKED}  # how that one writes is not known


def quiet(settings: Settings) -> Draft:
    made = draft(settings)
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"POST /v1", b"POST /v2")
    return made


@pytest.mark.parametrize("topology", TRANSPORTS)
def test_the_logs_of_one_engine(topology: str) -> None:
    assert outcomes(draft(Settings(topology=topology, model="moe"))) == {PASS}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"node:41:41", b"node:43:43", WARN),  # one rank of two is another
        (b"node:4", b"node:5", WARN),
        (b"node:4", b"node ", PASS),  # a prefix of another form tells nothing
        (b"version 2.27.5+cuda12.9", b"version 2.27.5", PASS),
        (b"version 2.27.5+cuda12.9", b"version 2.28.3+cuda12.9", WARN),
        (b"NCCL version", b"NCCL edition", PASS),
        (b"node:42:42 [1]", b"node:58:58 [1]", WARN),
        (b"node:42:42 [1]", b"node:41:58 [1]", WARN),  # both ranks by one process
    ],
)
def test_nccls_log_is_by_the_servers_ranks(old: bytes, new: bytes, expected: Outcome) -> None:
    made = draft(PCIE)
    assert made.nccl_log is not None
    assert old in made.nccl_log
    made.nccl_log = made.nccl_log.replace(old, new)
    assert outcomes(made) == {expected}


def test_a_release_without_a_last_number_is_spelled_in_two_ways() -> None:
    made = draft(PCIE)
    assert made.nccl_log is not None
    assert made.server_log is not None
    made.nccl_log = made.nccl_log.replace(b"version 2.27.5", b"version 2.28.0")
    made.server_log = made.server_log.replace(b"nccl==2.27.5", b"nccl==2.28.")
    assert outcomes(made) == {PASS}


def test_a_server_log_without_prefixes_names_no_process() -> None:
    made = draft(PCIE)
    assert made.nccl_log is not None
    assert made.server_log is not None
    made.nccl_log = made.nccl_log.replace(b"node:4", b"node:5")
    made.server_log = made.server_log.replace(b"(VllmWorker-0 pid=41) ", b"").replace(
        b"(VllmWorker-1 pid=42) ", b""
    )
    assert outcomes(made) == {PASS}


COMPLETION = re.compile(rb".*POST /v1/chat/completions.*\n")


def with_one_more(made: Draft) -> Draft:
    """Let the log tell of one more completion, where the first was."""
    assert made.server_log is not None
    made.server_log = COMPLETION.sub(lambda line: 2 * line[0], made.server_log, count=1)
    return made


def test_what_was_being_streamed_when_a_run_was_cut_is_in_no_record() -> None:
    """A server logs a stream when it begins, and a client keeps no record of half of one."""
    made = draft(Settings(stop_after=7))
    assert [one.error is None for one in made.records] == [True] * 7 + [False]
    for completions in (8, 9):  # the one that failed may be in the log as well
        assert outcomes(with_one_more(made)) == {PASS}, completions
    assert outcomes(with_one_more(made)) == {FAIL}
    assert outcomes(with_one_more(draft())) == {FAIL}, "a run that went through has all records"


@pytest.mark.parametrize(
    "sample",
    [vllm_metrics.E2E_LATENCY_COUNT, vllm_metrics.PROMPT_TOKENS, vllm_metrics.GENERATION_TOKENS],
)
def test_what_the_engine_had_counted_before_may_be_in_the_log(sample: str) -> None:
    """Of a request that was given up tokens are counted, and it is in the log."""
    made = with_one_more(draft())
    for name, text in made.metrics.items():
        made.metrics[name] = text + sample.encode() + b'{engine="1"} 1.0\n'
    verdict = judge(made.seal())
    found = {one.code: one.outcome for one in verdict.findings}
    assert found["topology-log"] is Outcome.COULD_NOT_CHECK, "its counts are not of records alone"
    assert found["protocol-fresh-engine"] is Outcome.WARN
    assert {"topology-log", "protocol-fresh-engine"} <= set(verdict.not_shown)


def test_a_redacted_argument_is_no_other_one() -> None:
    made = draft()
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"'max_model_len': 64", b"'max_model_len': '<host>'")
    assert b"<host>" in made.server_log
    found = [one for one in judge(made.seal()).findings if one.code == "topology-arguments"]
    assert [one.outcome for one in found] == [UNCHECKED]


def test_ranks_of_one_start_wrote_the_servers_log() -> None:
    made = draft()
    assert made.server_log is not None
    line = next(one for one in made.server_log.splitlines() if b"world_size=" in one)
    again = re.sub(rb" pid=[0-9]+\)", b" pid=4711)", line)
    made.server_log = line + b"\n" + made.server_log
    assert outcomes(made) == {PASS}, "one process may say it twice"
    made.server_log = again + b"\n" + made.server_log
    assert outcomes(made) == {FAIL}
