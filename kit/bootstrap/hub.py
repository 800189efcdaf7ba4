"""HTTP as the hub of models speaks it: addresses, redirections, tokens, ranges, retries.

Standard library alone, since it also runs in an image build where nothing is installed. Nothing
that comes from here is to be believed: callers must verify hashes.

What the hub does is taken from its documentation and its public clients; the real hub was never
reached from here. Tests run against `tests/stand_in_hub.py`.
"""

import http.client
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urljoin, urlsplit

from kit.bootstrap.addresses import is_http, is_private, origin
from kit.errors import KitError, MachineError, SpecError, UsageError

HUB = "https://huggingface.co"

ATTEMPTS = 6
"""In a row, without `PROGRESS_BYTES` in between."""

PROGRESS_BYTES = 16 * 2**20
LONGEST_WAIT_S = 300.0
"""The window of the hub's rate limits, by its documentation."""
TIMEOUT_S = 30.0
STALLED_AFTER_S, STALLED_BELOW_BYTES = 60.0, 64 * 2**10
"""A socket's own time-out starts anew with every byte, so a server that drips never meets it."""

DOCUMENT_LIMIT_BYTES = 64 * 2**20
REDIRECTIONS = 5
_READ_BYTES = 2**20
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})
_NOT_THERE = frozenset({404, 410})


class Transient(Exception):
    """An attempt failed, but the next may not; `wait_s` is what the hub asks to wait before it."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a server sends: `start` is its first byte's place in the file, `total` the file's size.

    `said` are the headers of the hub's own first answer, `headers` those of the last one, after all
    redirections; names in lower case.
    """

    start: int
    total: int | None
    said: Mapping[str, str]
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A hub, and who asks it. `pause` waits so many seconds before another attempt."""

    endpoint: str = HUB
    token: str | None = None
    timeout_s: float = TIMEOUT_S
    pause: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if not _is_address(self.endpoint):
            raise UsageError(
                f"HF_ENDPOINT is not the address of a hub: {self.endpoint!r}",
                "expected https://HOST, or http://HOST:PORT",
                f"HF_ENDPOINT={HUB}",
            )
        if self.token is not None and not re.fullmatch("[!-~]+", self.token):
            raise UsageError(
                "HF_TOKEN is not a token",
                "expected one word of printable characters",
                "unset HF_TOKEN HF_TOKEN_PATH, or set the token as the hub shows it",
            )

    def file_address(self, repository: str, revision: str, name: str) -> str:
        """Return where a file of a repository is."""
        return f"{self.endpoint.rstrip('/')}/{repository}/resolve/{revision}/{quote(name)}"

    def api_address(self, repository: str, rest: str = "") -> str:
        """Return where the hub tells of a repository."""
        return f"{self.endpoint.rstrip('/')}/api/models/{repository}{rest}"

    def get(self, address: str) -> tuple[bytes, Mapping[str, str]]:
        """Return a whole small document and its headers.

        Raises `KitError` where it cannot be had in some attempts.
        """
        attempts = Attempts(self.pause)
        while True:
            try:
                with self.opened(address, 0) as body:
                    return _whole(body, address), body.headers
            except Transient as failure:
                attempts.failed(address, failure, 0)

    @contextmanager
    def opened(self, address: str, start: int) -> Iterator[Body]:
        """Ask once for a file from byte `start` on, through redirections.

        A server may send all of it instead. Raises `Transient`, or `KitError` for what will not
        mend itself.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": "llm-serving-repro-kit"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with closing(_Trip(self, headers)) as trip:
            response, said = trip.go(address)
            yield _body(response, said, start)

    def authorization(self, address: str) -> Mapping[str, str]:
        """Return the token's header where it may be sent: to the hub itself, unread by others."""
        is_ours = origin(address) == origin(self.endpoint)
        if self.token and is_ours and is_private(address):
            return {"Authorization": f"Bearer {self.token}"}
        return {}


class Attempts:
    """Counts failures in a row, waits longer after each, and gives up in the end."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._failures = 0
        self._progressed_at = 0

    def failed(self, address: str, failure: Transient, done_bytes: int) -> None:
        """Wait before the next attempt, or raise `MachineError` if there is to be none."""
        if done_bytes >= self._progressed_at + PROGRESS_BYTES:
            self._failures, self._progressed_at = 0, done_bytes
        self._failures += 1
        if self._failures == ATTEMPTS:
            raise MachineError(
                f"cannot download {address}: {failure}",
                f"{ATTEMPTS} attempts failed: no network, or a hub or a proxy that is at fault",
                "the same command again: it goes on where this one stopped",
            ) from failure
        self._pause(min(max(2.0 ** (self._failures - 1), failure.wait_s), LONGEST_WAIT_S))


class _AsTheyCome(urllib.request.HTTPErrorProcessor):
    """Hands on every answer, redirections and errors too: nothing is followed unseen."""

    def http_response(
        self, _request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        return response

    https_response = http_response  # type: ignore[assignment]  # as in the base class


class _Trip:
    """One request and the redirections that it is sent on."""

    def __init__(self, hub: Hub, headers: Mapping[str, str]) -> None:
        self._hub = hub
        self._headers = headers
        self._opener = urllib.request.build_opener(_AsTheyCome)
        self._response: http.client.HTTPResponse | None = None

    def go(self, address: str) -> tuple[http.client.HTTPResponse, Mapping[str, str]]:
        """Return the answer at the end of the way, and what was said at its beginning."""
        said: Mapping[str, str] | None = None
        for _ in range(REDIRECTIONS + 1):
            response = self._ask(address)
            headers = _headers(response)
            said = headers if said is None else said
            if response.status not in _REDIRECTED:
                _require_content(response, address)
                return response, said
            address = _redirected(address, headers.get("location", ""))
        raise _not_a_hub(address, f"more than {REDIRECTIONS} redirections")

    def close(self) -> None:
        if self._response is not None:
            self._response.close()

    def _ask(self, address: str) -> http.client.HTTPResponse:
        self.close()
        headers = {**self._headers, **self._hub.authorization(address)}
        request = urllib.request.Request(address, headers=headers)  # noqa: S310  # held to HTTP
        try:
            self._response = self._opener.open(request, timeout=self._hub.timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Transient(_worded(error)) from error
        return self._response


def _redirected(address: str, location: str) -> str:
    """Return where an answer redirects to: over HTTP, and never from TLS to plain text."""
    target = urljoin(address, location)
    downgraded = urlsplit(address).scheme == "https" and urlsplit(target).scheme != "https"
    if not location or not _is_address(target) or downgraded:
        raise _not_a_hub(address, f"a redirection to {location!r}")
    return target


def _require_content(response: http.client.HTTPResponse, address: str) -> None:
    status = response.status
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    if status in _WORTH_ANOTHER_TRY:
        raise Transient(f"it answers {status}", _asked_to_wait(_headers(response)))
    if status in _REFUSED:
        raise MachineError(
            f"the hub refuses {address}: {status}",
            "it is private or gated, or not there at all; a token that may read it is needed",
            "HF_TOKEN=... and the same command again",
        )
    if status in _NOT_THERE:
        raise SpecError(
            f"the hub has no {address}: {status}",
            "the repository, the revision or the file is not there, or no longer",
            "git diff -- docker/models.toml docker/models",
        )
    raise _not_a_hub(address, f"status {status}")


def _body(response: http.client.HTTPResponse, said: Mapping[str, str], asked_start: int) -> Body:
    """Return what a good answer holds, by its own word."""
    start, total = 0, _number(response.headers.get("Content-Length"))
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        span = re.fullmatch(
            r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", response.headers.get("Content-Range", "")
        )
        if span is None or int(span[1]) != asked_start:
            raise Transient("it sends another range than was asked for")
        start, total = int(span[1]), int(span[2])
    return Body(
        start=start,
        total=total,
        said=said,
        headers=_headers(response),
        pieces=_pieces(response),
    )


def _headers(response: http.client.HTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the answer's bytes as they arrive; raise `Transient` when they stop."""
    window_s, in_window = time.monotonic(), 0
    try:
        while piece := response.read1(_READ_BYTES):
            yield piece
            in_window += len(piece)
            if time.monotonic() - window_s > STALLED_AFTER_S:
                if in_window < STALLED_BELOW_BYTES:
                    raise Transient(f"{in_window} bytes in {STALLED_AFTER_S:.0f} s")
                window_s, in_window = time.monotonic(), 0
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Transient(_worded(error)) from error


def _whole(body: Body, address: str) -> bytes:
    data = bytearray()
    for piece in body.pieces:
        data += piece
        if len(data) > DOCUMENT_LIMIT_BYTES:
            raise _not_a_hub(address, f"more than {DOCUMENT_LIMIT_BYTES} bytes")
    if body.total is not None and len(data) < body.total:
        raise Transient(f"it broke off after {len(data)} of {body.total} bytes")
    return bytes(data)


def _not_a_hub(address: str, observed: str) -> KitError:
    return MachineError(
        f"{address} answers with {observed}",
        "that is not how a hub answers: a proxy, a mirror, or a hub that has changed",
        f"HF_ENDPOINT={HUB} and the same command again",
    )


def _is_address(address: str) -> bool:
    """Tell whether it is an address as a hub's: of one word, and without a name or password."""
    is_one_word = not re.search(r"[\s\x00-\x1f]", address)
    return is_one_word and is_http(address) and not urlsplit(address).username


def _asked_to_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds of a Retry-After, or of a RateLimit such as `"api";r=0;t=55`.

    A date in a Retry-After counts as none.
    """
    limit = re.search(r";\s*t=(\d{1,9})", headers.get("ratelimit", ""))
    return float(_number(headers.get("retry-after")) or (limit[1] if limit else 0))


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _worded(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return f"{reason}" or type(error).__name__
