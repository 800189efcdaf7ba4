"""The HTTP client: sends a plan's requests to an OpenAI-compatible server and times them.

A request that fails becomes a record with an error code.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kit.bundle.load import LoadSample
from kit.bundle.record import ErrorCode, Record
from kit.edge.agents import LoadWatch, send_all
from kit.edge.connection import Failed, HttpConnection
from kit.parse import chat, vllm_metrics
from kit.parse.chat import Answer, Piece
from kit.plan.plan import Connection, Plan
from kit.plan.schedule import Request, is_streamed
from kit.run.walk import Together

METRICS_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request and the bytes of its response, each piece with its arrival; not parsed yet."""

    request: Request
    sent_s: float
    wall_s: float
    pieces: Sequence[Piece]
    failure: ErrorCode | None
    agent: int | None

    @property
    def has_failed(self) -> bool:
        """Whether there is no whole response."""
        return self.failure is not None


class Sender:
    """Sends requests one after another; implements `kit.edge.agents.Sender`.

    Over one connection, or where the plan says so over a new one for each request.
    """

    def __init__(self, url: str, served_model: str, plan: Plan, agent: int | None = None) -> None:
        self._url = url
        self._served_model = served_model
        self._plan = plan
        self._agent = agent
        self._is_cancelled = False
        self._connection = HttpConnection()

    def exchange(self, request: Request) -> Exchange:
        """Send one request; return the bytes of its response.

        The clock runs from just before the request's first byte is sent until the response's last;
        nothing is parsed in between.
        """
        if self._plan.connection is Connection.PER_REQUEST:
            self._connection.close()
            self._connection = HttpConnection()
        body = chat.request_body(self._plan, request, self._served_model)
        arrivals: list[Piece] = []
        failure: ErrorCode | None = None
        try:
            answer = self._connection.exchange("POST", self._url, self._plan.timeout_s, body)
            arrivals.extend(answer)
        except Failed as failed:
            failure = ErrorCode.CANCELLED if self._is_cancelled else failed.code
        end_s = arrivals[-1][0] if arrivals and failure is None else time.monotonic()
        sent_s = self._connection.stamps.sent_s
        return Exchange(
            request=request,
            sent_s=sent_s,
            wall_s=end_s - sent_s,
            pieces=[(at_s - sent_s, data) for at_s, data in arrivals],
            failure=failure,
            agent=self._agent,
        )

    def cancel(self) -> None:
        """End the exchange that another thread is in."""
        self._is_cancelled = True
        self._connection.cut()

    def close(self) -> None:
        self._connection.close()


class Client:
    """Client of one server for one run; implements `kit.run.walk.Server`.

    `origin_s` is the run's start on `time.monotonic()`.
    """

    def __init__(self, base_url: str, served_model: str, plan: Plan, origin_s: float) -> None:
        self._base_url = base_url
        self._served_model = served_model
        self._plan = plan
        self._origin_s = origin_s
        self._metrics = HttpConnection()
        self._senders: list[Sender] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as opened:
            opened.callback(self._metrics.close)
            for sender in self._senders:
                opened.callback(sender.close)

    def send(self, request: Request) -> Record:
        """Send one request and return its record."""
        (sender,) = self._senders_of((None,))
        return self._record(sender.exchange(request))

    def send_together(
        self,
        requests: Sequence[Request],
        agents: int,
        tolerated: int,
        on_answer: Callable[[int], None],
    ) -> Together:
        """Send requests in their order, as many at a time as there are agents."""
        senders = self._senders_of(range(agents))
        with LoadWatch(self._load) as watch:
            exchanges, interrupt = send_all(
                senders, requests, tolerated, lambda exchange: on_answer(len(exchange.pieces))
            )
        position = {id(request): number for number, request in enumerate(requests)}
        in_order = sorted(exchanges, key=lambda exchange: position[id(exchange.request)])
        return Together(
            records=[self._record(exchange) for exchange in in_order],
            load=watch.samples,
            interrupt=interrupt,
        )

    def metrics(self) -> bytes | None:
        """Return the answer of `/metrics`, or None where it fails."""
        timeout_s = min(METRICS_TIMEOUT_S, self._plan.timeout_s)
        try:
            return self._metrics.get(f"{self._base_url}/metrics", timeout_s)
        except Failed:
            return None

    def _senders_of(self, numbers: Sequence[int | None]) -> list[Sender]:
        """Return a sender for each agent: the same ones in every pass."""
        if not self._senders:
            url = f"{self._base_url}/v1/chat/completions"
            self._senders = [
                Sender(url, self._served_model, self._plan, number) for number in numbers
            ]
        return self._senders

    def _load(self) -> LoadSample | None:
        """Return what the server says of its load now; None where it does not answer."""
        if (exposition := self.metrics()) is None:
            return None
        told = vllm_metrics.totals(exposition, vllm_metrics.LOAD)
        return LoadSample(
            t_s=round(time.monotonic() - self._origin_s, 6),
            running=told.get(vllm_metrics.RUNNING),
            waiting=told.get(vllm_metrics.WAITING),
            preemptions=told.get(vllm_metrics.PREEMPTIONS),
            kv_cache_ratio=told.get(vllm_metrics.KV_CACHE_RATIO),
        )

    def _record(self, exchange: Exchange) -> Record:
        request = exchange.request
        streamed = is_streamed(self._plan, request.phase)
        read = self._read_stream if streamed else self._read_whole
        answer = read(exchange.pieces)
        return Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            agent=exchange.agent,
            sent_s=round(exchange.sent_s - self._origin_s, 6),
            wall_s=round(exchange.wall_s, 6),
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            completion_tokens=answer.completion_tokens,
            reasoning_tokens=answer.reasoning_tokens,
            finish_reason=answer.finish_reason,
            prompt_token_ids=answer.prompt_token_ids,
            token_ids=answer.token_ids,
            text=answer.text,
            chunks=tuple(answer.chunks) if streamed else None,
            error=exchange.failure or answer.error,
        )

    def _read_stream(self, pieces: Sequence[Piece]) -> Answer:
        return chat.read_stream(pieces, self._plan.dialect)

    def _read_whole(self, pieces: Sequence[Piece]) -> Answer:
        return chat.read_completion(b"".join(data for _, data in pieces), self._plan.dialect)
