"""Walks a plan's requests against a server, one at a time, and notes what is seen.

Knows neither HTTP nor processes: the server is a Protocol, which `kit.edge.http_client` implements
and the tests fake.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from kit.bundle.record import Moment, Record
from kit.plan.plan import Plan
from kit.plan.schedule import Phase, Request, requests


class Server(Protocol):
    """Something that answers chat completions and may tell its counters."""

    def send(self, request: Request) -> Record:
        """Send one request and return what was observed; a failure is a record with its code."""

    def metrics(self) -> bytes | None:
        """Return the server's Prometheus exposition, or None where it has none."""


@dataclass(kw_only=True, slots=True)
class RunLog:
    """What has been observed so far: it survives whatever ends the run."""

    records: list[Record] = field(default_factory=list)
    metrics: dict[str, bytes] = field(default_factory=dict)


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
    for (phase, number), pass_requests in _passes(plan, run_salt):
        _note_metrics(server, run_log, phase, number, Moment.BEFORE)
        for request in pass_requests:
            record = server.send(request)
            run_log.records.append(record)
            on_record(record)
            if record.error is not None:
                return record
        _note_metrics(server, run_log, phase, number, Moment.AFTER)
    return None


def _passes(plan: Plan, run_salt: str) -> Iterator[tuple[tuple[Phase, int], Iterator[Request]]]:
    planned = requests(plan, run_salt)
    return groupby(planned, key=lambda request: (request.phase, request.pass_number))


def _note_metrics(
    server: Server, run_log: RunLog, phase: Phase, number: int, moment: Moment
) -> None:
    exposition = server.metrics()
    if exposition is not None:
        run_log.metrics[f"{phase.value}-{number}-{moment.value}"] = exposition
