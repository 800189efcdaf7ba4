"""A small OpenAI-compatible server that stands in for vLLM in tests. It serves no model.

    python tests/stand_in_engine.py --port 8000 --behaviour good

Standard library alone. Its answers are made of numbered words, the same for the same seed; its
counters are vLLM's by name and really count. `--behaviour` names what it does wrong, if anything:
see `Behaviour`; a path that begins with a name (`/hangs/v1/chat/completions`) asks for that one
alone. At `/accepted` it tells how many TCP connections it has taken.
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
from collections.abc import Callable, Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "0.17.0"
DIES_WITH = 3


class Behaviour(Enum):
    """What the server does; all but the first few are faults of a chat completion."""

    GOOD = "good"
    PLAIN_OPENAI = "plain-openai"  # no token ids, no /version, no /metrics
    SLOW_START = "slow-start"
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


STATUSES = {
    Behaviour.HTTP_400: 400,
    Behaviour.HTTP_404: 404,
    Behaviour.HTTP_500: 500,
    Behaviour.HTTP_503: 503,
    Behaviour.REDIRECTS: 307,
    Behaviour.NO_CONTENT: 204,
}


BODIES = {
    Behaviour.GARBAGE: bytes(range(256)),
    Behaviour.HTML: b"<html><body>Welcome to nginx!</body></html>",
    Behaviour.EMPTY: b"",
    Behaviour.DEEP_JSON: b"data: " + b"[" * 100_000 + b"\n\ndata: [DONE]\n\n",
}

_HEAD = b"HTTP/1.1 200 OK\r\n"
BEGINNINGS = {
    Behaviour.HANGS: b"",
    Behaviour.CLOSES_AT_ONCE: b"",
    Behaviour.NOT_HTTP: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    Behaviour.RESETS: _HEAD + b"Content-Length: 100\r\n\r\n{",
    Behaviour.HANGS_IN_BODY: _HEAD + b"Content-Length: 100\r\n\r\n{",
    Behaviour.CLOSES_EARLY: _HEAD + b"Content-Length: 100\r\n\r\n{",
    Behaviour.DRIPS: _HEAD + b"Connection: close\r\n\r\n",
    Behaviour.DRIPS_HEADERS: _HEAD + b"X-Drip: ",
    Behaviour.ENDLESS: _HEAD + b"Connection: close\r\n\r\n",
    Behaviour.ENDLESS_CRUMBS: _HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
}


class Counters:
    """vLLM's counters, by its names for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self.totals = dict.fromkeys(
            (
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
            ),
            0.0,
        )

    def cached_tokens(self, prompt: str, prompt_tokens: int) -> int:
        """Return how many tokens of a prompt are cached: all but one, from its second time on."""
        with self._lock:
            cached = prompt_tokens - 1 if prompt in self._seen else 0
            self._seen.add(prompt)
        return cached

    def add(
        self, prompt_tokens: int, tokens: int, cached: int, first_s: float, last_s: float
    ) -> None:
        """Count a response whose first and last token were done after so many seconds."""
        counts = (prompt_tokens, tokens, cached, prompt_tokens, tokens)
        amounts = (*counts, last_s, 1, first_s, last_s - first_s, tokens - 1, last_s, 1)
        with self._lock:
            for name, amount in zip(self.totals, amounts, strict=True):
                self.totals[name] += amount

    def exposition(self, model: str) -> bytes:
        lines = (
            f'{name}{{engine="0",model_name="{model}"}} {value}'
            for name, value in self.totals.items()
        )
        return ("# stand-in\n" + "\n".join(lines) + "\n").encode()


class Engine(ThreadingHTTPServer):
    """The server and what its requests share."""

    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.behaviour: Behaviour = options.behaviour
        self.counters = Counters()
        self.accepted = 0
        self.answered = 0
        self.ready_at = time.monotonic() + options.start_s
        super().__init__((options.host, options.port), Handler)

    def get_request(self) -> tuple[Any, Any]:
        self.accepted += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def setup(self) -> None:
        super().setup()
        if self.server.behaviour is Behaviour.CLOSES_WHEN_IDLE:
            self.connection.settimeout(0.1)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        behaviour, path = self._asked_for()
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
        behaviour, path = self._asked_for()
        if path != "/v1/chat/completions":
            self._answer(404, b'{"error": "not found"}')
        elif self.server.answered >= self.server.options.after:
            self._misbehave(request, behaviour)
        else:
            self._complete(request, Behaviour.GOOD)
        self.server.answered += 1

    def _asked_for(self) -> tuple[Behaviour, str]:
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
        if behaviour in STATUSES:
            self._answer(STATUSES[behaviour], b'{"error": "as asked for"}')
        elif behaviour in BODIES:
            self._answer(200, BODIES[behaviour])
        elif behaviour in BEGINNINGS:
            self.close_connection = True
            self._send(BEGINNINGS[behaviour])
            self._go_on(behaviour)
        else:
            self._complete(request, behaviour)

    def _go_on(self, behaviour: Behaviour) -> None:
        """Go on after the beginning of an answer; where nothing is said here, close."""
        match behaviour:
            case Behaviour.HANGS | Behaviour.HANGS_IN_BODY:
                self.connection.recv(1)  # until the client gives up
            case Behaviour.RESETS:  # lingering for no time makes the kernel send RST (socket(7))
                no_time = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
                self.connection.close()
            case Behaviour.DRIPS | Behaviour.DRIPS_HEADERS:
                while True:
                    time.sleep(0.05)
                    self._send(b" ")
            case Behaviour.ENDLESS:
                while True:
                    self._send(b" " * 2**20)
            case Behaviour.ENDLESS_CRUMBS:
                while True:
                    self._send(b"1\r\n \r\n" * 10_000)

    def _complete(self, request: dict[str, Any], behaviour: Behaviour) -> None:
        started = time.monotonic()
        prompt = json.dumps(request["messages"])
        prompt_ids = [len(word) for word in prompt.split()]
        count = int(request["max_tokens"])
        chance = random.Random(request["seed"])
        ids = [chance.randrange(1000) for _ in range(count)]
        cached = self.server.counters.cached_tokens(prompt, len(prompt_ids))
        usage = {
            "prompt_tokens": len(prompt_ids),
            "completion_tokens": count - (behaviour is Behaviour.WRONG_COUNT),
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        with_ids = bool(request.get("return_token_ids")) and behaviour not in (
            Behaviour.NO_TOKEN_IDS,
            Behaviour.PLAIN_OPENAI,
        )
        if behaviour is Behaviour.NO_USAGE:
            usage = {}
        answer = Answer(prompt_ids if with_ids else None, ids, usage, with_ids)
        self._compute(1)
        first_s = time.monotonic() - started

        def finish() -> None:  # as vLLM does, before the end of the response is sent
            last_s = time.monotonic() - started
            self.server.counters.add(len(prompt_ids), count, cached, first_s, last_s)

        if request.get("stream"):
            self._stream(answer, behaviour, finish)
        else:
            self._compute(count - 1)
            finish()
            self._answer(200, json.dumps(answer.document()).encode())

    def _stream(self, answer: "Answer", behaviour: Behaviour, finish: Callable[[], None]) -> None:
        chunked = self.server.options.framing == "chunked"
        framing = b"Transfer-Encoding: chunked" if chunked else b"Connection: close"
        self.close_connection = not chunked
        self._send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + framing + b"\r\n\r\n"
        )
        *pieces, last = answer.events(behaviour, self.server.options.per_chunk)
        for piece in (*pieces, last):
            if b'"delta"' in piece:
                self._compute(self.server.options.per_chunk)
            if piece is last:
                finish()
            self._send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self._send(b"0\r\n\r\n")

    def _compute(self, tokens: int) -> None:
        if self.server.options.tokens_per_s:
            time.sleep(tokens / self.server.options.tokens_per_s)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == STATUSES[Behaviour.REDIRECTS]:
            self.send_header("Location", "/v1/elsewhere")
        if status != STATUSES[Behaviour.NO_CONTENT]:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != STATUSES[Behaviour.NO_CONTENT]:
            self.wfile.write(body)

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()


class Answer:
    """One answer, in whole or in events."""

    def __init__(
        self, prompt_ids: list[int] | None, ids: list[int], usage: dict[str, Any], with_ids: bool
    ) -> None:
        self._prompt_ids, self._ids, self._usage, self._with_ids = prompt_ids, ids, usage, with_ids

    def document(self) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": _words(self._ids)},
            "finish_reason": "length",
        }
        document: dict[str, Any] = {"choices": [choice]}
        if self._usage:
            document["usage"] = self._usage
        if self._with_ids:
            choice["token_ids"] = self._ids
            document["prompt_token_ids"] = self._prompt_ids
        return document

    def events(self, behaviour: Behaviour, per_chunk: int) -> Iterator[bytes]:
        """Yield events with several tokens each, a comment, CRLF here and LF there."""
        yield b": keep-alive\r\n\r\n"
        groups = [self._ids[at : at + per_chunk] for at in range(0, len(self._ids), per_chunk)]
        for number, group in enumerate(groups):
            choice: dict[str, Any] = {"index": 0, "delta": {"content": _words(group)}}
            chunk: dict[str, Any] = {"choices": [choice]}
            if self._with_ids:
                choice["token_ids"] = group
                chunk["prompt_token_ids"] = self._prompt_ids if number == 0 else None
            if number == len(groups) - 1:
                choice["finish_reason"] = "length"
            yield b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
            if behaviour is Behaviour.ERROR_EVENT:
                yield b'data: {"error": {"message": "as asked for", "code": 500}}\n\n'
        if self._usage:
            usage = json.dumps({"choices": [], "usage": self._usage}).encode()
            yield b"data:" + usage + b"\n\n"
        if behaviour is not Behaviour.NO_DONE:
            yield b"data: [DONE]\n\n"


def _words(ids: list[int]) -> str:
    return "".join(f" w{number}" for number in ids)


def _talk(options: argparse.Namespace) -> None:
    """Say what real engines say of a host in their logs."""
    for name in ("HOME", "USER", "LOGNAME", "HOSTNAME", "TMPDIR", "PATH"):
        print(f"{name}={os.environ.get(name)}")
    print(f"{platform.node()}:123:456 [0] NCCL INFO Bootstrap: Using eth0:192.168.7.31<0>")
    print(f"cwd {Path.cwd()} home {Path.home()} script {Path(__file__).resolve()}")
    print("GPU-8f2f1a5e-41e5-4d2e-9a3c-6b1f0c9d7e11 ether 52:54:00:ab:cd:ef to 10.20.30.40:29500")
    print("inet6 fe80::5054:ff:feab:cdef and 2001:0db8:85a3:0000:0000:8a2e:0370:7334")
    for text in options.say:
        print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behaviour", type=Behaviour, default=Behaviour.GOOD)
    parser.add_argument("--after", type=int, default=0, help="good answers before the fault")
    parser.add_argument("--model", default="moe-mini")
    parser.add_argument("--tokens-per-s", type=float, default=0.0, help="0: as fast as can be")
    parser.add_argument("--per-chunk", type=int, default=3, help="tokens in one event")
    parser.add_argument("--framing", choices=["chunked", "close"], default="chunked")
    parser.add_argument("--start-s", type=float, default=0.0, help="not healthy until then")
    parser.add_argument("--child", action="store_true", help="start a child that would go on")
    parser.add_argument("--escaped-child", action="store_true", help="one in a session of its own")
    parser.add_argument("--say", action="append", default=[], help="a line for the log")
    return parser.parse_args()


def main() -> None:
    """Serve until told to stop."""
    options = _options()
    if options.behaviour is Behaviour.IGNORES_SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for wanted, is_escaping in ((options.child, False), (options.escaped_child, True)):
        if wanted:
            forever = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
            subprocess.Popen(forever, start_new_session=is_escaping)
    if options.behaviour is Behaviour.TALKS_OF_ITS_HOST:
        _talk(options)
    if options.behaviour is Behaviour.DIES_AT_START:
        sys.exit("RuntimeError: as asked for")
    with Engine(options) as engine:
        print(f"listening on {engine.server_address[1]}", flush=True)
        engine.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
