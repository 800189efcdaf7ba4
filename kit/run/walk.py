"""Sends a plan's requests to a server, one at a time, and logs what is observed.

Without HTTP and processes: `Server` is a Protocol, implemented by `kit.edge.http_client`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from kit.bundle.record import Moment, Record
from kit.plan.plan import Plan
from kit.plan.schedule import Phase, Request, requests


class Server(Protocol):
    """A server of chat completions."""

    def send(self, request: Request) -> Record:
        """Send one request; a failure is a record with its error code."""

    def metrics(self) -> bytes | None:
        """Return the answer of the server's `/metrics`, or None where it has none."""


@dataclass(kw_only=True, slots=True)
class RunLog:
    """What a run has observed so far; it is sealed even if the run fails.

    `metrics` maps `PHASE-NUMBER-before` and `-after` to the answers of `/metrics`.
    """

    records: list[Record] = field(default_factory=list)
    metrics: dict[str, bytes] = field(default_factory=dict)
    engine_version: str | None = None


def walk(
    plan: Plan,
    server: Server,
    run_log: RunLog,
    on_record: Callable[[Record], None],
    run_salt: str = "",
) -> Record | None:
    """Send the plan's requests in order; return the first record that failed, which ends the run.

    The server's metrics are read before and after each pass.
    """
    by_pass = groupby(requests(plan, run_salt), key=lambda it: (it.phase, it.pass_number))
    for (phase, number), pass_requests in by_pass:
        _log_metrics(server, run_log, phase, number, Moment.BEFORE)
        for request in pass_requests:
            record = server.send(request)
            run_log.records.append(record)
            on_record(record)
            if record.error is not None:
                return record
        _log_metrics(server, run_log, phase, number, Moment.AFTER)
    return None


def _log_metrics(
    server: Server, run_log: RunLog, phase: Phase, number: int, moment: Moment
) -> None:
    metrics = server.metrics()
    if metrics is not None:
        run_log.metrics[f"{phase.value}-{number}-{moment.value}"] = metrics
