"""Agents against a server with real sockets: all requests accounted for, whatever it does."""

import signal
import threading
import time
from collections import Counter

import pytest
from msgspec.structs import replace

from kit.bundle.record import ErrorCode, Record
from kit.edge.http_client import Client
from kit.plan import schedule
from kit.plan.plan import Choices, Dialect, Plan, plan_endpoint
from kit.plan.schedule import Phase, Request
from kit.run import walk as run_walk
from kit.run.walk import RunLog
from tests.catalog import SWARM
from tests.unit.edge.conftest import MAX_TOKENS, Serve
from tests.unit.edge.test_http_client import FAULTS

AGENTS = 4


def swarm_plan(agents: int = AGENTS, timeout_s: float = 60.0) -> Plan:
    choices = Choices(agents=agents, passes=1, timeout_s=timeout_s)
    planned = plan_endpoint("moe-mini", SWARM, choices, Dialect.VLLM, MAX_TOKENS)
    return replace(planned, prompts=planned.prompts[:16])


def walk(url: str, planned: Plan) -> tuple[RunLog, Record | None]:
    run_log = RunLog()
    with Client(url, "moe-mini", planned, time.monotonic()) as server:
        failed = run_walk.walk(planned, server, run_log, lambda record: None)
    return run_log, failed


def most_in_flight(records: list[Record]) -> int:
    events = sorted(
        event
        for record in records
        for event in ((record.sent_s, 1), (record.sent_s + record.wall_s, -1))
    )
    most = working = 0
    for _, step in events:
        working += step
        most = max(most, working)
    return most


def test_every_request_is_a_record_in_the_order_of_the_plan(serve: Serve) -> None:
    planned = swarm_plan()
    with serve("--tokens-per-s=200") as url:
        run_log, failed = walk(url, planned)
    assert failed is None
    wanted = [(one.phase, one.prompt_id) for one in schedule.requests(planned)]
    assert [(one.phase, one.prompt_id) for one in run_log.records] == wanted
    assert {record.agent for record in run_log.records} == set(range(AGENTS))
    assert all(record.chunks for record in run_log.records)
    for phase in (Phase.WARMUP, Phase.MEASURED):
        of_phase = [record for record in run_log.records if record.phase is phase]
        assert most_in_flight(of_phase) == AGENTS
    assert run_log.load
    assert set(run_log.metrics) == {
        f"{name}-{when}" for name in ("warmup-0", "measured-1") for when in ("before", "after")
    }


@pytest.mark.parametrize(("behaviour", "code"), FAULTS.items())
def test_where_all_fails_the_run_ends_with_the_code(
    behaviour: str, code: ErrorCode, stand_in: str
) -> None:
    run_log, failed = walk(f"{stand_in}/{behaviour}", swarm_plan())
    assert failed is not None
    assert failed.error is code
    assert {record.error for record in run_log.records} == {code}
    assert {record.phase for record in run_log.records} == {Phase.WARMUP}


def test_an_engine_that_dies_at_full_load_ends_the_run_at_once(serve: Serve) -> None:
    started = time.monotonic()
    with serve("--behaviour=dies-in-mid-run") as url:
        run_log, failed = walk(url, swarm_plan())
    assert failed is not None
    assert len(run_log.records) <= 2 * AGENTS
    assert time.monotonic() - started < 30


def test_streams_that_hang_are_cut_at_their_timeout(stand_in: str) -> None:
    run_log, failed = walk(f"{stand_in}/hangs", swarm_plan(timeout_s=0.4))
    assert failed is not None
    assert {record.error for record in run_log.records} == {ErrorCode.TIMED_OUT}
    assert AGENTS <= len(run_log.records) <= 2 * AGENTS


def test_an_interruption_with_64_in_flight_leaves_64_records_and_no_thread(stand_in: str) -> None:
    threads = threading.active_count()
    requests = tuple(
        Request(
            phase=Phase.MEASURED,
            pass_number=1,
            prompt_id=f"{number}",
            prompt="Hi",
            seed=number,
            cache_salt=None,
        )
        for number in range(100)
    )
    planned = swarm_plan()
    main = threading.main_thread().ident or 0
    interruption = threading.Timer(1.5, signal.pthread_kill, (main, signal.SIGINT))
    with Client(f"{stand_in}/hangs-in-body", "moe-mini", planned, time.monotonic()) as server:
        interruption.start()
        sent = server.send_together(requests, 64, 0, lambda: None)
    assert isinstance(sent.interrupt, KeyboardInterrupt)
    names = [record.prompt_id for record in sent.records]
    assert names == [f"{number}" for number in range(len(names))]
    errors = Counter(record.error for record in sent.records)
    assert errors[ErrorCode.CANCELLED] == 64, errors
    interruption.join()
    assert threading.active_count() <= threads
