"""One HTTP connection: a request out, the response's bytes in as they arrive, under a deadline.

What fails is an error code, without the exception's text: that may contain addresses.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import requests
import urllib3

from kit.bundle.record import ErrorCode
from kit.edge.stamps import Stamps, pools
from kit.parse.chat import Piece

CONNECT_TIMEOUT_S = 10.0
BODY_LIMIT_BYTES = 64 * 2**20
_READ_BYTES = 65536
_PIECE_OVERHEAD_BYTES = 512
"""Memory counted for each piece beside its bytes: a body may arrive one byte at a time."""


class Failed(Exception):
    """An exchange that failed, as a code."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code


class HttpConnection:
    """One connection to a server, opened again only where the server has closed it.

    No retry, no redirection, no proxy, no netrc. `stamps` are of the last exchange.
    """

    def __init__(self) -> None:
        self.stamps = Stamps()
        self._deadline = _Deadline()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            adapter = requests.adapters.HTTPAdapter()
            adapter.poolmanager.pool_classes_by_scheme = pools(self.stamps, self._deadline.watch)
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        self._session.close()

    def cut(self) -> None:
        """End the exchange that another thread is in, or is about to begin, and all later ones."""
        self._deadline.cut_for_good()

    def exchange(
        self, method: str, url: str, timeout_s: float, body: dict[str, Any] | None = None
    ) -> Iterator[Piece]:
        """Send a request; yield the response's bytes with their arrival (`Stamps`).

        Raises `Failed`.
        """
        self._deadline.start(timeout_s)
        self.stamps.start()
        try:
            yield from self._answer(method, url, timeout_s, body)
            failure = None
        except Failed as failed:
            failure = failed
        finally:
            self._deadline.stop()
        if self._deadline.passed:  # closing the socket may have caused any error
            raise Failed(ErrorCode.TIMED_OUT) from failure
        if failure is not None:
            raise failure

    def get(self, url: str, timeout_s: float) -> bytes:
        """Return what a server answers to GET; raise `Failed`."""
        return b"".join(data for _, data in self.exchange("GET", url, timeout_s))

    def _answer(
        self, method: str, url: str, timeout_s: float, body: dict[str, Any] | None
    ) -> Iterator[Piece]:
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
                yield from self._pieces(response)
        except requests.ConnectTimeout as error:
            raise Failed(ErrorCode.CONNECT_FAILED) from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise Failed(ErrorCode.TIMED_OUT) from error
        except requests.ConnectionError as error:
            raise Failed(_connection_error(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Failed(ErrorCode.DISCONNECTED) from error

    def _pieces(self, response: requests.Response) -> Iterator[Piece]:
        total = 0
        while data := response.raw.read1(_READ_BYTES):
            total += len(data) + _PIECE_OVERHEAD_BYTES
            if total > BODY_LIMIT_BYTES:
                raise Failed(ErrorCode.TOO_LARGE)
            yield self.stamps.arrived_s, data


class _Deadline:
    """Closes a connection when its time is up, at any point of the exchange.

    A socket's own timeout starts again with every byte, so a server that sends its headers or body
    byte by byte would never reach it.
    """

    def __init__(self) -> None:
        self.passed = False
        self._is_over = False
        self._timer: threading.Timer | None = None
        self._socket: socket.socket | None = None

    def start(self, seconds: float) -> None:
        self.passed = self._is_over
        self._socket = None
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, opened: socket.socket | None) -> None:
        """Set the socket that a response is about to be read from."""
        self._socket = opened
        if self.passed:  # before there was a connection
            self.cut()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # so that it cannot close the next exchange

    def cut_for_good(self) -> None:
        self._is_over = True
        self.cut()

    def cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _require_ok(status: int) -> None:
    if status == requests.codes.ok:
        return
    if status >= requests.codes.internal_server_error:
        raise Failed(ErrorCode.HTTP_SERVER_ERROR)
    if status >= requests.codes.bad_request:
        raise Failed(ErrorCode.HTTP_CLIENT_ERROR)
    raise Failed(ErrorCode.BAD_SHAPE)  # a redirection, or a success without content


def _connection_error(error: requests.ConnectionError) -> ErrorCode:
    """Return the code of a refused or of a broken connection, by the urllib3 error inside."""
    causes = (error.args[0], getattr(error.args[0], "reason", None)) if error.args else ()
    refused = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes)
    return ErrorCode.CONNECT_FAILED if refused else ErrorCode.DISCONNECTED
