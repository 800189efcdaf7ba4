"""Sends a plan's requests to a server, one at a time or by agents, and logs what is observed.

Without HTTP and processes: `Server` is a Protocol, implemented by `kit.edge.http_client`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Protocol

from msgspec.structs import replace

from kit.bundle.capacity import has_room
from kit.bundle.document import Calibration
from kit.bundle.load import LoadSample
from kit.bundle.record import Moment, Record
from kit.plan.plan import TOLERATED_FAILURES, Plan
from kit.plan.schedule import Phase, Request, requests


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """What was observed of requests that agents sent at once, in the order of the plan.

    `interrupt` is what broke it off; the requests that were in flight then are records too.
    """

    records: Sequence[Record]
    load: Sequence[LoadSample] = ()
    interrupt: BaseException | None = None


class Server(Protocol):
    """A server of chat completions."""

    def send(self, request: Request) -> Record:
        """Send one request; a failure is a record with its error code."""

    def send_together(
        self,
        requests: Sequence[Request],
        agents: int,
        tolerated: int,
        on_answer: Callable[[int], None],
    ) -> Together:
        """Send requests in their order, as many at a time as there are agents.

        Calls `on_answer` as each ends, with the pieces in which the response came, about one a
        token. Sends no more of them once more than `tolerated` have failed. Does not raise where it
        is interrupted.
        """

    def metrics(self) -> bytes | None:
        """Return the answer of the server's `/metrics`, or None where it has none."""


@dataclass(kw_only=True, slots=True)
class RunLog:
    """What a run has observed so far; it is sealed even if the run fails.

    `metrics` maps `PHASE-NUMBER-before` and `-after` to the answers of `/metrics`; `load` is what
    they said while agents were at work; `calibrations` are the client's own error.
    """

    records: list[Record] = field(default_factory=list)
    metrics: dict[str, bytes] = field(default_factory=dict)
    load: list[LoadSample] = field(default_factory=list)
    calibrations: list[Calibration] = field(default_factory=list)
    engine_version: str | None = None


def walk(
    plan: Plan,
    server: Server,
    run_log: RunLog,
    on_record: Callable[[Record], None],
    run_salt: str = "",
    on_answer: Callable[[int], None] = lambda _: None,
) -> Record | None:
    """Send the plan's requests in order; return the record whose failure ended the run.

    The server's metrics are read before and after each pass. Of agents `on_record` is called at the
    end of a pass, `on_answer` as each request ends.
    """
    by_pass = groupby(requests(plan, run_salt), key=lambda it: (it.phase, it.pass_number))
    agents = plan.cell.agents
    send_pass = _one_by_one if agents is None else partial(_together, agents, on_answer)
    for (phase, number), pass_requests in by_pass:
        if _is_over(plan, run_log.records):
            break
        _log_metrics(server, run_log, phase, number, Moment.BEFORE)
        failed = send_pass(server, run_log, on_record, pass_requests)
        if failed is not None:
            return failed
        _log_metrics(server, run_log, phase, number, Moment.AFTER)
    return None


def walked(plan: Plan, records: Sequence[Record]) -> Plan:
    """Return the plan as it was run: where it went on for a time, with the passes of that."""
    if plan.duration_s is None:
        return plan
    passes = max((it.pass_number for it in records if it.phase is Phase.MEASURED), default=1)
    return replace(plan, measured_passes=passes)


def _is_over(plan: Plan, records: Sequence[Record]) -> bool:
    """Tell whether the time of a plan has passed, or its bundle has no room for another pass."""
    measured = [record for record in records if record.phase is Phase.MEASURED]
    if plan.duration_s is None or not measured:
        return False
    end_s = max(record.sent_s + record.wall_s for record in measured)
    is_late = end_s - min(record.sent_s for record in measured) >= plan.duration_s
    return is_late or not has_room(plan, records)


def _one_by_one(
    server: Server,
    run_log: RunLog,
    on_record: Callable[[Record], None],
    pass_requests: Iterable[Request],
) -> Record | None:
    """Send each request when the last response is complete; return the first that failed."""
    for request in pass_requests:
        record = server.send(request)
        run_log.records.append(record)
        on_record(record)
        if record.error is not None:
            return record
    return None


def _together(
    agents: int,
    on_answer: Callable[[int], None],
    server: Server,
    run_log: RunLog,
    on_record: Callable[[Record], None],
    pass_requests: Iterable[Request],
) -> Record | None:
    """Let agents send the requests; return a failed one where too many of them failed."""
    planned = tuple(pass_requests)
    tolerated = int(len(planned) * TOLERATED_FAILURES)
    sent = server.send_together(planned, agents, tolerated, on_answer)
    run_log.load.extend(sent.load)
    for record in sent.records:
        run_log.records.append(record)
        on_record(record)
    if sent.interrupt is not None:
        raise sent.interrupt
    failed = [record for record in sent.records if record.error is not None]
    return failed[0] if len(failed) > tolerated else None


def _log_metrics(
    server: Server, run_log: RunLog, phase: Phase, number: int, moment: Moment
) -> None:
    metrics = server.metrics()
    if metrics is not None:
        run_log.metrics[f"{phase.value}-{number}-{moment.value}"] = metrics
