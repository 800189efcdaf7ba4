"""The walk: the order of requests, and what is logged when it ends early."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from kit.bundle.record import ErrorCode, Record
from kit.errors import UsageError
from kit.plan.plan import Choices, Dialect, Plan, ProtocolName, plan_endpoint
from kit.plan.schedule import Phase, Request, requests
from kit.plan.suite import Prompt, Suite, SuiteMode
from kit.run.walk import RunLog, Server, Together, walk, walked

SUITE = Suite(
    id="small",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=(Prompt(id="a", text="A?"), Prompt(id="b", text="B?")),
)
PASSES = ("warmup-0", "measured-1", "measured-2", "stream-1")
WHOLE = [
    step for name in PASSES for step in ("metrics", f"send {name}/a", f"send {name}/b", "metrics")
]


@dataclass(kw_only=True)
class FakeServer:
    """Records each step; fails, or is interrupted, at a certain request."""

    fails_at: str = ""
    interrupted_at: str = ""
    has_metrics: bool = True
    steps: list[str] = field(default_factory=list)

    def send(self, request: Request) -> Record:
        name = f"{request.phase.value}-{request.pass_number}/{request.prompt_id}"
        self.steps.append(f"send {name}")
        if name == self.interrupted_at:
            raise KeyboardInterrupt
        return Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            sent_s=float(len(self.steps)),
            wall_s=0.5,
            error=ErrorCode.TIMED_OUT if name == self.fails_at else None,
        )

    def metrics(self) -> bytes | None:
        self.steps.append("metrics")
        return f"after {len(self.steps)} steps".encode() if self.has_metrics else None


def plan(passes: int | None = 2, protocol: ProtocolName = ProtocolName.KIT) -> Plan:
    choices = Choices(protocol=protocol, passes=passes)
    return plan_endpoint("m", SUITE, choices, Dialect.VLLM, 16)


def ignore(_record: Record) -> None:
    """Watch nothing."""


def test_every_step_in_order() -> None:
    server, run_log = FakeServer(), RunLog()
    assert walk(plan(), server, run_log, ignore) is None
    assert server.steps == WHOLE


def test_what_was_sent_is_the_plan_and_nothing_else() -> None:
    server, run_log = FakeServer(), RunLog()
    walk(plan(), server, run_log, ignore)
    planned = [(r.phase, r.pass_number, r.prompt_id, r.seed) for r in requests(plan())]
    sent = [(r.phase, r.pass_number, r.prompt_id, r.seed) for r in run_log.records]
    assert sent == planned


def test_the_published_protocol_is_one_measured_pass() -> None:
    server = FakeServer()
    walk(plan(None, ProtocolName.ARTICLE), server, RunLog(), ignore)
    assert server.steps == WHOLE[:8]


def test_metrics_are_kept_by_pass_and_moment() -> None:
    run_log = RunLog()
    walk(plan(), FakeServer(), run_log, ignore)
    assert run_log.metrics == {
        "warmup-0-before": b"after 1 steps",
        "warmup-0-after": b"after 4 steps",
        "measured-1-before": b"after 5 steps",
        "measured-1-after": b"after 8 steps",
        "measured-2-before": b"after 9 steps",
        "measured-2-after": b"after 12 steps",
        "stream-1-before": b"after 13 steps",
        "stream-1-after": b"after 16 steps",
    }


def test_a_server_without_metrics_leaves_none() -> None:
    server, run_log = FakeServer(has_metrics=False), RunLog()
    assert walk(plan(), server, run_log, ignore) is None
    assert run_log.metrics == {}
    assert server.steps == WHOLE


@pytest.mark.parametrize(("place", "steps"), [("warmup-0/a", 2), ("measured-1/b", 7)])
def test_the_first_error_ends_the_run(place: str, steps: int) -> None:
    server, run_log = FakeServer(fails_at=place), RunLog()
    failed = walk(plan(), server, run_log, ignore)
    assert server.steps == WHOLE[:steps]
    assert failed is run_log.records[-1]
    assert failed.error is ErrorCode.TIMED_OUT
    assert [record.error for record in run_log.records[:-1]] == [None] * (len(run_log.records) - 1)


def test_a_pass_that_broke_off_has_no_metrics_after_it() -> None:
    run_log = RunLog()
    walk(plan(), FakeServer(fails_at="measured-1/b"), run_log, ignore)
    assert list(run_log.metrics) == ["warmup-0-before", "warmup-0-after", "measured-1-before"]


def test_an_interruption_leaves_what_was_seen() -> None:
    server, run_log = FakeServer(interrupted_at="measured-1/b"), RunLog()
    with pytest.raises(KeyboardInterrupt):
        walk(plan(), server, run_log, ignore)
    assert [record.prompt_id for record in run_log.records] == ["a", "b", "a"]
    assert "measured-1-before" in run_log.metrics


def test_the_watcher_sees_each_record_once_it_is_noted() -> None:
    run_log = RunLog()
    seen: list[Record] = []

    def watch(record: Record) -> None:
        assert run_log.records[-1] is record
        seen.append(record)

    walk(plan(), FakeServer(fails_at="measured-2/a"), run_log, watch)
    assert seen == run_log.records
    assert seen[-1].error is not None


def test_a_watcher_that_fails_costs_no_record() -> None:
    def fail(_record: Record) -> None:
        raise BrokenPipeError

    run_log = RunLog()
    watch: Callable[[Record], None] = fail
    with pytest.raises(BrokenPipeError):
        walk(plan(), FakeServer(), run_log, watch)
    assert len(run_log.records) == 1


def test_the_fake_is_a_server() -> None:
    server: Server = FakeServer()
    assert server.metrics() == b"after 1 steps"


@dataclass(kw_only=True)
class FakeAgents(FakeServer):
    """Answers a pass of agents in ten seconds."""

    now_s: float = 0.0

    def send_together(
        self,
        requests: Sequence[Request],
        agents: int,
        tolerated: int,
        on_answer: Callable[[int], None],
    ) -> Together:
        records = [
            Record(
                phase=request.phase,
                pass_number=request.pass_number,
                prompt_id=request.prompt_id,
                seed=request.seed,
                agent=position % agents,
                sent_s=self.now_s,
                wall_s=10.0,
                completion_tokens=100,
            )
            for position, request in enumerate(requests)
        ]
        self.now_s += 10.0
        return Together(records=records)


@pytest.mark.parametrize(("duration_s", "passes"), [(5.0, 1), (10.0, 1), (11.0, 2), (35.0, 4)])
def test_a_run_for_a_time_ends_with_the_pass_in_which_that_is_over(
    duration_s: float, passes: int
) -> None:
    suite = dataclasses.replace(SUITE, mode=SuiteMode.CONCURRENT)
    choices = Choices(agents=2, duration_s=duration_s)
    planned = plan_endpoint("m", suite, choices, Dialect.VLLM, 16)
    run_log = RunLog()
    assert walk(planned, FakeAgents(), run_log, ignore) is None
    measured = [record for record in run_log.records if record.phase is Phase.MEASURED]
    assert max(record.pass_number for record in measured) == passes
    assert walked(planned, run_log.records).measured_passes == passes


@pytest.mark.parametrize(
    ("mode", "protocol"),
    [(SuiteMode.SERIAL, ProtocolName.KIT), (SuiteMode.CONCURRENT, ProtocolName.ARTICLE)],
)
def test_only_agents_of_the_kits_own_protocol_go_on_for_a_time(
    mode: SuiteMode, protocol: ProtocolName
) -> None:
    suite = dataclasses.replace(SUITE, mode=mode)
    with pytest.raises(UsageError, match="--duration"):
        plan_endpoint("m", suite, Choices(duration_s=60, protocol=protocol), Dialect.VLLM, 16)
