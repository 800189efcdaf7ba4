"""The client's own error: what it measures of a server with a known schedule, and the truth.

A few seconds against `kit.edge.null_server` on this machine, over the very code that measures, with
as many requests at once as the plan has. Both stamp with the same clock.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from kit.bundle.document import Calibration
from kit.bundle.record import Moment, Record
from kit.edge.http_client import Client
from kit.edge.null_server import MODEL
from kit.figures.latency import inter_token_latencies, times_to_first_token
from kit.plan.plan import Plan
from kit.plan.schedule import Phase, Request

REQUESTS = 8
"""Of each agent; the first opens its connection and is not counted."""

TOKENS = 20
"""Of a response: at the null server's 50 ms and 100 tok/s it takes 0.24 s, all together 2 s."""

STOP_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """One response as the null server sent it, in seconds after the request's last byte.

    That came at `received_s` on `time.monotonic()`. `arrivals` are the writes with tokens, each
    with their number; `late_s` is the median by which the server was late.
    """

    received_s: float
    arrivals: tuple[tuple[float, int], ...]
    end_s: float
    late_s: float


@contextmanager
def null_server(log: Path, *options: str) -> Iterator[str]:
    """Yield the URL of a null server in a process of its own; raise `OSError` if none starts."""
    command = [sys.executable, "-m", "kit.edge.null_server", f"--log={log}", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            port = process.stdout.readline().decode().strip() if process.stdout else ""
            if not port:
                raise ChildProcessError("the null server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(STOP_S)


def calibrate(plan: Plan, moment: Moment) -> Calibration | None:
    """Return the client's error with this plan; None where the null server cannot run."""
    streams = plan.cell.agents or 1
    try:
        with TemporaryDirectory() as folder:
            log = Path(folder, "log.jsonl")
            with null_server(log, f"--tokens={TOKENS}") as url:
                records = _send(plan, url, streams)
            truths = read_log(log)
    except OSError:
        return None
    if any(record.error is not None for record in records):
        return None
    return _compare(records[streams:], truths[streams:], streams, moment)


def read_log(log: Path) -> list[Truth]:
    """Return the whole responses that a null server has logged, as their requests came in."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    whole = [line for line in lines if line["is_whole"]]
    return [_truth(line) for line in sorted(whole, key=lambda line: line["received_s"])]


def _truth(line: dict[str, Any]) -> Truth:
    received_s, writes = line["received_s"], line["writes"]
    return Truth(
        received_s=received_s,
        arrivals=tuple((at_s - received_s, tokens) for at_s, _, tokens in writes if tokens),
        end_s=writes[-1][0] - received_s,
        late_s=median(late_s for _, late_s, _ in writes),
    )


def _send(plan: Plan, url: str, streams: int) -> list[Record]:
    """Return the records in the order of sending."""
    requests = [
        Request(
            phase=Phase.STREAM,
            pass_number=number,
            prompt_id=plan.prompts[0].id,
            prompt=plan.prompts[0].text,
            seed=number,
            cache_salt=None,
        )
        for number in range(REQUESTS * streams)
    ]
    with Client(url, MODEL, plan, time.monotonic()) as client:
        if plan.is_concurrent:
            records = client.send_together(requests, streams, 0, lambda _: None).records
        else:
            records = [client.send(request) for request in requests]
    return sorted(records, key=lambda record: record.sent_s)


def _compare(
    records: Sequence[Record], truths: Sequence[Truth], streams: int, moment: Moment
) -> Calibration:
    wall_s = [record.wall_s for record in records]
    first_s = median(truth.arrivals[0][0] for truth in truths)
    gap_s = median(
        later - earlier for truth in truths for (earlier, _), (later, _) in pairwise(truth.arrivals)
    )
    return Calibration(
        moment=moment,
        streams=streams,
        wall_error_s=round(median(wall_s) - median(truth.end_s for truth in truths), 6),
        ttft_error_s=round(median(times_to_first_token(records)) - first_s, 6),
        inter_token_error_s=round(median(inter_token_latencies(records)) - gap_s, 6),
        server_late_s=round(max(0.0, median(truth.late_s for truth in truths)), 6),
    )
