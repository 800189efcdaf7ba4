"""The arithmetic tier's look at the server's own clocks: what it timed, the client has timed, too.

vLLM adds up seconds by several clocks, at several places: a request end to end by the UTC clock, in
its front end; the steps between tokens by a monotonic clock, in its engine; a request over HTTP by
a monotonic clock, in its web server. Who writes other times into the records must make all of them
agree, in every exposition.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain

from kit.check import clocks
from kit.check.codes import Code
from kit.check.evidence import Evidence, Pass, counted_alone, went_through
from kit.check.finding import Finding
from kit.check.problem import Problem, fail, findings, unchecked, warn
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase

SHAVED_RATIO = 0.001
SHAVED_S = 0.001
"""A client cannot be faster than its server: below that, only rounding, and the slewing of the
UTC clock by which vLLM times a request end to end."""

OVERHEAD_RATIO = 0.03
OVERHEAD_S = 0.05
"""What a request may spend on the way: connecting, and rendering and parsing JSON on a busy host.
On loopback it is a few milliseconds."""

HTTP_RATIO = 0.005
"""What a client spends beyond its server's HTTP does not grow with the answer: on loopback it was
2 to 9 ms a request of 2 to 15 s. `OVERHEAD_S` is allowed beside it, and both ways: a busy host may
stop a server between its last byte and its clock."""

_SUMS = (
    vllm_metrics.E2E_LATENCY_SUM,
    vllm_metrics.BETWEEN_TOKENS_SUM,
    vllm_metrics.FIRST_TOKEN_SUM,
    vllm_metrics.DECODE_SUM,
    vllm_metrics.PREFILL_SUM,
    vllm_metrics.INFERENCE_SUM,
    vllm_metrics.HTTP_SUM,
    vllm_metrics.HTTP_BY_HANDLER_SUM,
)

_UP_TO_LAST_TOKENS = (vllm_metrics.FIRST_TOKEN_SUM, vllm_metrics.BETWEEN_TOKENS_SUM)

_EQUAL = {
    vllm_metrics.DECODE_SUM: (vllm_metrics.BETWEEN_TOKENS_SUM,),
    vllm_metrics.INFERENCE_SUM: (vllm_metrics.PREFILL_SUM, vllm_metrics.DECODE_SUM),
    vllm_metrics.HTTP_BY_HANDLER_SUM: (vllm_metrics.HTTP_SUM,),
}
"""Sums that vLLM 0.17 makes of the same moments: from the first token to the last, from when a
request was scheduled (vllm/v1/metrics/stats.py), and each of its web server's requests twice."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier.

    Sums by the UTC clock may be off by as much as that was set over the run; the monotonic ones
    remain.
    """
    utc_apart_s = clocks.utc_apart_s(evidence.document.clock)
    of_passes = (_pass(evidence, one, utc_apart_s) for one in evidence.passes)
    yield from findings(Code.ARITHMETIC_TIME_WITNESS, chain.from_iterable(of_passes))


def _pass(evidence: Evidence, one: Pass, utc_apart_s: float) -> Iterator[Problem]:
    """Hold a pass's requests against what the server took for them."""
    e2e_s, http_s = _e2e_s(evidence, one), _http_s(evidence, one)
    if went_through(evidence, one):
        yield from _missing(evidence, one)
        yield from _unequal(evidence, one, utc_apart_s)
        if http_s is None and (e2e_s is None or utc_apart_s > clocks.TOLERANCE_S):
            wanted = "the server's latency sum over this pass's requests alone"
            yield unchecked(one.name, "no such sum", wanted)
    if e2e_s is not None:
        yield from _end_to_end(evidence, one, e2e_s, http_s, utc_apart_s)
        yield from _engine(evidence, one, utc_apart_s)
    if http_s is not None:
        yield from _http(evidence, one, http_s)


def _e2e_s(evidence: Evidence, one: Pass) -> float | None:
    """Return the server's seconds for this pass's requests alone; None where it does not tell."""
    return one.moved(vllm_metrics.E2E_LATENCY_SUM) if counted_alone(evidence, one) else None


def _http_s(evidence: Evidence, one: Pass) -> float | None:
    """Return its web server's seconds, as above."""
    is_alone = counted_alone(evidence, one)
    is_counted = is_alone and one.moved(vllm_metrics.HTTP_COUNT) == len(one.records)
    return one.moved(vllm_metrics.HTTP_SUM) if is_counted else None


def _missing(evidence: Evidence, one: Pass) -> Iterator[Problem]:
    """Fail where an engine of the kit's own tells of its requests, and not how long they took."""
    if not evidence.is_own_engine or one.before is None or one.after is None:
        return
    for name in _SUMS:
        if one.moved(name) is None:
            yield fail(one.name, f"no {name}", "each sum of seconds that this release keeps")
    counted = one.moved(vllm_metrics.HTTP_COUNT) or 0
    if abs(counted - len(one.records)) > 1:
        # Somebody may look at the server meanwhile; nobody takes a request back.
        problem = warn if counted > len(one.records) else fail
        observed = f"{vllm_metrics.HTTP_COUNT} moved by {counted:g}"
        yield problem(one.name, observed, f"{len(one.records)}, or one that is counted late")


def _unequal(evidence: Evidence, one: Pass, utc_apart_s: float) -> Iterator[Problem]:
    """Hold an engine of the kit's own to what it adds up twice."""
    if not evidence.is_own_engine:
        return
    for name, others in _EQUAL.items():
        yield from _twice(one, name, others, SHAVED_RATIO, SHAVED_S)
    yield from _prefills(one, utc_apart_s)
    # A busy host may hold up its front end, which tells when a request arrived and was done.
    allowed_s = OVERHEAD_S * len(one.records) + utc_apart_s
    yield from _twice(one, vllm_metrics.E2E_LATENCY_SUM, _UP_TO_LAST_TOKENS, HTTP_RATIO, allowed_s)


def _prefills(one: Pass, utc_apart_s: float) -> Iterator[Problem]:
    """Hold that no first token came before its prompt was read."""
    first_s, prefill_s = map(one.moved, (vllm_metrics.FIRST_TOKEN_SUM, vllm_metrics.PREFILL_SUM))
    if first_s is None or prefill_s is None:
        return  # which has been said
    if first_s < prefill_s * (1 - SHAVED_RATIO) - SHAVED_S * len(one.records) - utc_apart_s:
        observed = f"{vllm_metrics.FIRST_TOKEN_SUM} moved by {first_s:.6f} s"
        yield fail(one.name, observed, f"{prefill_s:.6f} s or more, as {vllm_metrics.PREFILL_SUM}")


def _twice(
    one: Pass, name: str, others: Sequence[str], ratio: float, allowed_s: float
) -> Iterator[Problem]:
    told_s, others_s = one.moved(name), _moved_s(one, others)
    if told_s is None or others_s is None:
        return  # which has been said
    if abs(told_s - others_s) > ratio * abs(others_s) + allowed_s:
        expected = f"{others_s:.6f} s, as {' and '.join(others)}"
        yield fail(one.name, f"{name} moved by {told_s:.6f} s", expected)


def _moved_s(one: Pass, names: Sequence[str]) -> float | None:
    """Return by how much some counters moved together; None where one does not tell."""
    try:
        return sum(map(one.moves.__getitem__, names))
    except KeyError:
        return None


def _end_to_end(
    evidence: Evidence, one: Pass, server_s: float, http_s: float | None, utc_apart_s: float
) -> Iterator[Problem]:
    """A server on another host may set its UTC clock; its monotonic clock then sums to less."""
    wall_s, requests = _wall_s(one), len(one.records)
    observed = f"{wall_s:.6f} s by the client, {server_s:.6f} s by the server"
    if wall_s < server_s * (1 - SHAVED_RATIO) - SHAVED_S * requests - utc_apart_s:
        was_set = http_s is not None and server_s - http_s > _http_allowed_s(one, http_s)
        problem = warn if was_set and not evidence.is_own_engine else fail
        yield problem(one.name, observed, "no less by the client than by the server")
    allowed_s = max(OVERHEAD_RATIO * server_s, OVERHEAD_S * requests) + utc_apart_s
    if wall_s - server_s > allowed_s:
        problem = fail if _is_headline(evidence, one) else warn
        yield problem(one.name, observed, f"at most {allowed_s:.3f} s more by the client")


def _http(evidence: Evidence, one: Pass, server_s: float) -> Iterator[Problem]:
    """Hold the client's seconds against the web server's, closer than against the engine's."""
    wall_s, allowed_s = _wall_s(one), _http_allowed_s(one, server_s)
    observed = f"{wall_s:.6f} s by the client, {server_s:.6f} s by the web server"
    expected = f"equal within {allowed_s:.3f} s"
    if wall_s < server_s - allowed_s:
        # What a server of somebody else's counts in is not known: work after the response, say.
        problem = fail if evidence.is_own_engine else warn
        yield problem(one.name, observed, expected)
    elif wall_s > server_s + allowed_s:
        problem = fail if _is_headline(evidence, one) else warn
        yield problem(one.name, observed, expected)


def _http_allowed_s(one: Pass, server_s: float) -> float:
    return max(HTTP_RATIO * server_s, OVERHEAD_S * len(one.records))


def _engine(evidence: Evidence, one: Pass, utc_apart_s: float) -> Iterator[Problem]:
    """Fail where the engine alone took longer for a pass's tokens than the client waited.

    What is by a monotonic clock has no excuse. The time to the first token is by the UTC clock of
    the front end: a busy host may hold it up there while the engine goes on, and nobody waits
    longer.
    """
    wall_s = _wall_s(one)
    held_up_s = OVERHEAD_S * len(one.records)
    for what, names, uncertain_s in (
        ("between tokens", (vllm_metrics.BETWEEN_TOKENS_SUM,), 0.0),
        ("once they were scheduled", (vllm_metrics.INFERENCE_SUM,), 0.0),
        ("up to last tokens", _UP_TO_LAST_TOKENS, held_up_s + utc_apart_s),
    ):
        engine_s = _moved_s(one, names)
        if engine_s is None:
            continue
        if wall_s < engine_s * (1 - SHAVED_RATIO) - SHAVED_S * len(one.records) - uncertain_s:
            problem = fail if evidence.is_own_engine else warn
            observed = f"{wall_s:.6f} s by the client, {engine_s:.6f} s {what} by the server"
            yield problem(one.name, observed, "no less by the client than by the server")


def _is_headline(evidence: Evidence, one: Pass) -> bool:
    """Tell whether a way that took long makes the figures wrong, and not only worse.

    To a server elsewhere it may be long; only our own engine is on this host for sure. A starved
    client is slow in every pass, and the measured ones alone make the headline.
    """
    is_measured = one.phase is Phase.MEASURED and not evidence.document.plan.rehearsal
    return evidence.is_own_engine and is_measured


def _wall_s(one: Pass) -> float:
    return math.fsum(record.wall_s for record in one.records)
