"""Agents: a closed loop each, so that as many requests are in flight as there are agents.

Each agent is a thread with a connection of its own. It stamps the bytes of a response when they
arrive; they are parsed after the pass, when no other response is on its way.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

from kit.bundle.load import LoadSample
from kit.plan.schedule import Request

LOAD_INTERVAL_S = 1.0
JOIN_S = 10.0
"""A closed connection wakes its agent at once."""


class Exchange(Protocol):
    """A request and the bytes of its response, not parsed yet."""

    @property
    def has_failed(self) -> bool:
        """Whether there is no whole response."""


E = TypeVar("E", bound=Exchange)
E_co = TypeVar("E_co", bound=Exchange, covariant=True)


class Sender(Protocol[E_co]):
    """What an agent sends with: one connection, or a new one for each request."""

    def exchange(self, request: Request) -> E_co:
        """Send a request, and return what came back."""

    def cancel(self) -> None:
        """End the exchange that another thread is in."""


def send_all(
    senders: Sequence[Sender[E]],
    requests: Iterable[Request],
    tolerated: int,
    on_answer: Callable[[E], None] = lambda _: None,
) -> tuple[list[E], BaseException | None]:
    """Send the requests; return what came of each in the order in which they ended.

    `on_answer` is called as each ends. No more are sent once more than `tolerated` have failed. The
    second value is what interrupted this thread, if anything did; then the requests in flight are
    cancelled, and returned too.
    """
    crew = _Crew(senders, deque(requests))
    interrupt: BaseException | None = None
    try:
        crew.start()
        crew.wait(tolerated, on_answer)
    except BaseException as error:  # noqa: BLE001  # handed to the caller, with the records
        interrupt = error
        crew.todo.clear()
        for sender in senders:
            sender.cancel()
    crew.join()
    return crew.exchanges, interrupt


class _Crew(Generic[E]):
    """The threads of the agents, what is left to send, and what came back."""

    def __init__(self, senders: Sequence[Sender[E]], todo: deque[Request]) -> None:
        self.todo = todo
        self.exchanges: list[E] = []
        self._ended: SimpleQueue[E | BaseException | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(sender,), name=f"agent-{number}")
            for number, sender in enumerate(senders)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, tolerated: int, on_answer: Callable[[E], None]) -> None:
        """Wait until every agent has nothing left to send, which is so after too many failures.

        Raises what was raised in an agent's thread.
        """
        failed, working = 0, len(self._threads)
        while working:
            match self._ended.get():
                case BaseException() as error:
                    raise error
                case None:
                    working -= 1
                case exchange:
                    on_answer(exchange)
                    failed += exchange.has_failed
                    if failed > tolerated:
                        self.todo.clear()

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:  # else an interruption came before its start
                thread.join(JOIN_S)

    def _work(self, sender: Sender[E]) -> None:
        try:
            while (request := self._next()) is not None:
                exchange = sender.exchange(request)
                self.exchanges.append(exchange)  # first: whoever waits may be interrupted
                self._ended.put(exchange)
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            self._ended.put(error)
        else:
            self._ended.put(None)

    def _next(self) -> Request | None:
        try:
            return self.todo.popleft()
        except IndexError:
            return None


class LoadWatch:
    """Samples what the server says of its load once a second, in a thread, while it is open."""

    def __init__(self, ask: Callable[[], LoadSample | None]) -> None:
        self.samples: list[LoadSample] = []
        self._ask = ask
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="load", daemon=True)

    def __enter__(self) -> "LoadWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            if (sample := self._ask()) is not None:
                self.samples.append(sample)
            due_s += LOAD_INTERVAL_S
