"""A small OpenAI-compatible server that stands in for vLLM in tests. It serves no model.

    python tests/stand_in_engine.py --port 8000 --behaviour good

Only the standard library, so that it starts fast and alone. Responses are numbered words, the same
for the same seed; metrics have vLLM's names and really count. `--behaviour` is what it does wrong,
if anything (see `Behaviour`), for every request; a path that begins with a behaviour, such as
`/hangs/v1/chat/completions`, has it for that request only. `/accepted` returns the number of TCP
connections so far.
"""

import argparse
import json
import os
import platform
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "0.17.0"
DIES_WITH = 3


class Behaviour(Enum):
    """What the server does: on the whole, or to answer a chat completion."""

    GOOD = "good"
    PLAIN_OPENAI = "plain-openai"  # no token ids, no /version, no /metrics
    SLOW_START = "slow-start"  # after --start-s
    DIES_AT_START = "dies-at-start"
    NEVER_HEALTHY = "never-healthy"
    DIES_IN_MID_RUN = "dies-in-mid-run"
    IGNORES_SIGTERM = "ignores-sigterm"
    TALKS_OF_ITS_HOST = "talks-of-its-host"
    CLOSES_WHEN_IDLE = "closes-when-idle"
    HTTP_400 = "http-400"
    HTTP_404 = "http-404"
    HTTP_500 = "http-500"
    HTTP_503 = "http-503"
    REDIRECTS = "redirects"
    NO_CONTENT = "no-content"
    GARBAGE = "garbage"
    HTML = "html"
    EMPTY = "empty"
    DEEP_JSON = "deep-json"
    NO_USAGE = "no-usage"
    WRONG_COUNT = "wrong-count"
    NO_TOKEN_IDS = "no-token-ids"
    HANGS = "hangs"
    HANGS_IN_BODY = "hangs-in-body"
    DRIPS = "drips"
    DRIPS_HEADERS = "drips-headers"
    CLOSES_EARLY = "closes-early"
    CLOSES_AT_ONCE = "closes-at-once"
    NOT_HTTP = "not-http"
    ENDLESS = "endless"
    ENDLESS_CRUMBS = "endless-crumbs"
    NO_DONE = "no-done"
    ERROR_EVENT = "error-event"
    RESETS = "resets"


ERROR = b'{"error": "as asked for"}'
FIXED = {
    Behaviour.HTTP_400: (400, ERROR),
    Behaviour.HTTP_404: (404, ERROR),
    Behaviour.HTTP_500: (500, ERROR),
    Behaviour.HTTP_503: (503, ERROR),
    Behaviour.REDIRECTS: (307, ERROR),
    Behaviour.NO_CONTENT: (204, b""),
    Behaviour.GARBAGE: (200, bytes(range(256))),
    Behaviour.HTML: (200, b"<html><body>Welcome to nginx!</body></html>"),
    Behaviour.EMPTY: (200, b""),
    Behaviour.DEEP_JSON: (200, b"data: " + b"[" * 100_000 + b"\n\ndata: [DONE]\n\n"),
}
"""Behaviours that send a status and a body."""


class Ending(Enum):
    """How a raw answer ends."""

    CLOSE = "close"
    WAIT = "wait"  # until the client gives up
    RESET = "reset"


@dataclass(frozen=True)
class Raw:
    """Bytes that may be no HTTP, and bytes that are repeated for as long as the client reads."""

    head: bytes = b""
    repeated: bytes = b""
    pause_s: float = 0.0
    ending: Ending = Ending.CLOSE


_HEAD = b"HTTP/1.1 200 OK\r\n"
_CUT = _HEAD + b"Content-Length: 100\r\n\r\n{"
_OPEN = _HEAD + b"Connection: close\r\n\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
RAW = {
    Behaviour.HANGS: Raw(ending=Ending.WAIT),
    Behaviour.HANGS_IN_BODY: Raw(_CUT, ending=Ending.WAIT),
    Behaviour.RESETS: Raw(_CUT, ending=Ending.RESET),
    Behaviour.CLOSES_EARLY: Raw(_CUT),
    Behaviour.CLOSES_AT_ONCE: Raw(),
    Behaviour.NOT_HTTP: Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    Behaviour.DRIPS: Raw(_OPEN, b" ", pause_s=0.05),
    Behaviour.DRIPS_HEADERS: Raw(_HEAD + b"X-Drip: ", b" ", pause_s=0.05),
    Behaviour.ENDLESS: Raw(_OPEN, b" " * 2**20),
    Behaviour.ENDLESS_CRUMBS: Raw(_CHUNKED, b"1\r\n \r\n" * 10_000),
}


METRICS = (
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:prefix_cache_hits_total",
    "vllm:request_prompt_tokens_sum",
    "vllm:request_generation_tokens_sum",
    "vllm:e2e_request_latency_seconds_sum",
    "vllm:e2e_request_latency_seconds_count",
    "vllm:time_to_first_token_seconds_sum",
    "vllm:inter_token_latency_seconds_sum",
    "vllm:inter_token_latency_seconds_count",
    "http_request_duration_highr_seconds_sum",
    "http_request_duration_highr_seconds_count",
)


class Counters:
    """What is returned as metrics, by vLLM's names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._totals = dict.fromkeys(METRICS, 0.0)

    def cached_tokens(self, prompt: str, prompt_tokens: int) -> int:
        """Return the cached tokens of a prompt: all but one, from its second time on."""
        with self._lock:
            cached = prompt_tokens - 1 if prompt in self._seen else 0
            self._seen.add(prompt)
        return cached

    def add(self, answer: "Answer", first_s: float, last_s: float) -> None:
        """Count a response whose first and last token were generated after so many seconds."""
        prompt_tokens, tokens = len(answer.prompt_ids), len(answer.ids)
        counts = (prompt_tokens, tokens, answer.cached, prompt_tokens, tokens)
        amounts = (*counts, last_s, 1, first_s, last_s - first_s, tokens - 1, last_s, 1)
        with self._lock:
            for name, amount in zip(METRICS, amounts, strict=True):
                self._totals[name] += amount

    def exposition(self, model: str) -> bytes:
        lines = (
            f'{name}{{engine="0",model_name="{model}"}} {value}'
            for name, value in self._totals.items()
        )
        return ("# stand-in\n" + "\n".join(lines) + "\n").encode()


class Engine(ThreadingHTTPServer):
    """The server and what its requests share."""

    request_queue_size = 128  # 64 agents connect at once

    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.behaviour: Behaviour = options.behaviour
        self.counters = Counters()
        self.accepted = 0
        self.answered = 0
        self.ready_at = time.monotonic() + options.start_s
        super().__init__(("127.0.0.1", options.port), Handler)

    def get_request(self) -> tuple[Any, Any]:
        self.accepted += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when a client disconnects."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def setup(self) -> None:
        super().setup()
        if self.server.behaviour is Behaviour.CLOSES_WHEN_IDLE:
            self.connection.settimeout(0.1)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        behaviour, path = self._requested()
        plain = behaviour is Behaviour.PLAIN_OPENAI
        match path:
            case "/health":
                self._answer(503 if not self._is_ready() else 200, b"")
            case "/version" if not plain:
                self._answer(200, json.dumps({"version": VERSION}).encode())
            case "/v1/models":
                listing = {"object": "list", "data": [{"id": self.server.options.model}]}
                self._answer(200, json.dumps(listing).encode())
            case "/metrics" if not plain:
                self._answer(200, self.server.counters.exposition(self.server.options.model))
            case "/accepted":
                self._answer(200, str(self.server.accepted).encode())
            case _:
                self._answer(404, b'{"error": "not found"}')

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour, path = self._requested()
        if path != "/v1/chat/completions":
            self._answer(404, b'{"error": "not found"}')
        elif self.server.answered >= self.server.options.after:
            self._misbehave(request, behaviour)
        else:
            self._complete(request, Behaviour.GOOD)
        self.server.answered += 1

    def _requested(self) -> tuple[Behaviour, str]:
        name, _, path = self.path.removeprefix("/").partition("/")
        if name in (behaviour.value for behaviour in Behaviour):
            return Behaviour(name), f"/{path}"
        return self.server.behaviour, self.path

    def log_message(self, format: str, *args: object) -> None:
        sys.stdout.write(f"INFO: {format % args}\n")
        sys.stdout.flush()

    def _is_ready(self) -> bool:
        is_able = self.server.behaviour is not Behaviour.NEVER_HEALTHY
        return is_able and time.monotonic() >= self.server.ready_at

    def _misbehave(self, request: dict[str, Any], behaviour: Behaviour) -> None:
        if behaviour is Behaviour.DIES_IN_MID_RUN:
            print("CUDA out of luck", flush=True)
            os._exit(DIES_WITH)
        if behaviour in FIXED:
            self._answer(*FIXED[behaviour])
        elif behaviour in RAW:
            self._send_raw(RAW[behaviour])
        else:
            self._complete(request, behaviour)

    def _send_raw(self, raw: Raw) -> None:
        self.close_connection = True
        self._send(raw.head)
        while raw.repeated:
            time.sleep(raw.pause_s)
            self._send(raw.repeated)
        if raw.ending is Ending.WAIT:
            self.connection.recv(1)
        elif raw.ending is Ending.RESET:  # lingering for 0 s makes the kernel send RST (socket(7))
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def _complete(self, request: dict[str, Any], behaviour: Behaviour) -> None:
        """Answer a chat completion; it is counted before its last bytes are sent, as in vLLM."""
        started = time.monotonic()
        answer = self._generate(request, behaviour)
        self._compute(1)
        first_s = time.monotonic() - started
        if request.get("stream"):
            self._stream(answer, started, first_s)
        else:
            self._compute(len(answer.ids) - 1)
            self.server.counters.add(answer, first_s, time.monotonic() - started)
            self._answer(200, json.dumps(answer.document()).encode())

    def _generate(self, request: dict[str, Any], behaviour: Behaviour) -> "Answer":
        prompt = json.dumps(request["messages"])
        prompt_ids = [len(word) for word in prompt.split()]
        noise = random.Random(request["seed"])
        return Answer(
            behaviour=behaviour,
            prompt_ids=prompt_ids,
            ids=[noise.randrange(1000) for _ in range(int(request["max_tokens"]))],
            cached=self.server.counters.cached_tokens(prompt, len(prompt_ids)),
            with_ids=bool(request.get("return_token_ids"))
            and behaviour not in (Behaviour.NO_TOKEN_IDS, Behaviour.PLAIN_OPENAI),
        )

    def _stream(self, answer: "Answer", started: float, first_s: float) -> None:
        options = self.server.options
        is_chunked = options.framing == "chunked"
        self.close_connection = not is_chunked
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Connection: close"
        self._send(_HEAD + b"Content-Type: text/event-stream\r\n" + framing + b"\r\n\r\n")
        events = list(answer.events(options.per_chunk))
        for number, event in enumerate(events, start=1):
            if b'"delta"' in event:
                self._compute(options.per_chunk)
            if number == len(events):
                self.server.counters.add(answer, first_s, time.monotonic() - started)
            self._send(b"%x\r\n%s\r\n" % (len(event), event) if is_chunked else event)
        if is_chunked:
            self._send(b"0\r\n\r\n")

    def _compute(self, tokens: int) -> None:
        if self.server.options.tokens_per_s:
            time.sleep(tokens / self.server.options.tokens_per_s)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/v1/elsewhere")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One response, as a document or as events."""

    behaviour: Behaviour
    prompt_ids: list[int]
    ids: list[int]
    cached: int
    with_ids: bool

    @property
    def usage(self) -> dict[str, Any]:
        if self.behaviour is Behaviour.NO_USAGE:
            return {}
        usage = {
            "prompt_tokens": len(self.prompt_ids),
            "completion_tokens": len(self.ids) - (self.behaviour is Behaviour.WRONG_COUNT),
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }
        return {"usage": usage}

    def document(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": _words(self.ids)}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "length"}
        document: dict[str, Any] = {"choices": [choice], **self.usage}
        if self.with_ids:
            choice["token_ids"] = self.ids
            document["prompt_token_ids"] = self.prompt_ids
        return document

    def events(self, per_chunk: int) -> Iterator[bytes]:
        """Yield events of several tokens, after a comment; some end in CRLF and some in LF."""
        yield b": keep-alive\r\n\r\n"
        for at in range(0, len(self.ids), per_chunk):
            yield b"data: " + json.dumps(self._chunk(at, per_chunk)).encode() + b"\r\n\r\n"
            if self.behaviour is Behaviour.ERROR_EVENT:
                yield b'data: {"error": {"message": "as asked for", "code": 500}}\n\n'
        if self.usage:
            yield b"data:" + json.dumps({"choices": [], **self.usage}).encode() + b"\n\n"
        if self.behaviour is not Behaviour.NO_DONE:
            yield b"data: [DONE]\n\n"

    def _chunk(self, at: int, per_chunk: int) -> dict[str, Any]:
        ids = self.ids[at : at + per_chunk]
        choice: dict[str, Any] = {"index": 0, "delta": {"content": _words(ids)}}
        chunk: dict[str, Any] = {"choices": [choice]}
        if self.with_ids:
            choice["token_ids"] = ids
            chunk["prompt_token_ids"] = self.prompt_ids if at == 0 else None
        if at + per_chunk >= len(self.ids):
            choice["finish_reason"] = "length"
        return chunk


def _words(ids: list[int]) -> str:
    return "".join(f" w{number}" for number in ids)


def _log_private_facts(lines: list[str]) -> None:
    """Print what the logs of real engines contain of a host, and some more lines."""
    for name in ("HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "PATH"):
        print(f"{name}={os.environ.get(name)}")
    print(f"{platform.node()}:123:456 [0] NCCL INFO Bootstrap: Using eth0:192.168.7.31<0>")
    print(f"cwd {Path.cwd()} home {Path.home()} script {Path(__file__).resolve()}")
    print("GPU-8f2f1a5e-41e5-4d2e-9a3c-6b1f0c9d7e11 ether 52:54:00:ab:cd:ef to 10.20.30.40:29500")
    print("inet6 fe80::5054:ff:feab:cdef and 2001:0db8:85a3:0000:0000:8a2e:0370:7334")
    for line in lines:
        print(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behaviour", type=Behaviour, default=Behaviour.GOOD)
    parser.add_argument("--after", type=int, default=0, help="good answers before the fault")
    parser.add_argument("--model", default="moe-mini")
    parser.add_argument("--tokens-per-s", type=float, default=0.0, help="0: no pauses")
    parser.add_argument("--per-chunk", type=int, default=3, help="tokens in one event")
    parser.add_argument("--framing", choices=["chunked", "close"], default="chunked")
    parser.add_argument("--start-s", type=float, default=0.0, help="seconds until it is healthy")
    parser.add_argument("--child", action="store_true", help="start a child that outlives it")
    parser.add_argument("--escaped-child", action="store_true", help="and one in its own session")
    parser.add_argument("--say", action="append", default=[], help="a line for the log")
    return parser.parse_args()


def main() -> None:
    """Serve until a signal ends the process."""
    options = _options()
    if options.behaviour is Behaviour.IGNORES_SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for is_asked_for, has_session in ((options.child, False), (options.escaped_child, True)):
        if is_asked_for:
            forever = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
            subprocess.Popen(forever, start_new_session=has_session)
    if options.behaviour is Behaviour.TALKS_OF_ITS_HOST:
        _log_private_facts(options.say)
    if options.behaviour is Behaviour.DIES_AT_START:
        sys.exit("RuntimeError: as asked for")
    with Engine(options) as engine:
        print(f"listening on {engine.server_address[1]}", flush=True)
        engine.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
