"""Transports and NCCL's environment. No GPU was seen: see `tests/fake_logs.py`."""

import pytest

from kit.bundle.document import Runtime
from kit.check.finding import Finding, Outcome
from kit.errors import ExitCode
from kit.plan.plan import Dialect
from kit.plan.topology import Transport
from tests.catalog import TRANSPORTS
from tests.factory import Draft, Settings, draft, judge
from tests.fake_logs import LOGS, NCCL_LOGS

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
PCIE = Settings(topology="tp2-pcie", model="moe")


def found(made: Draft, code: str) -> list[Finding]:
    return [one for one in judge(made.seal()).findings if one.code == code]


def outcomes(made: Draft, code: str = "topology-transport") -> set[Outcome]:
    return {one.outcome for one in found(made, code)}


def without_nccl_log(made: Draft) -> Draft:
    made.nccl_log = None
    made.document.absent["nccl_log"] = "lost"
    return made


@pytest.mark.parametrize("transport", NCCL_LOGS)
@pytest.mark.parametrize("topology", TRANSPORTS)
def test_a_log_of_each_transport_in_a_bundle_of_each_topology(
    topology: str, transport: Transport
) -> None:
    made = draft(Settings(topology=topology, model="moe"))
    made.nccl_log = NCCL_LOGS[transport]
    assert outcomes(made) == ({PASS} if TRANSPORTS[topology] is transport else {FAIL})


@pytest.mark.parametrize("topology", [name for name in TRANSPORTS if name != "tp1"])
def test_no_line_at_all_could_not_be_checked(topology: str) -> None:
    made = draft(Settings(topology=topology, model="moe"))
    made.nccl_log = b"# an empty log\n"
    assert outcomes(made) == {UNCHECKED}
    silent = without_nccl_log(draft(Settings(topology=topology, model="moe")))
    assert outcomes(silent) == {UNCHECKED}
    assert judge(silent.seal()).exit_code is ExitCode.DONE


def test_every_channel_counts_and_is_named() -> None:
    made = draft(PCIE)
    made.nccl_log = (LOGS / "nccl-mixed.log").read_bytes()
    (one,) = found(made, "topology-transport")
    assert (one.outcome, one.subject) == (FAIL, "channel 0, rank 0 to 1")
    assert one.observed == "P2P/CUMEM"


def test_a_log_of_one_rank_alone_is_not_every_channel() -> None:
    made = draft(PCIE)
    lines = NCCL_LOGS[Transport.SHARED_MEMORY].splitlines(keepends=True)
    made.nccl_log = b"".join(line for line in lines if b"1[1] -> 0[0]" not in line)
    assert outcomes(made) == {UNCHECKED}


def test_more_lines_than_are_looked_at_are_no_pass() -> None:
    made = draft(PCIE)
    line = "node:4:4 [0] NCCL INFO Channel 00 : 0[0] -> 1[1] via SHM/direct/{}\n"
    made.nccl_log = "".join(line.format(number) for number in range(5000)).encode()
    assert PASS not in outcomes(made)


def test_one_rank_alone_needs_no_nccl_log() -> None:
    made = draft(Settings(topology="tp1", model="moe"))
    assert made.nccl_log is None
    assert outcomes(made) == outcomes(made, "topology-nccl-environment") == {PASS}


@pytest.mark.parametrize("topology", ["cpu-tp1", "cpu-tp2"])
def test_the_cpu_is_judged_by_the_servers_log(topology: str) -> None:
    made = draft(Settings(topology=topology))
    assert outcomes(made) == {PASS}
    made.server_log = b"INFO serving\n"
    assert outcomes(made) == {UNCHECKED}
    assert judge(made.seal()).exit_code is ExitCode.DONE


def test_gloo_alone_is_shown_by_a_line_that_shared_memory_is_off() -> None:
    made = draft(Settings(topology="cpu-tp2"))
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"CPU SHM communicator disabled", b"nothing")
    assert outcomes(made) == {UNCHECKED}


def test_ranks_that_gloo_did_not_connect() -> None:
    made = draft(Settings(topology="cpu-tp2"))
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"connected to 1 peer", b"connected to 0 peer")
    assert outcomes(made) == {FAIL}


def test_the_environment_that_nccl_took_is_the_plans() -> None:
    for topology in TRANSPORTS:
        made = draft(Settings(topology=topology, model="moe"))
        assert outcomes(made, "topology-nccl-environment") == {PASS}


def test_a_variable_that_nccl_should_have_told_of() -> None:
    made = draft(PCIE)
    assert made.nccl_log is not None
    made.nccl_log = made.nccl_log.replace(b"NCCL_P2P_DISABLE set", b"NCCL_P2P_DISABLE unset")
    assert outcomes(made, "topology-nccl-environment") == {Outcome.WARN}
    assert outcomes(without_nccl_log(draft(PCIE)), "topology-nccl-environment") == {UNCHECKED}


@pytest.mark.parametrize("dialect", Dialect)
def test_of_a_server_of_somebody_elses_nothing_is_known(dialect: Dialect) -> None:
    verdict = judge(draft(Settings(runtime=Runtime.ENDPOINT, dialect=dialect)).seal())
    tier = [one for one in verdict.findings if one.code.startswith("topology-")]
    assert [(one.code, one.outcome) for one in tier] == [("topology-tier", UNCHECKED)]
    assert verdict.exit_code is ExitCode.DONE
