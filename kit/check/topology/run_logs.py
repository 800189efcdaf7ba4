"""The topology tier's look at whether logs are of this run: its responses, its end, its ranks.

No GPU was seen: how NCCL spells the processes that write, and vLLM its NCCL, is from their sources.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from kit import exposition
from kit.bundle import NCCL_LOG, SERVER_LOG, Status
from kit.check import clocks
from kit.check.codes import Code
from kit.check.evidence import Evidence, span_s
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.check.topology.startup import unread
from kit.nccl import NcclLog
from kit.serverlog import ServerLog

TIME_ZONES = timedelta(minutes=15)
FARTHEST_ZONE = timedelta(hours=14, minutes=15)
"""Zones differ from UTC by whole quarters of an hour, by 14 hours at most."""

MOST_BEFORE = 10**6
"""Completions that an engine may have counted before: beyond, it is no count."""

TELLS_EACH_S = 30
"""Ten seconds, and what a busy host may hold a line up by."""

AN_HOUR_S, A_LEAP_YEAR = 3600, 2000

QUIET_S, LATE_S = 120, 60
"""A server that answers says so at once, and its throughput every ten seconds."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield whether the server's log, and NCCL's where there is one, are of this run."""
    server, ranks = evidence.observed.server_log, evidence.observed.nccl_log
    found = (*_of_this_run(evidence, server), *_of_one_engine(server, ranks))
    yield from findings(Code.TOPOLOGY_LOG, found)


def _of_this_run(evidence: Evidence, log: ServerLog | None) -> Iterator[Problem]:
    expected = f"{len(evidence.answered)} chat completions"
    if log is None or log.is_cut:
        reason = "no server log" if log is None else "more lines than are looked at"
        yield unchecked(SERVER_LOG, reason, expected)
        return
    why = unread(log) if evidence.answered else "no request was answered"
    if not log.completions and why is not None:
        yield unchecked(SERVER_LOG, f"the log tells of no completion: {why}", expected)
        return
    most = len(evidence.records) + _others(evidence)
    if not len(evidence.answered) <= log.completions <= most:
        yield fail(SERVER_LOG, f"{log.completions} chat completions", expected)
    yield from _ends_with_the_run(evidence, log.last_moment)
    if evidence.records and evidence.document.status is Status.COMPLETE:
        yield from _as_long_as_the_run(evidence, log)


def _as_long_as_the_run(evidence: Evidence, log: ServerLog) -> Iterator[Problem]:
    """Fail where the server was at work for longer than the records are.

    vLLM tells its throughput each ten seconds in which it has any. A local clock may be put forward
    by an hour meanwhile; at the turn of a year nothing is said.
    """
    sent_s, done_s = span_s(evidence.records)
    most_s = done_s - sent_s + TELLS_EACH_S
    if log.busy is None:
        if most_s > 3 * TELLS_EACH_S:
            yield unchecked(SERVER_LOG, "the log tells no throughput", "a line each ten seconds")
        return
    first, last = log.busy
    try:
        busy_s = (_moment(last, A_LEAP_YEAR) - _moment(first, A_LEAP_YEAR)).total_seconds()
    except ValueError as error:
        yield fail(SERVER_LOG, clip(error), "a date and a time")
        return
    excess_s = busy_s - most_s - clocks.utc_apart_s(evidence.document.clock)
    is_an_hour = abs(excess_s - AN_HOUR_S) <= 2 * TELLS_EACH_S
    if excess_s > 0 and not is_an_hour and not _others(evidence):
        observed = f"generating from {first} to {last}, for {busy_s:.0f} s"
        yield fail(SERVER_LOG, observed, f"at most {most_s:.0f} s, by the records")


def _others(evidence: Evidence) -> int:
    """Return how many completions the log may tell of that no record does.

    The one that was being streamed when the run was interrupted, and those that the engine had
    counted before the first pass, of which the protocol tier warns.
    """
    before = (evidence.passes[0].before if evidence.passes else None) or {}
    earlier = before.get(exposition.E2E_LATENCY_COUNT, 0.0)
    was_cut = evidence.document.status is Status.PARTIAL
    return was_cut + (int(earlier) if 0 <= earlier < MOST_BEFORE else 0)


def _ends_with_the_run(evidence: Evidence, last_moment: str | None) -> Iterator[Problem]:
    """Hold the log's last time against the run's end, by whatever time zone the server has.

    A server that hangs is silent for as long as its last request was waited for.
    """
    if last_moment is None:
        yield unchecked(SERVER_LOG, "no line bears a time", "times of this run")
        return
    clock = evidence.document.clock
    hung_s = sum(one.wall_s for one in evidence.records[-1:] if one.error is not None)
    try:
        end = datetime.fromisoformat(clock.end_utc)
        apart = min((moment - end for moment in _moments(last_moment, end.year)), key=abs)
    except ValueError as error:
        yield fail(SERVER_LOG, clip(error), "a date and a time")
        return
    quiet_s = (LATE_S - apart.total_seconds()) % TIME_ZONES.total_seconds()
    if abs(apart) > FARTHEST_ZONE or quiet_s > LATE_S + QUIET_S + hung_s:
        expected = f"within {QUIET_S} s of the run's end, {clip(clock.end_utc)}"
        yield fail(SERVER_LOG, f"its last line is of {clip(last_moment)}", expected)


def _moments(text: str, year: int) -> Iterator[datetime]:
    """Yield the times that one without a year may stand for, about the turn of a year too."""
    for each in (year - 1, year, year + 1):
        with suppress(ValueError):  # a 29th of February
            yield _moment(text, each)


def _moment(text: str, year: int) -> datetime:
    return datetime.fromisoformat(f"{year:04}-{text.replace(' ', 'T')}+00:00")


def _of_one_engine(server: ServerLog | None, ranks: NcclLog | None) -> Iterator[Problem]:
    """Hold NCCL's log against the server's: the ranks that wrote both are the same processes.

    Each tells its own process id, so that containers make no difference.
    """
    if server is None or ranks is None or unread(server) is not None:
        return
    if _differ(_releases(server.nccl_versions), _releases(ranks.versions)):
        observed = f"NCCL {', '.join(ranks.versions)}"
        expected = f"NCCL {', '.join(server.nccl_versions)}, by the server's log"
        yield fail(NCCL_LOG, clip(observed), clip(expected))
    if _differ(server.rank_pids, ranks.pids):
        observed = f"written by processes {', '.join(map(str, ranks.pids))}"
        expected = f"by processes {', '.join(map(str, server.rank_pids))}, the server's ranks"
        yield fail(NCCL_LOG, clip(observed), clip(expected))


def _releases(versions: Sequence[str]) -> set[str]:
    """Return versions as both spell them: NCCL adds CUDA's, and vLLM leaves out a last 0."""
    return {version.partition("+")[0].removesuffix(".0") for version in versions}


def _differ(some: Collection[object], others: Collection[object]) -> bool:
    """Tell whether both name something, and nothing that the other names too."""
    return bool(some) and bool(others) and set(some).isdisjoint(others)
