"""Bundles of agents: honest ones are valid, and what was not concurrent is told."""

import pytest
from msgspec.structs import replace

from kit.bundle.record import ErrorCode
from kit.check.finding import Outcome
from kit.errors import ExitCode
from kit.plan.plan import ProtocolName
from tests.factory import Draft, Settings, change_record, draft, judge, outcomes_of

PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def swarm(agents: int, **settings: object) -> Draft:
    return draft(Settings(suite="agents", agents=agents, **settings))


def set_load(made: Draft, running: float) -> None:
    made.load = tuple(replace(sample, running=running) for sample in made.load or ())


@pytest.mark.parametrize("agents", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("topology", "model"), [("cpu-tp1", "tiny"), ("tp2-pcie", "moe")])
def test_honest_levels_are_valid_and_reportable(agents: int, topology: str, model: str) -> None:
    verdict = judge(swarm(agents, topology=topology, model=model).seal())
    assert [one for one in verdict.findings if one.outcome is FAIL] == []
    assert verdict.is_reportable


def test_every_level_of_up_to_eight_agents_sends_the_same_prompts() -> None:
    few, many = swarm(1).document.plan, swarm(8).document.plan
    assert few.prompts == many.prompts
    assert len(few.prompts) == 32
    assert len(swarm(9).document.plan.prompts) == 64


def test_a_server_with_fewer_sequences_gets_one_for_each_agent() -> None:
    plan = swarm(8, topology="tp1", model="moe").document.plan
    assert plan.options is not None
    assert plan.options.max_num_seqs == 8


def test_the_server_must_have_run_as_many_as_there_are_agents() -> None:
    made = swarm(1)
    assert outcomes_of(made, "protocol-concurrency") == {PASS}
    set_load(made, 0.0)
    assert outcomes_of(made, "protocol-concurrency") == {FAIL}
    set_load(made, 3.0)
    assert outcomes_of(made, "protocol-concurrency") == {WARN}
    made.load = ()
    assert outcomes_of(made, "protocol-concurrency") == {UNCHECKED}
    made.load = None
    assert outcomes_of(made, "protocol-concurrency") == {UNCHECKED}


def test_an_agents_requests_do_not_overlap() -> None:
    made = swarm(4)
    change_record(made, 5, agent=(made.records[5].agent or 0) ^ 1)
    assert FAIL in outcomes_of(made, "arithmetic-overlap")


def test_a_run_for_a_time_has_the_passes_that_it_took() -> None:
    made = swarm(4, passes=4, duration_s=5.0)
    assert judge(made.seal()).is_reportable
    assert outcomes_of(made, "protocol-duration") == {PASS}
    short = swarm(4, passes=1, duration_s=500.0)
    assert judge(short.seal()).exit_code is ExitCode.DONE
    assert outcomes_of(short, "protocol-duration") == {WARN}


@pytest.mark.parametrize("agent", [None, 4, 99])
def test_a_record_names_one_of_the_agents(agent: int | None) -> None:
    made = swarm(4)
    change_record(made, 0, agent=agent)
    assert judge(made.seal()).exit_code is ExitCode.BUNDLE_INVALID


def test_few_failed_requests_are_a_warning_and_many_void_the_level() -> None:
    made = swarm(4)
    change_record(made, 40, error=ErrorCode.DISCONNECTED, finish_reason=None)
    assert outcomes_of(made, "protocol-failed-requests") == {WARN}
    assert outcomes_of(made, "arithmetic-server-counter") == {UNCHECKED}
    for position in range(40, 50):
        change_record(made, position, error=ErrorCode.HTTP_SERVER_ERROR, finish_reason=None)
    assert outcomes_of(made, "protocol-failed-requests") == {UNCHECKED}
    assert not judge(made.seal()).is_reportable


def test_a_published_level_above_four_agents_says_nothing_about_them() -> None:
    made = swarm(8, protocol=ProtocolName.ARTICLE, passes=None)
    assert len(made.document.plan.prompts) == 4
    assert outcomes_of(made, "protocol-published-level") == {WARN}
    assert outcomes_of(swarm(4, protocol=ProtocolName.ARTICLE), "protocol-published-level") == {
        PASS
    }
