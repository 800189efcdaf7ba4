"""The server with a known truth: what it logs is what a client can see, and never later."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.soak import SEEN_AS
from kit.bundle.record import FinishReason
from kit.edge.http_client import Client
from kit.edge.null_server import MODEL, Schedule
from kit.plan.schedule import Phase
from tests.catalog import ROOT
from tests.unit.edge.conftest import make_plan
from tests.unit.edge.test_http_client import request

ROUNDING_S = 2e-6


@contextmanager
def serving(log: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "kit.edge.null_server", "--log", str(log), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize("tokens_per_chunk", [1, 3])
def test_the_client_sees_each_write_and_none_before_it_was_made(
    tokens_per_chunk: int, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    options = ("--tokens=20", "--interval-ms=2", f"--tokens-per-chunk={tokens_per_chunk}")
    origin_s = time.monotonic()
    with serving(log, *options) as url, Client(url, MODEL, make_plan(), origin_s) as server:
        record = server.send(request(Phase.STREAM))
    assert (record.error, record.completion_tokens) == (None, 20)
    assert record.finish_reason is FinishReason.LENGTH
    (line,) = map(json.loads, log.read_text().splitlines())
    written = [(at_s, tokens) for at_s, _, tokens in line["writes"] if tokens]
    assert line["is_whole"]
    assert [tokens for _, tokens in written] == [tokens for _, tokens in record.chunks or ()]
    for (written_s, _), (after_s, _) in zip(written, record.chunks or (), strict=True):
        assert origin_s + record.sent_s + after_s >= written_s - ROUNDING_S


def test_what_is_late_does_not_move_what_follows() -> None:
    schedule = Schedule(
        tokens=6, tokens_per_chunk=2, stall_at=3, first_token_s=1.0, interval_s=0.1, stall_s=5.0
    )
    due_s = [schedule.due_s(chunk) for chunk in schedule.chunks()]
    assert due_s == [1.0, pytest.approx(6.0), pytest.approx(6.2)]


def test_what_is_not_streamed_is_refused(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "log.jsonl") as url,
        Client(url, MODEL, make_plan(), time.monotonic()) as server,
    ):
        assert server.send(request(Phase.MEASURED)).error is not None
        assert server.metrics() is None


def test_every_request_is_accounted_for_where_some_fail(tmp_path: Path) -> None:
    """As `benchmarks/soak.py` does for ten minutes: each fault is seen as what it was."""
    log = tmp_path / "log.jsonl"
    plan = make_plan(timeout_s=0.3)
    agents = replace(plan, cell=replace(plan.cell, agents=4))
    with (
        serving(log, "--tokens=3", "--interval-ms=1", "--fault-share=0.3", "--seed=3") as url,
        Client(url, MODEL, agents, time.monotonic()) as server,
    ):
        sent = server.send_together([request(Phase.MEASURED)] * 80, 4, 80, lambda _: None)
    lines = map(json.loads, log.read_text().splitlines())
    expected = Counter(SEEN_AS[line.get("fault", "whole")] for line in lines)
    assert Counter(record.error for record in sent.records) == expected
    assert set(expected) == set(SEEN_AS.values())
