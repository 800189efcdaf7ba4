"""A server with a known truth: it streams chat completions on an absolute schedule, and logs it.

    python -m kit.edge.null_server --port 0 --first-token-ms 50 --interval-ms 10 --tokens 200 \
        --log FILE

No model: what a client measures of it, less what the log says, is the client's own error. It speaks
HTTP/1.1 and server-sent events as vLLM does where token ids and usage are asked for: headers at
once, a chunk with the role just before the first token, one event to an HTTP chunk. The first line
of stdout is its port. SIGTERM ends it.

Token k is due at `received_s + first_token_s + k * interval_s`, on `time.monotonic()`, whatever was
late before; `received_s` is when the request's last byte was read. The log has a line of JSON for
each response, written while no response is under way. Each write in it has three numbers: when its
bytes went to the kernel (read just before, so that they cannot arrive earlier), how late that was,
and its tokens.

With `--fault-share` so many responses, drawn from a seed, are faults, each a line of the log with
its name: 429, 503, a reset, a stream that is cut in its middle, or no answer at all.
"""

import argparse
import asyncio
import gc
import heapq
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

MODEL = "null-server"

_PROMPT_IDS = (1, 2, 3)
_FIRST_ID = 1000
_NUMBER = b"########"
"""Where a response's number stands in bytes that are made before; both are 8 bytes long."""
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
_PLAIN = {
    ("get", "/health"): ("200 OK", ""),
    ("get", "/v1/models"): ("200 OK", _MODELS),
    ("post", "/v1/chat/completions"): ("400 Bad Request", ""),  # not streamed, or without a length
}


FAULTS = ("429", "503", "reset", "cut", "silent")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each token is due, in seconds after the request's last byte.

    A chunk's tokens are due together, with its first. The gap before the chunk that has token
    `stall_at` is `stall_s`; all later tokens move with it.
    """

    tokens: int
    tokens_per_chunk: int
    stall_at: int | None
    first_token_s: float
    interval_s: float
    stall_s: float

    def chunks(self) -> list[range]:
        """Return the positions of each chunk's tokens."""
        starts = range(0, self.tokens, self.tokens_per_chunk)
        return [range(at, min(at + self.tokens_per_chunk, self.tokens)) for at in starts]

    def due_s(self, chunk: range) -> float:
        regular_s = self.first_token_s + chunk.start * self.interval_s
        if self.stall_at is None or chunk.stop <= self.stall_at:
            return regular_s
        return regular_s + self.stall_s - self.tokens_per_chunk * self.interval_s


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that are written at once."""

    due_s: float
    data: bytes
    tokens: int


def writes(schedule: Schedule) -> tuple[Write, ...]:
    """Return what each response consists of, but for its number."""
    chunks = schedule.chunks()
    role = _delta({"role": "assistant", "content": ""}) | {"prompt_token_ids": _PROMPT_IDS}
    usage = {"prompt_tokens": len(_PROMPT_IDS), "completion_tokens": schedule.tokens}
    usage["total_tokens"] = sum(usage.values())
    end = _event(json.dumps(_chunk([]) | {"usage": usage})) + _event("[DONE]") + b"0\r\n\r\n"
    return (
        Write(schedule.first_token_s, _event(json.dumps(role)), 0),
        *(Write(schedule.due_s(chunk), _content(chunk, schedule), len(chunk)) for chunk in chunks),
        Write(schedule.due_s(chunks[-1]), end, 0),
    )


def _content(chunk: range, schedule: Schedule) -> bytes:
    text = "".join(f" {position}" for position in chunk)
    finish = "length" if chunk.stop == schedule.tokens else None
    ids = [_FIRST_ID + position for position in chunk]
    return _event(json.dumps(_delta({"content": text}, finish_reason=finish, token_ids=ids)))


def _delta(delta: dict[str, str], **others: object) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return _chunk([choice | others])


def _chunk(choices: list[dict[str, object]]) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{_NUMBER.decode()}", "object": "chat.completion.chunk"}
    return head | {"created": 0, "model": MODEL, "choices": choices}


def _event(data: str) -> bytes:
    """Return one event in one HTTP chunk."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


@dataclass(slots=True)
class _Response:
    number: int
    transport: asyncio.WriteTransport
    received_s: float
    done: asyncio.Future[None]
    queued: int = 0
    written: list[tuple[float, float, int]] = field(default_factory=list)


class Faults:
    """Draws which responses fail, and how."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._dice = random.Random(seed)  # noqa: S311  # repeatable, and no secret

    def draw(self) -> str | None:
        return self._dice.choice(FAULTS) if self._dice.random() < self._share else None


class Pacer:
    """Writes all responses, each write when it is due.

    The loop polls while a connection is open: a process that sleeps wakes up to 0.3 ms late.
    """

    def __init__(self, plan: tuple[Write, ...], log: TextIO, faults: "Faults") -> None:
        self.faults = faults
        self._plan = plan
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._open = 0
        self._waiting: list[tuple[float, int, _Response]] = []
        self._finished: list[_Response] = []
        self._started = 0

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Poll during the block, as in all others of its kind."""
        self._open += 1
        if self._open == 1:
            self._loop.call_soon(self._poll)
        try:
            yield
        finally:
            self._open -= 1

    def start(self, transport: asyncio.WriteTransport, received_s: float) -> asyncio.Future[None]:
        """Begin a response; return what is done when it has ended."""
        self._started += 1
        response = _Response(self._started, transport, received_s, self._loop.create_future())
        transport.write(_HEAD)
        self._wait(response)
        return response.done

    def note(self, fault: str, received_s: float) -> None:
        """Log a fault at once."""
        self._log.write(json.dumps({"received_s": received_s, "fault": fault}) + "\n")

    def close(self) -> None:
        """Log all responses, those under way as they are."""
        self._finished += [response for _, _, response in self._waiting]
        self._waiting.clear()
        self._write_log()

    def _poll(self) -> None:
        """Write what is due now; what becomes due meanwhile waits until sockets were read."""
        now_s = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, _, response = heapq.heappop(self._waiting)
            is_open = not response.transport.is_closing()
            if is_open:
                self._write(response, due_s)
            if is_open and len(response.written) < len(self._plan):
                self._wait(response)
                continue
            self._finished.append(response)
            if not response.done.done():  # cancelled, where its connection's task was
                response.done.set_result(None)
        if self._finished and not self._waiting:
            self._write_log()
        if self._open:
            os.sched_yield()  # else a client on the same core waits for this process's share to end
            self._loop.call_soon(self._poll)

    def _write(self, response: _Response, due_s: float) -> None:
        write = self._plan[len(response.written)]
        data = write.data.replace(_NUMBER, b"%08d" % response.number)
        written_s = time.monotonic()
        response.transport.write(data)
        response.queued += response.transport.get_write_buffer_size() > 0
        response.written.append((written_s, written_s - due_s, write.tokens))

    def _wait(self, response: _Response) -> None:
        due_s = response.received_s + self._plan[len(response.written)].due_s
        heapq.heappush(self._waiting, (due_s, response.number, response))

    def _write_log(self) -> None:
        for response in self._finished:
            line = {
                "id": f"chatcmpl-{response.number:08}",
                "received_s": response.received_s,
                "is_whole": len(response.written) == len(self._plan),
                "writes_queued": response.queued,  # the client did not keep up
                "writes": [(round(at, 7), round(late, 7), n) for at, late, n in response.written],
            }
            self._log.write(json.dumps(line) + "\n")
        self._log.flush()
        self._finished.clear()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pacer: Pacer) -> None:
    """Answer a connection's requests, one after another."""
    ended = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError)
    with suppress(*ended, asyncio.CancelledError), pacer.connected():  # cancelled on SIGTERM
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            request, *lines = head.rstrip().split("\r\n")
            method, path, _ = request.split(" ")
            headers = dict(line.replace(" ", "").split(":", 1) for line in lines)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            received_s = time.monotonic()
            if (method, path) == ("post", "/v1/chat/completions") and _is_streamed(body):
                if (fault := pacer.faults.draw()) is None:
                    await pacer.start(writer.transport, received_s)
                else:
                    pacer.note(fault, received_s)
                    await _fail(fault, reader, writer)
            else:
                writer.write(_plain(method, path))
            if headers.get("connection") == "close":
                break
    writer.close()


async def _fail(fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match fault:
        case "reset":
            writer.transport.abort()
        case "cut":
            writer.write(_HEAD + _event('{"choices": []}')[:-4])
            writer.close()
        case "silent":
            await reader.read()  # until the client has had enough
        case status:
            writer.write(f"HTTP/1.1 {status} Fault\r\ncontent-length: 0\r\n\r\n".encode())


def _is_streamed(body: bytes) -> bool:
    with suppress(ValueError):
        document = json.loads(body)
        return isinstance(document, dict) and document.get("stream") is True
    return False


def _plain(method: str, path: str) -> bytes:
    status, body = _PLAIN.get((method, path), ("404 Not Found", ""))
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


async def _run(port: int, schedule: Schedule, log: TextIO, faults: Faults) -> None:
    pacer = Pacer(writes(schedule), log, faults)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(
        lambda reader, writer: _serve(reader, writer, pacer), "127.0.0.1", port, backlog=1024
    )
    gc.freeze()  # a full collection would take milliseconds
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()
    pacer.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Stream tokens on a known schedule.")
    for name, default in (
        ("port", 0),
        ("tokens", 200),
        ("tokens-per-chunk", 1),
        ("stall-at", None),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default_ms in (("first-token-ms", 50.0), ("interval-ms", 10.0), ("stall-ms", 0.0)):
        parser.add_argument(f"--{name}", type=float, default=default_ms)
    parser.add_argument("--fault-share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    if min(options.tokens, options.tokens_per_chunk) < 1:
        parser.error("--tokens and --tokens-per-chunk must be at least 1")
    if options.stall_at not in (None, *range(options.tokens_per_chunk, options.tokens)):
        parser.error("--stall-at must be a token after the first chunk")
    return options


def main() -> None:
    """Serve until SIGTERM."""
    told = _options()
    whole = (told.tokens, told.tokens_per_chunk, told.stall_at)
    in_s = (ms / 1e3 for ms in (told.first_token_ms, told.interval_ms, told.stall_ms))
    schedule = Schedule(*whole, *in_s)
    with (
        told.log.open("w", encoding="utf-8") as log,
        asyncio.Runner() as runner,
    ):
        runner.run(_run(told.port, schedule, log, Faults(told.fault_share, told.seed)))


if __name__ == "__main__":
    main()
