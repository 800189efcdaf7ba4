"""Incremental parser of server-sent events.

WHATWG HTML Living Standard, section 9.2.6 "Interpreting an event stream". The chat completions API
uses only `data` fields; `event`, `id` and `retry` are ignored.
"""

from collections.abc import Iterator

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event, or a line of one, exceeds the limit."""


class EventParser:
    """Turns chunks of bytes, split anywhere, into the data of events.

    Lines end in CRLF, LF or CR. A CR at the end of a chunk ends its line at once, and an LF at the
    start of the next chunk belongs to it. An event without its blank line is discarded, as the
    standard says. A line, or an event's data, above the limit raises `EventTooLarge`.
    """

    def __init__(self, limit_bytes: int = 16 * 2**20) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._at_start = True
        self._skip_line_feed = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of each event that this chunk completes."""
        for line in self._lines(chunk):
            if line == b"":
                if self._data:
                    yield b"\n".join(self._data).decode("utf-8", "replace")
                self._data, self._data_bytes = [], 0
            else:
                self._field(line)

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that this chunk completes, in linear time for chunks of any size."""
        if self._skip_line_feed and chunk:
            chunk, self._skip_line_feed = chunk.removeprefix(b"\n"), False
        if self._at_start:
            chunk = self._without_byte_order_mark(chunk)
        if not chunk:
            return
        self._skip_line_feed = chunk.endswith(b"\r")
        rest, *starts = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for start in starts:
            yield self._line(rest)
            rest = start
        self._pending += rest
        self._refuse_over_limit(len(self._pending), "a line")

    def _line(self, rest: bytes) -> bytes:
        self._pending += rest
        line = bytes(self._pending)
        self._refuse_over_limit(len(line), "a line")
        self._pending.clear()
        return line

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        """Return the stream's first bytes, once there are enough to recognise a byte order mark."""
        start = bytes(self._pending) + chunk
        if len(start) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(start):
            self._pending[:] = start
            return b""
        self._pending.clear()
        self._at_start = False
        return start.removeprefix(_BYTE_ORDER_MARK)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name != b"data":  # a comment has an empty name
            return
        value = value.removeprefix(b" ")
        self._data.append(value)
        self._data_bytes += len(value) + 1
        self._refuse_over_limit(self._data_bytes, "the data of an event")

    def _refuse_over_limit(self, size_bytes: int, what: str) -> None:
        if size_bytes > self._limit_bytes:
            raise EventTooLarge(f"{what} of more than {self._limit_bytes} bytes")
