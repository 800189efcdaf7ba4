"""Agents: exactly as many requests in flight as there are of them, and every one accounted for."""

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kit.bundle.load import LoadSample
from kit.edge.agents import LoadWatch, send_all
from kit.plan.schedule import Phase, Request

REQUESTS = tuple(
    Request(
        phase=Phase.MEASURED,
        pass_number=1,
        prompt_id=str(number),
        prompt="",
        seed=number,
        cache_salt=None,
    )
    for number in range(12)
)


@dataclass
class Exchange:
    request: Request
    has_failed: bool


@dataclass
class Floor:
    """What all senders share: how many are at work, and at most were."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    working: int = 0
    most: int = 0


@dataclass
class FakeSender:
    """Takes a moment for each request; fails, or waits until it is cancelled, at some."""

    floor: Floor
    fails_at: Sequence[str] = ()
    hangs_at: Sequence[str] = ()
    cancelled: threading.Event = field(default_factory=threading.Event)

    def exchange(self, request: Request) -> Exchange:
        with self.floor.lock:
            self.floor.working += 1
            self.floor.most = max(self.floor.most, self.floor.working)
        if request.prompt_id in self.hangs_at:
            self.cancelled.wait(10)
        else:
            time.sleep(0.01)
        with self.floor.lock:
            self.floor.working -= 1
        failed = request.prompt_id in self.fails_at or self.cancelled.is_set()
        return Exchange(request, failed)

    def cancel(self) -> None:
        self.cancelled.set()


def senders(count: int, **options: Sequence[str]) -> list[FakeSender]:
    floor = Floor()
    return [FakeSender(floor, **options) for _ in range(count)]


def sent(exchanges: Sequence[Exchange]) -> list[str]:
    return sorted((exchange.request.prompt_id for exchange in exchanges), key=int)


ALL = [request.prompt_id for request in REQUESTS]


def test_every_request_is_sent_once_and_as_many_at_a_time_as_agents() -> None:
    crew = senders(4)
    exchanges, interrupt = send_all(crew, REQUESTS, tolerated=0)
    assert (sent(exchanges), interrupt) == (ALL, None)
    assert crew[0].floor.most == 4


def test_a_tolerated_failure_ends_nothing() -> None:
    exchanges, _ = send_all(senders(3, fails_at=["2"]), REQUESTS, tolerated=1)
    assert sent(exchanges) == ALL


def test_with_more_failures_nothing_more_is_sent_and_what_is_in_flight_is_kept() -> None:
    exchanges, interrupt = send_all(senders(2, fails_at=["0", "1"]), REQUESTS, tolerated=1)
    assert interrupt is None
    assert sent(exchanges)[:2] == ["0", "1"]
    assert len(exchanges) < len(REQUESTS)


@dataclass
class Interrupting(FakeSender):
    """Interrupts the thread that waits for the agents, as Ctrl-C does, during one request."""

    def exchange(self, request: Request) -> Exchange:
        if request.prompt_id == "2":
            threading.Timer(0.05, interrupt_main).start()
        return super().exchange(request)


def interrupt_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_an_interrupted_pass_returns_the_requests_in_flight() -> None:
    crew = [Interrupting(Floor(), hangs_at=["2", "3"]) for _ in range(2)]
    exchanges, interrupt = send_all(crew, REQUESTS, tolerated=0)
    assert isinstance(interrupt, KeyboardInterrupt)
    failed = {exchange.request.prompt_id: exchange.has_failed for exchange in exchanges}
    assert failed == {"0": False, "1": False, "2": True, "3": True}


@dataclass
class Broken(FakeSender):
    """Raises what no request should."""

    def exchange(self, request: Request) -> Exchange:
        if request.prompt_id == "3":
            raise ValueError("a bug")
        return super().exchange(request)


def test_a_bug_in_an_agents_thread_ends_the_pass_and_hangs_nothing() -> None:
    exchanges, error = send_all([Broken(Floor()) for _ in range(2)], REQUESTS, tolerated=0)
    assert isinstance(error, ValueError)
    assert {"0", "1", "2"} <= set(sent(exchanges)) < set(ALL)


def test_the_servers_load_is_sampled_at_once_and_then_each_second() -> None:
    asked = []

    def ask() -> LoadSample | None:
        asked.append(time.monotonic())
        return LoadSample(t_s=float(len(asked)), running=1.0) if len(asked) > 1 else None

    with LoadWatch(ask) as watch:
        time.sleep(1.2)
    assert len(asked) == 2
    assert watch.samples == [LoadSample(t_s=2.0, running=1.0)]
