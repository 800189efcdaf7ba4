"""Pairs of sums that must agree over a pass, as a table, and what compares them.

vLLM counts and times the same requests at several places, by several clocks: a request end to end
by the UTC clock, in its front end; the steps between tokens by a monotonic clock, in its engine; a
request over HTTP by a monotonic clock, in its web server. Edited records disagree with some.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kit.check import clocks
from kit.check.check import Problem
from kit.check.evidence import Evidence, Pass, counted_alone
from kit.check.finding import Outcome
from kit.parse import vllm_metrics as vllm
from kit.plan.schedule import Phase


class Comparison(Enum):
    """How our sum must compare with the server's, within the tolerance."""

    EQUAL = "equal to"
    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class PassTotal:
    """A sum over a pass, by its name; None where it is not known."""

    name: str
    of: Callable[[Evidence, Pass], float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far two sums may differ: `ratio` of theirs, plus `per_request` for each request.

    A sum that vLLM times by UTC may be off by as much as that clock was set over the run.
    """

    ratio: float = 0.0
    per_request: float = 0.0
    by_utc: bool = False


Severity = Callable[[Evidence, Pass, float | None], Outcome | None]
"""The outcome of a difference out of tolerance (ours less theirs; None if a sum is missing), or
None for no finding."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Two sums of one quantity over a pass; `theirs` are counters whose moves add up."""

    ours: PassTotal
    comparison: Comparison
    theirs: tuple[str, ...]
    severity: Severity
    tolerance: Tolerance


def compare(sums: Sequence[Sum], evidence: Evidence, pass_: Pass) -> Iterator[Problem]:
    """Yield the sums of a pass that do not agree."""
    for row in sums:
        ours, theirs = row.ours.of(evidence, pass_), pass_.moved(*row.theirs)
        difference = None if ours is None or theirs is None else ours - theirs
        if difference is not None and _agrees(row, difference, _allowed(row, evidence, pass_)):
            continue
        outcome = row.severity(evidence, pass_, difference)
        if outcome is not None:
            yield Problem(
                outcome=outcome,
                subject=pass_.name,
                observed=f"{row.ours.name}: {_spelled(ours)}",
                expected=f"{row.comparison.value} {_spelled(theirs)}, {' + '.join(row.theirs)}",
            )


def _agrees(row: Sum, difference: float, allowed: float) -> bool:
    match row.comparison:
        case Comparison.EQUAL:
            return abs(difference) <= allowed
        case Comparison.AT_LEAST:
            return difference >= -allowed
        case Comparison.AT_MOST:
            return difference <= allowed


def _allowed(row: Sum, evidence: Evidence, pass_: Pass) -> float:
    theirs, tolerance = pass_.moved(*row.theirs) or 0.0, row.tolerance
    allowed = tolerance.ratio * abs(theirs) + tolerance.per_request * len(pass_.records)
    if tolerance.by_utc:
        allowed += clocks.utc_apart_s(evidence.document.clock)
    return allowed


def _spelled(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.0f}" if value == int(value) else f"{value:.6f}"


def by_counter(evidence: Evidence, pass_: Pass, difference: float | None) -> Outcome:
    """Others may move an endpoint's counters, too, and replicas have counters of their own.

    But no server that counted our requests alone counts less than they took.
    """
    if evidence.is_own_engine:
        return Outcome.FAIL
    if difference is None or difference < 0:
        return Outcome.COULD_NOT_CHECK
    return Outcome.FAIL if counted_alone(evidence, pass_) else Outcome.WARN


def by_any_server(evidence: Evidence, pass_: Pass, difference: float | None) -> Outcome | None:
    """No client can be faster than its server; but an endpoint's UTC clock may be set in a pass.

    Then its web server's sum, by a monotonic clock, is smaller than the sum by UTC.
    """
    if difference is None:
        return _if_missing(evidence)
    utc_s, http_s = pass_.moved(vllm.E2E_LATENCY_SUM), pass_.moved(vllm.HTTP_SUM)
    if evidence.is_own_engine or utc_s is None or http_s is None:
        return Outcome.FAIL
    allowed_s = OF_HTTP.ratio * http_s + OF_HTTP.per_request * len(pass_.records)
    return Outcome.WARN if utc_s - http_s > allowed_s else Outcome.FAIL


def by_own_engine(evidence: Evidence, _pass: Pass, difference: float | None) -> Outcome | None:
    """An endpoint's sums may include other work, after the response, say."""
    if difference is None:
        return _if_missing(evidence)
    return Outcome.FAIL if evidence.is_own_engine else Outcome.WARN


def by_headline(evidence: Evidence, pass_: Pass, difference: float | None) -> Outcome | None:
    """A slow client makes the figures of its measured passes wrong; elsewhere that is a warning.

    To an endpoint the way may be long; a rehearsal has no figures.
    """
    if difference is None:
        return _if_missing(evidence)
    is_measured = pass_.phase is Phase.MEASURED and not evidence.document.plan.rehearsal
    return Outcome.FAIL if evidence.is_own_engine and is_measured else Outcome.WARN


def by_stream(evidence: Evidence, _pass: Pass, difference: float | None) -> Outcome | None:
    """An endpoint's sums may include other work; a rehearsal has no latencies."""
    if difference is None:
        return None  # `arithmetic-time-witness` names a missing sum
    is_shown = evidence.is_own_engine and not evidence.document.plan.rehearsal
    return Outcome.FAIL if is_shown else Outcome.WARN


def _if_missing(evidence: Evidence) -> Outcome | None:
    return Outcome.FAIL if evidence.is_own_engine else None


def _completion_tokens(_evidence: Evidence, pass_: Pass) -> float:
    return sum(record.completion_tokens or 0 for record in pass_.records)


def _prompt_tokens(_evidence: Evidence, pass_: Pass) -> float:
    return sum(record.prompt_tokens or 0 for record in pass_.records)


def _steps(evidence: Evidence, pass_: Pass) -> float:
    """One step for each token after the first: no planned engine guesses several at a time."""
    return _completion_tokens(evidence, pass_) - len(pass_.records)


def _budgets(evidence: Evidence, pass_: Pass) -> float:
    return evidence.document.plan.sampling.max_tokens * len(pass_.records)


def _counter(name: str) -> PassTotal:
    return PassTotal(name, lambda _, pass_: pass_.moved(name))


def _arrivals_s(pass_: Pass, position: int) -> float | None:
    """Add up when the first (0) or last (-1) chunk with tokens of each response arrived.

    Seconds from sending; None where a response has none.
    """
    arrivals = [
        [at_s for at_s, tokens in record.chunks or () if tokens > 0] for record in pass_.records
    ]
    return math.fsum(times[position] for times in arrivals) if all(arrivals) else None


def _stream_s(_evidence: Evidence, pass_: Pass) -> float | None:
    first_s, last_s = _arrivals_s(pass_, 0), _arrivals_s(pass_, -1)
    return None if first_s is None or last_s is None else last_s - first_s


TOKENS = PassTotal("completion tokens of the records", _completion_tokens)
PROMPT_TOKENS = PassTotal("prompt tokens of the records", _prompt_tokens)
REQUESTS = PassTotal("records", lambda _, pass_: len(pass_.records))
STEPS = PassTotal("tokens after the first of each response", _steps)
BUDGETS = PassTotal("token budgets of the requests", _budgets)
WALL_S = PassTotal("client's seconds", lambda _, pass_: pass_.wall_s)
FIRST_S = PassTotal("seconds to first tokens", lambda _, pass_: _arrivals_s(pass_, 0))
LAST_S = PassTotal("seconds to last tokens", lambda _, pass_: _arrivals_s(pass_, -1))
STREAM_S = PassTotal("seconds from first tokens to last", _stream_s)

SHAVED = Tolerance(ratio=0.001, per_request=0.001)
SHAVED_UTC = Tolerance(ratio=0.001, per_request=0.001, by_utc=True)
"""A client cannot be faster than its server: below that, only rounding, and the slewing of the UTC
clock by which vLLM times a request end to end."""

OVERHEAD_S = 0.05
"""What a request may spend on the way: connecting, and rendering and parsing JSON on a busy host.
On loopback it is a few milliseconds."""

OVERHEAD = Tolerance(ratio=0.03, per_request=OVERHEAD_S, by_utc=True)
HELD_UP = Tolerance(ratio=0.001, per_request=0.001 + OVERHEAD_S, by_utc=True)
"""A busy host may hold up the front end, which times first tokens, while the engine goes on."""

OF_HTTP = Tolerance(ratio=0.005, per_request=OVERHEAD_S)
OF_FRONT_END = Tolerance(ratio=0.005, per_request=OVERHEAD_S, by_utc=True)
"""What a client spends beyond its server's HTTP does not grow with the answer: on loopback it was
2 to 9 ms a request of 2 to 15 s. A busy host may stop a server between its last byte and its
clock, so that the overhead is allowed both ways."""

LATE = Tolerance(per_request=0.1, by_utc=True)
"""A busy host may hold a client up at a first token: by 3 to 28 ms a request were seen."""

READ_LATE = Tolerance(ratio=0.3, per_request=OVERHEAD_S)
"""A chunk that the client reads late seems near to the next: at most the first of a response to all
others. A starved client may come late by that much of a short response."""

EXACT = Tolerance()
EQUAL, AT_LEAST, AT_MOST = Comparison.EQUAL, Comparison.AT_LEAST, Comparison.AT_MOST
UP_TO_LAST_TOKENS = (vllm.FIRST_TOKEN_SUM, vllm.BETWEEN_TOKENS_SUM)

COUNTERS = (
    Sum(TOKENS, EQUAL, (vllm.GENERATION_TOKENS,), by_counter, EXACT),
    Sum(PROMPT_TOKENS, EQUAL, (vllm.PROMPT_TOKENS,), by_counter, EXACT),
    Sum(REQUESTS, EQUAL, (vllm.E2E_LATENCY_COUNT,), by_counter, EXACT),
)
"""What any vLLM server counts."""

OWN_COUNTERS = (
    Sum(TOKENS, EQUAL, (vllm.FINISHED_GENERATION_TOKENS,), by_counter, EXACT),
    Sum(PROMPT_TOKENS, EQUAL, (vllm.FINISHED_PROMPT_TOKENS,), by_counter, EXACT),
    Sum(STEPS, EQUAL, (vllm.BETWEEN_TOKENS_COUNT,), by_counter, EXACT),
    Sum(BUDGETS, EQUAL, (vllm.BUDGETS_SUM,), by_counter, EXACT),
)
"""What vLLM 0.17 counts again at a request's end: the kit's own engine has no other clients."""

ENGINE_TIMES = (
    Sum(WALL_S, AT_LEAST, (vllm.E2E_LATENCY_SUM,), by_any_server, SHAVED_UTC),
    Sum(WALL_S, AT_MOST, (vllm.E2E_LATENCY_SUM,), by_headline, OVERHEAD),
    Sum(WALL_S, AT_LEAST, (vllm.BETWEEN_TOKENS_SUM,), by_own_engine, SHAVED),
    Sum(WALL_S, AT_LEAST, (vllm.INFERENCE_SUM,), by_own_engine, SHAVED),
    Sum(WALL_S, AT_LEAST, UP_TO_LAST_TOKENS, by_own_engine, HELD_UP),
)
"""The client's seconds and the engine's, where it counted our requests alone."""

HTTP_TIMES = (
    Sum(WALL_S, AT_LEAST, (vllm.HTTP_SUM,), by_own_engine, OF_HTTP),
    Sum(WALL_S, AT_MOST, (vllm.HTTP_SUM,), by_headline, OF_HTTP),
)
"""The client's seconds and the web server's, where it counted our requests alone."""

SERVER_TIMES = (
    Sum(_counter(vllm.DECODE_SUM), EQUAL, (vllm.BETWEEN_TOKENS_SUM,), by_own_engine, SHAVED),
    Sum(
        _counter(vllm.INFERENCE_SUM),
        EQUAL,
        (vllm.PREFILL_SUM, vllm.DECODE_SUM),
        by_own_engine,
        SHAVED,
    ),
    Sum(_counter(vllm.HTTP_BY_HANDLER_SUM), EQUAL, (vllm.HTTP_SUM,), by_own_engine, SHAVED),
    Sum(_counter(vllm.FIRST_TOKEN_SUM), AT_LEAST, (vllm.PREFILL_SUM,), by_own_engine, SHAVED_UTC),
    Sum(_counter(vllm.E2E_LATENCY_SUM), EQUAL, UP_TO_LAST_TOKENS, by_own_engine, OF_FRONT_END),
)
"""Sums that vLLM 0.17 makes of the same moments (vllm/v1/metrics/stats.py): from the first token
to the last, from when a request was scheduled; and each of its web server's requests twice."""

STREAM_TIMES = (
    Sum(FIRST_S, AT_LEAST, (vllm.FIRST_TOKEN_SUM,), by_stream, SHAVED_UTC),
    Sum(FIRST_S, AT_LEAST, (vllm.PREFILL_SUM,), by_stream, SHAVED),
    Sum(LAST_S, AT_LEAST, UP_TO_LAST_TOKENS, by_stream, SHAVED_UTC),
    Sum(LAST_S, AT_LEAST, (vllm.INFERENCE_SUM,), by_stream, SHAVED),
    Sum(STREAM_S, AT_LEAST, (vllm.BETWEEN_TOKENS_SUM,), by_stream, READ_LATE),
)
OWN_STREAM_TIMES = (Sum(FIRST_S, AT_MOST, (vllm.FIRST_TOKEN_SUM,), by_stream, LATE),)
"""When chunks came, and when the server had made their tokens; from a far endpoint first tokens
come late."""
