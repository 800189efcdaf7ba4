"""The HTTP client: sends a plan's requests to an OpenAI-compatible server and times them.

The only module that imports requests. A request that fails becomes a record with an error code, not
with the exception's text: that may contain addresses.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec
import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kit.bundle.record import ErrorCode, Record
from kit.errors import MachineError, UsageError
from kit.parse import chat
from kit.parse.chat import Answer, Piece
from kit.plan.plan import Connection, Dialect, Plan
from kit.plan.schedule import Phase, Request

CONNECT_TIMEOUT_S = 10.0
PROBE_TIMEOUT_S = 30.0
BODY_LIMIT_BYTES = 64 * 2**20
_READ_BYTES = 65536
_PIECE_OVERHEAD_BYTES = 512
"""Memory counted for each piece beside its bytes: a body may arrive one byte at a time."""

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


class _Failed(Exception):
    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code


class Client:
    """Client of one server for one run; implements `kit.run.walk.Server`.

    `origin_s` is the run's start on `time.monotonic()`.
    """

    def __init__(self, base_url: str, served_model: str, plan: Plan, origin_s: float) -> None:
        self._base_url = base_url
        self._served_model = served_model
        self._plan = plan
        self._origin_s = origin_s
        self._kept = _Connection()

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
        connection = self._kept if self._plan.connection is Connection.KEPT else _Connection()
        sent_s = time.monotonic()
        try:
            for data in connection.exchange("POST", url, self._plan.timeout_s, body):
                pieces.append((time.monotonic() - sent_s, data))
        except _Failed as failed:
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
        timeout_s = min(PROBE_TIMEOUT_S, self._plan.timeout_s)
        try:
            return b"".join(self._kept.exchange("GET", f"{self._base_url}/metrics", timeout_s))
        except _Failed:
            return None

    def _read(self, phase: Phase, pieces: list[Piece]) -> Answer:
        if phase is Phase.STREAM:
            return chat.read_stream(pieces, self._plan.dialect)
        return chat.read_completion(b"".join(data for _, data in pieces), self._plan.dialect)


def base_url(url: str) -> str:
    """Return an endpoint's URL without a path; raise `UsageError` for what is not over HTTP."""
    try:
        parts = urllib3.util.parse_url(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.host) and parts.port != 0
    except urllib3.exceptions.LocationParseError:
        is_http = False
    if not is_http:
        raise UsageError(
            f"not an endpoint: {url!r}",
            "expected http://HOST:PORT or https://HOST",
            "kit bench --endpoint http://127.0.0.1:8000",
        )
    return url.rstrip("/").removesuffix("/v1")


def dialect_of(base_url: str) -> Dialect:
    """Return VLLM for a server that answers `/version`: it then knows vLLM's extensions."""
    return Dialect.VLLM if engine_version(base_url) else Dialect.OPENAI


def engine_version(base_url: str) -> str | None:
    """Return the version of a vLLM server; None where another server or another text answers."""
    version = _probe(base_url, "/version").get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


def served_models(base_url: str) -> tuple[str, ...]:
    """Return the names of the server's models; raise `MachineError` where it lists none."""
    listing = _probe(base_url, "/v1/models").get("data")
    models = listing if isinstance(listing, list) else []
    names = [model.get("id") for model in models if isinstance(model, dict)]
    served = tuple(name for name in names if isinstance(name, str))
    if not served:
        raise MachineError(
            f"{base_url} does not list its models",
            "expected an OpenAI-compatible server that answers /v1/models",
            f"curl {base_url}/v1/models",
        )
    return served


def _probe(base_url: str, path: str) -> dict[str, Any]:
    connection = _Connection()
    try:
        answer = msgspec.json.decode(
            b"".join(connection.exchange("GET", base_url + path, PROBE_TIMEOUT_S))
        )
    except (_Failed, msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}


class _Connection:
    """One connection to a server, opened again only where the server has closed it.

    No retry, no redirection, no proxy, no netrc.
    """

    def __init__(self) -> None:
        self._deadline = _Deadline()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter()
            adapter.poolmanager.pool_classes_by_scheme = _pools(self._deadline.watch)
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        self._session.close()

    def exchange(
        self, method: str, url: str, timeout_s: float, body: dict[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Send a request and yield the response's bytes as they arrive; raise `_Failed`."""
        self._deadline.start(timeout_s)
        try:
            yield from self._answer(method, url, timeout_s, body)
            failure = None
        except _Failed as failed:
            failure = failed
        finally:
            self._deadline.stop()
        if self._deadline.passed:  # closing the socket may have caused any error
            raise _Failed(ErrorCode.TIMED_OUT) from failure
        if failure is not None:
            raise failure

    def _answer(
        self, method: str, url: str, timeout_s: float, body: dict[str, Any] | None
    ) -> Iterator[bytes]:
        try:
            with self._session.request(
                method,
                url,
                json=body,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT_S, timeout_s), timeout_s),
            ) as response:
                _require_ok(response.status_code)
                yield from _pieces(response)
        except requests.ConnectTimeout as error:
            raise _Failed(ErrorCode.CONNECT_FAILED) from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _Failed(ErrorCode.TIMED_OUT) from error
        except requests.ConnectionError as error:
            raise _Failed(_connection_error(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _Failed(ErrorCode.DISCONNECTED) from error


class _Deadline:
    """Closes a connection when its time is up, at any point of the exchange.

    A socket's own timeout starts again with every byte, so a server that sends its headers or body
    byte by byte would never reach it.
    """

    def __init__(self) -> None:
        self.passed = False
        self._timer: threading.Timer | None = None
        self._socket: socket.socket | None = None

    def start(self, seconds: float) -> None:
        self.passed = False
        self._socket = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, opened: socket.socket | None) -> None:
        """Set the socket that a response is about to be read from."""
        self._socket = opened
        if self.passed:  # before there was a connection
            self._cut()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # so that it cannot close the next exchange

    def _cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _pools(
    watch: Callable[[socket.socket | None], None],
) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools, with connections that pass their socket to `watch` before reading."""

    class Plain(HTTPConnection):
        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3
            watch(self.sock)
            return super().getresponse()

    class Tls(HTTPSConnection):
        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3
            watch(self.sock)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _require_ok(status: int) -> None:
    if status == requests.codes.ok:
        return
    if status >= requests.codes.internal_server_error:
        raise _Failed(ErrorCode.HTTP_SERVER_ERROR)
    if status >= requests.codes.bad_request:
        raise _Failed(ErrorCode.HTTP_CLIENT_ERROR)
    raise _Failed(ErrorCode.BAD_SHAPE)  # a redirection, or a success without content


def _pieces(response: requests.Response) -> Iterator[bytes]:
    total = 0
    while piece := response.raw.read1(_READ_BYTES):
        total += len(piece) + _PIECE_OVERHEAD_BYTES
        if total > BODY_LIMIT_BYTES:
            raise _Failed(ErrorCode.TOO_LARGE)
        yield piece


def _connection_error(error: requests.ConnectionError) -> ErrorCode:
    """Return the code of a refused or of a broken connection, by the urllib3 error inside."""
    causes = (error.args[0], getattr(error.args[0], "reason", None)) if error.args else ()
    refused = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes)
    return ErrorCode.CONNECT_FAILED if refused else ErrorCode.DISCONNECTED
