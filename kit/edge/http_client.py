"""The HTTP client: sends a plan's requests to an OpenAI-compatible server and times them.

A request that fails becomes a record with an error code.
"""

import time
from types import TracebackType
from typing import Self

from kit.bundle.record import ErrorCode, Record
from kit.edge.connection import Failed, HttpConnection
from kit.parse import chat
from kit.parse.chat import Answer, Piece
from kit.plan.plan import Connection, Plan
from kit.plan.schedule import Phase, Request

METRICS_TIMEOUT_S = 30.0


class Client:
    """Client of one server for one run; implements `kit.run.walk.Server`.

    `origin_s` is the run's start on `time.monotonic()`.
    """

    def __init__(self, base_url: str, served_model: str, plan: Plan, origin_s: float) -> None:
        self._base_url = base_url
        self._served_model = served_model
        self._plan = plan
        self._origin_s = origin_s
        self._kept = HttpConnection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._kept.close()

    def send(self, request: Request) -> Record:
        """Send one request and return its record.

        The clock runs from just before the request is sent until the last byte of the response;
        nothing is parsed in between.
        """
        body = chat.request_body(self._plan, request, self._served_model)
        url = f"{self._base_url}/v1/chat/completions"
        pieces: list[Piece] = []
        failure: ErrorCode | None = None
        connection = self._kept if self._plan.connection is Connection.KEPT else HttpConnection()
        sent_s = time.monotonic()
        try:
            for data in connection.exchange("POST", url, self._plan.timeout_s, body):
                pieces.append((time.monotonic() - sent_s, data))
        except Failed as failed:
            failure = failed.code
        wall_s = time.monotonic() - sent_s
        if connection is not self._kept:
            connection.close()
        answer = self._read(request.phase, pieces)
        return Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            sent_s=round(sent_s - self._origin_s, 6),
            wall_s=round(wall_s, 6),
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            completion_tokens=answer.completion_tokens,
            finish_reason=answer.finish_reason,
            prompt_token_ids=answer.prompt_token_ids,
            token_ids=answer.token_ids,
            text=answer.text,
            chunks=tuple(answer.chunks) if request.phase is Phase.STREAM else None,
            error=failure or answer.error,
        )

    def metrics(self) -> bytes | None:
        """Return the answer of `/metrics`, or None where it fails."""
        timeout_s = min(METRICS_TIMEOUT_S, self._plan.timeout_s)
        try:
            return b"".join(self._kept.exchange("GET", f"{self._base_url}/metrics", timeout_s))
        except Failed:
            return None

    def _read(self, phase: Phase, pieces: list[Piece]) -> Answer:
        if phase is Phase.STREAM:
            return chat.read_stream(pieces, self._plan.dialect)
        return chat.read_completion(b"".join(data for _, data in pieces), self._plan.dialect)
