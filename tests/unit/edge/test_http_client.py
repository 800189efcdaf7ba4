"""The client with real sockets: every fault gives a record with its code, in time."""

import itertools
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.edge import server_probe
from kit.edge.http_client import Client
from kit.plan import schedule
from kit.plan.plan import Connection, Dialect, Plan
from kit.plan.schedule import Phase, Request
from kit.run import walk as run_walk
from kit.run.walk import RunLog
from tests.unit.edge.conftest import MAX_TOKENS, Serve, answering, make_plan

SHORT_S = 0.4
FAULTS = {
    "http-400": ErrorCode.HTTP_CLIENT_ERROR,
    "http-404": ErrorCode.HTTP_CLIENT_ERROR,
    "http-500": ErrorCode.HTTP_SERVER_ERROR,
    "http-503": ErrorCode.HTTP_SERVER_ERROR,
    "redirects": ErrorCode.BAD_SHAPE,
    "no-content": ErrorCode.BAD_SHAPE,
    "no-usage": ErrorCode.NO_USAGE,
    "wrong-count": ErrorCode.TOKEN_COUNT,
    "no-token-ids": ErrorCode.BAD_SHAPE,
    "deep-json": ErrorCode.NOT_JSON,
    "closes-early": ErrorCode.DISCONNECTED,
    "closes-at-once": ErrorCode.DISCONNECTED,
    "not-http": ErrorCode.DISCONNECTED,
    "resets": ErrorCode.DISCONNECTED,
}
UNREADABLE = ("garbage", "html", "empty")
LATE = ("hangs", "hangs-in-body", "drips", "drips-headers")


def request(phase: Phase = Phase.MEASURED) -> Request:
    return Request(
        phase=phase, pass_number=1, prompt_id="impl", prompt="Hi", seed=7, cache_salt=None
    )


def send(url: str, phase: Phase, planned: Plan) -> Record:
    with Client(url, "moe-mini", planned, time.monotonic()) as server:
        return server.send(request(phase))


def accepted(url: str) -> int:
    """Ask how many connections were taken, this one included."""
    with urllib.request.urlopen(f"{url}/accepted", timeout=10) as answer:
        return int(answer.read())


@pytest.mark.parametrize("phase", [Phase.MEASURED, Phase.STREAM])
@pytest.mark.parametrize(("behaviour", "code"), FAULTS.items())
def test_a_fault_is_a_record_with_its_code(
    behaviour: str, code: ErrorCode, phase: Phase, stand_in: str
) -> None:
    assert send(f"{stand_in}/{behaviour}", phase, make_plan()).error is code


def test_an_engine_that_dies_is_a_record(serve: Serve) -> None:
    with serve("--behaviour=dies-in-mid-run") as url:
        assert send(url, Phase.STREAM, make_plan()).error is ErrorCode.DISCONNECTED
        assert send(url, Phase.STREAM, make_plan()).error is ErrorCode.CONNECT_FAILED


@pytest.mark.parametrize("behaviour", ["endless", "endless-crumbs"])
def test_an_endless_answer_is_too_large(behaviour: str, stand_in: str) -> None:
    assert send(f"{stand_in}/{behaviour}", Phase.STREAM, make_plan()).error is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("behaviour", UNREADABLE)
def test_an_unreadable_answer_is_a_record(behaviour: str, stand_in: str) -> None:
    url = f"{stand_in}/{behaviour}"
    assert send(url, Phase.MEASURED, make_plan()).error is ErrorCode.NOT_JSON
    assert send(url, Phase.STREAM, make_plan()).error is ErrorCode.STREAM_CUT


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("no-done", ErrorCode.STREAM_CUT), ("error-event", ErrorCode.STREAM_ERROR)],
)
def test_a_broken_stream_keeps_what_came(behaviour: str, code: ErrorCode, stand_in: str) -> None:
    record = send(f"{stand_in}/{behaviour}", Phase.STREAM, make_plan())
    assert record.error is code
    assert record.token_ids
    assert record.chunks


@pytest.mark.parametrize("phase", [Phase.MEASURED, Phase.STREAM])
@pytest.mark.parametrize("behaviour", LATE)
def test_a_late_answer_is_cut_at_the_timeout(behaviour: str, phase: Phase, stand_in: str) -> None:
    record = send(f"{stand_in}/{behaviour}", phase, make_plan(timeout_s=SHORT_S))
    assert record.error is ErrorCode.TIMED_OUT
    assert 0.9 * SHORT_S <= record.wall_s < 10 * SHORT_S  # a machine may be busy


def test_a_timeout_is_for_one_request(serve: Serve) -> None:
    with (
        serve("--after=1", "--behaviour=hangs") as url,
        Client(url, "moe-mini", make_plan(timeout_s=1.0), time.monotonic()) as server,
    ):
        assert [server.send(request()).error for _ in range(2)] == [None, ErrorCode.TIMED_OUT]
        assert server.metrics() is not None


def test_a_refused_connection_is_a_record() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert send(url, Phase.MEASURED, make_plan()).error is ErrorCode.CONNECT_FAILED
        with Client(url, "moe-mini", make_plan(), time.monotonic()) as server:
            assert server.metrics() is None


def test_an_unknown_host_is_a_record() -> None:
    record = send("http://nowhere.invalid:1", Phase.MEASURED, make_plan())
    assert record.error is ErrorCode.CONNECT_FAILED


def test_a_connection_that_nobody_takes_is_a_record() -> None:
    with listening(backlog=0) as address, fill_backlog(address):
        url = "http://{}:{}".format(*address)
        record = send(url, Phase.MEASURED, make_plan(timeout_s=SHORT_S))
    assert record.error in (ErrorCode.CONNECT_FAILED, ErrorCode.TIMED_OUT)
    assert record.wall_s < 10 * SHORT_S


@pytest.mark.parametrize("phase", [Phase.MEASURED, Phase.STREAM])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_good_answer_is_recorded_whole(phase: Phase, framing: str, serve: Serve) -> None:
    with serve("--framing", framing) as url:
        first, again = (send(url, phase, make_plan()) for _ in range(2))
    assert first.error is None
    assert first.finish_reason is FinishReason.LENGTH
    assert first.completion_tokens == MAX_TOKENS == len(first.token_ids or ())
    assert first.prompt_tokens == len(first.prompt_token_ids or ())
    assert first.prompt_tokens is not None
    assert (first.cached_tokens, again.cached_tokens) == (0, first.prompt_tokens - 1)
    assert (again.text, again.token_ids) == (first.text, first.token_ids)
    assert first.text
    assert first.sent_s >= 0


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_chunks_are_timed_as_they_arrive(framing: str, serve: Serve) -> None:
    """Five chunks, 100 ms apart: they must not come in a batch."""
    with serve("--framing", framing, "--tokens-per-s=30", "--per-chunk=3") as url:
        record = send(url, Phase.STREAM, make_plan(max_tokens=15))
    assert record.chunks is not None
    arrivals = [arrival_s for arrival_s, _ in record.chunks]
    assert [tokens for _, tokens in record.chunks] == [3] * 5
    assert len(set(arrivals)) >= 4
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] <= record.wall_s
    assert arrivals[-1] - arrivals[0] >= 0.3


def test_wall_time_is_from_sending_to_the_last_byte(serve: Serve) -> None:
    with serve("--tokens-per-s=40") as url:
        started = time.monotonic()
        record = send(url, Phase.MEASURED, make_plan())
        assert MAX_TOKENS / 40 <= record.wall_s <= time.monotonic() - started


def walk(url: str, planned: Plan) -> RunLog:
    run_log = RunLog()
    with Client(url, "moe-mini", planned, time.monotonic()) as server:
        assert run_walk.walk(planned, server, run_log, lambda record: None) is None
    return run_log


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_kept_connection_serves_the_whole_run(framing: str, serve: Serve) -> None:
    with serve("--framing", framing) as url:
        before = accepted(url)
        walk(url, make_plan())
        # A stream that ends with its connection costs a new one for the next of the two.
        ends, reading_metrics = 1 if framing == "close" else 0, 1
        assert accepted(url) - before - 1 == 1 + ends + reading_metrics


def test_a_connection_per_request_is_one_each(serve: Serve) -> None:
    planned = make_plan(connection=Connection.PER_REQUEST)
    with serve() as url:
        before = accepted(url)
        walk(url, planned)
        reading_metrics = 1
        assert accepted(url) - before - 1 == len(list(schedule.requests(planned))) + reading_metrics


def test_a_kept_connection_that_the_server_closed_is_opened_anew(serve: Serve) -> None:
    """Nothing was sent on the closed one: nothing is hidden, nothing counted twice."""
    with (
        serve("--behaviour=closes-when-idle", "--after=1000") as url,
        Client(url, "moe-mini", make_plan(), time.monotonic()) as server,
    ):
        records = []
        for _ in range(2):
            records.append(server.send(request()))
            time.sleep(0.3)  # longer than the server keeps an idle connection
        assert [record.error for record in records] == [None, None]
        assert b"vllm:e2e_request_latency_seconds_count" in (server.metrics() or b"")
        assert counter(server.metrics(), "vllm:e2e_request_latency_seconds_count") == 2


def test_a_request_is_never_sent_twice(serve: Serve) -> None:
    """The server takes the second request on a kept connection and closes it unanswered."""
    with (
        serve("--behaviour=closes-at-once", "--after=1") as url,
        Client(url, "moe-mini", make_plan(), time.monotonic()) as server,
    ):
        before = accepted(url)
        assert [server.send(request()).error for _ in range(2)] == [None, ErrorCode.DISCONNECTED]
        assert accepted(url) - before - 1 == 1


def test_counters_are_those_of_the_run(serve: Serve) -> None:
    with serve() as url:
        run_log = walk(url, make_plan())
    last = run_log.metrics["stream-1-after"]
    total = sum(record.completion_tokens or 0 for record in run_log.records)
    assert counter(last, "vllm:generation_tokens_total") == total == 8 * MAX_TOKENS
    assert len(run_log.metrics) == 8


def counter(exposition: bytes | None, name: str) -> float:
    lines = (exposition or b"").decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


def test_proxies_and_netrc_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server answers only a request that comes straight to it, and without credentials."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    heard: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", heard=heard) as url:
        assert send(url, Phase.MEASURED, make_plan()).error is ErrorCode.BAD_SHAPE
    assert heard[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"authorization" not in heard[0].lower()


def test_the_plain_dialect_does_without_token_ids(stand_in: str) -> None:
    planned, url = make_plan(dialect=Dialect.OPENAI), f"{stand_in}/plain-openai"
    with Client(url, "moe-mini", planned, time.monotonic()) as server:
        for phase in (Phase.MEASURED, Phase.STREAM):
            record = server.send(request(phase))
            assert (record.error, record.token_ids) == (None, None)
            assert record.completion_tokens == MAX_TOKENS
        assert server.metrics() is None
        assert server_probe.dialect_of(url) is Dialect.OPENAI


def test_interim_answers_without_end_are_cut() -> None:
    """`http.client` skips 100 Continue for as long as they come."""
    with answering(
        *itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n", 10_000), pause_s=0.05
    ) as url:
        record = send(url, Phase.MEASURED, make_plan(timeout_s=SHORT_S))
    assert record.error is ErrorCode.TIMED_OUT


def test_a_chunk_size_that_drips_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering(head, *itertools.repeat(b"0", 10_000), pause_s=0.05) as url:
        record = send(url, Phase.MEASURED, make_plan(timeout_s=SHORT_S))
    assert record.error is ErrorCode.TIMED_OUT


@contextmanager
def listening(backlog: int) -> Iterator[tuple[str, int]]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        host, port = server.getsockname()
        yield host, port


@contextmanager
def fill_backlog(address: tuple[str, int]) -> Iterator[None]:
    """Open connections until the kernel takes no more."""
    waiting = [socket.socket() for _ in range(4)]
    try:
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield
    finally:
        for each in waiting:
            each.close()
