"""Seconds by the client and by the server: they must agree, pass by pass, and for each stream."""

from collections.abc import Iterator

from kit.check import clocks
from kit.check.arithmetic import sums
from kit.check.check import Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, Pass, counted_alone, is_whole
from kit.parse import vllm_metrics
from kit.plan.schedule import is_streamed


def _times(evidence: Evidence) -> Iterator[Problem]:
    for pass_ in evidence.passes:
        if not pass_.failed:
            yield from _pass(evidence, pass_)


def _pass(evidence: Evidence, pass_: Pass) -> Iterator[Problem]:
    has_metrics = pass_.before is not None and pass_.after is not None
    has_engine_times = counted_alone(evidence, pass_)
    has_http_times = has_engine_times and _http_requests(pass_) == len(pass_.records)
    if is_whole(evidence, pass_):
        if has_metrics and evidence.is_own_engine:
            yield from _http_count(pass_)
            yield from sums.compare(sums.SERVER_TIMES, evidence, pass_)
        if not has_http_times and not (has_engine_times and _is_utc_good(evidence)):
            expected = "the server's latency sum over this pass's requests alone"
            yield unchecked(pass_.name, "no such sum", expected)
    if has_engine_times:
        yield from sums.compare(sums.ENGINE_TIMES, evidence, pass_)
    if has_http_times:
        yield from sums.compare(sums.HTTP_TIMES, evidence, pass_)


def _http_requests(pass_: Pass) -> float | None:
    return pass_.moved(vllm_metrics.HTTP_COUNT)


def _is_utc_good(evidence: Evidence) -> bool:
    return clocks.utc_apart_s(evidence.document.clock) <= clocks.TOLERANCE_S


def _http_count(pass_: Pass) -> Iterator[Problem]:
    """Requests over HTTP are counted after the response, so that one may be counted late."""
    count, requests = _http_requests(pass_) or 0, len(pass_.records)
    if abs(count - requests) > 1:
        problem = warn if count > requests else fail  # others may read the metrics meanwhile
        observed = f"{vllm_metrics.HTTP_COUNT} moved by {count:g}"
        yield problem(pass_.name, observed, f"{requests}, or one that is counted late")


def _streams(evidence: Evidence) -> Iterator[Problem]:
    for pass_ in evidence.passes:
        if is_streamed(evidence.document.plan, pass_.phase) and not pass_.failed:
            yield from _stream(evidence, pass_)


def _stream(evidence: Evidence, pass_: Pass) -> Iterator[Problem]:
    is_known = (
        counted_alone(evidence, pass_)
        and pass_.moved(*sums.UP_TO_LAST_TOKENS) is not None
        and sums.FIRST_S.of(evidence, pass_) is not None
    )
    if not is_known:
        if is_whole(evidence, pass_):
            expected = "the server's sums over this pass's tokens alone"
            yield unchecked(pass_.name, "no such sums, or a response without tokens", expected)
        return
    yield from sums.compare(sums.STREAM_TIMES, evidence, pass_)
    if evidence.is_own_engine:
        yield from sums.compare(sums.OWN_STREAM_TIMES, evidence, pass_)


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="arithmetic-time-witness",
        holds="a pass's seconds are those that the server counted, plus a bounded client overhead",
        hint="client and server disagree about time: do not use these figures",
        look=_times,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="arithmetic-stream-witness",
        holds="streamed tokens came no sooner, and no closer together, than the server made them",
        hint="client and server disagree about time: do not use these latencies",
        look=_streams,
    ),
)
