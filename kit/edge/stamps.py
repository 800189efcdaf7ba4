"""Connections of urllib3 that stamp when a request goes out and when bytes come in.

What a library does before the first byte is sent, and after bytes have come, is not the server's.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Stamps:
    """Times of one connection's exchange on `time.monotonic()`.

    `sent_s` is just before the first byte was sent, or of the exchange's start where none was.
    """

    def __init__(self) -> None:
        self.sent_s = 0.0
        self._is_sent = False
        self._received_s: float | None = None

    @property
    def arrived_s(self) -> float:
        """When the bytes that were read last had arrived; now, over TLS."""
        return time.monotonic() if self._received_s is None else self._received_s

    def start(self) -> None:
        """Begin an exchange."""
        self.sent_s, self._is_sent = time.monotonic(), False

    def sending(self) -> None:
        if not self._is_sent:
            self.sent_s, self._is_sent = time.monotonic(), True

    def received(self) -> None:
        self._received_s = time.monotonic()


class _Socket(socket.socket):
    """A socket that stamps what it receives."""

    stamps: Stamps

    def recv_into(self, *arguments: object) -> int:
        count = super().recv_into(*arguments)  # type: ignore[arg-type]
        self.stamps.received()
        return count


def pools(
    stamps: Stamps, about_to_read: Callable[[socket.socket | None], None]
) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools of connections that stamp, by scheme.

    They call `about_to_read` with their socket before they read a response.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            timeout_s = self.sock.gettimeout()
            self.sock = _Socket(fileno=self.sock.detach())
            self.sock.settimeout(timeout_s)
            self.sock.stamps = stamps

        def send(self, data: Any) -> None:  # noqa: ANN401  # whatever urllib3 sends
            stamps.sending()
            super().send(data)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3
            about_to_read(self.sock)
            return super().getresponse()

    class Tls(HTTPSConnection):
        def send(self, data: Any) -> None:  # noqa: ANN401  # whatever urllib3 sends
            stamps.sending()
            super().send(data)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3
            about_to_read(self.sock)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
