"""The arithmetic tier's look at when chunks came: not before the server had made their tokens.

Of first and last tokens vLLM adds up the seconds, by two clocks.
"""

import math
from collections.abc import Iterator

from kit.bundle.record import Record
from kit.check import clocks
from kit.check.arithmetic.server_times import OVERHEAD_S, SHAVED_RATIO, SHAVED_S
from kit.check.codes import Code
from kit.check.evidence import Evidence, Pass, counted_alone, went_through
from kit.check.finding import Finding
from kit.check.problem import Problem, fail, findings, unchecked, warn
from kit.parse import vllm_metrics
from kit.plan.schedule import Phase

STREAM_RATIO = 0.3
"""A chunk that the client reads late seems near to the next: at most the first of a response to all
others. A starved client may come late by that much of a short response."""

LATE_S = 0.1
"""What a first token may take to a client that a busy host holds up: 3 to 28 ms were seen."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier; by the UTC clock as `server_times` does."""
    utc_apart_s = clocks.utc_apart_s(evidence.document.clock)
    streamed = (one for one in evidence.passes if one.phase is Phase.STREAM)
    of_chunks = (problem for one in streamed for problem in _pass(evidence, one, utc_apart_s))
    yield from findings(Code.ARITHMETIC_STREAM_WITNESS, of_chunks)


def _pass(evidence: Evidence, one: Pass, utc_apart_s: float) -> Iterator[Problem]:
    """Hold the arrivals of chunks against when the server had made their tokens."""
    arrivals_s = [_first_and_last_s(record) for record in one.records]
    told_s = [pair for pair in arrivals_s if pair is not None]
    first_token_s, between_s = map(
        one.moved, (vllm_metrics.FIRST_TOKEN_SUM, vllm_metrics.BETWEEN_TOKENS_SUM)
    )
    is_alone = counted_alone(evidence, one)
    if not is_alone or first_token_s is None or between_s is None or len(told_s) < len(one.records):
        if went_through(evidence, one):
            wanted = "the server's sums over this pass's tokens alone"
            yield unchecked(one.name, "no such sums, or a response without tokens", wanted)
        return
    is_shown = evidence.is_own_engine and not evidence.document.plan.rehearsal
    problem, requests = fail if is_shown else warn, len(one.records)
    first_s, last_s = (math.fsum(each) for each in zip(*told_s, strict=True))
    for which, heard_s, made_s, uncertain_s in (
        ("first", first_s, first_token_s, utc_apart_s),
        ("first", first_s, one.moved(vllm_metrics.PREFILL_SUM), 0.0),
        ("last", last_s, first_token_s + between_s, utc_apart_s),
        ("last", last_s, one.moved(vllm_metrics.INFERENCE_SUM), 0.0),
    ):
        if made_s is None:
            continue  # a server of somebody else's, which does not tell it
        if heard_s < made_s * (1 - SHAVED_RATIO) - SHAVED_S * requests - uncertain_s:
            observed = f"{which} tokens after {heard_s:.6f} s in all, {made_s:.6f} by the server"
            yield problem(one.name, observed, "no sooner by the client than by the server")
    if evidence.is_own_engine and first_s > first_token_s + LATE_S * requests + utc_apart_s:
        observed = f"first tokens after {first_s:.6f} s in all, {first_token_s:.6f} by the server"
        yield problem(one.name, observed, "no later by the client than what the way takes")
    if last_s - first_s < between_s * (1 - STREAM_RATIO) - OVERHEAD_S * requests:
        observed = (
            f"{last_s - first_s:.6f} s from first chunks to last, {between_s:.6f} s by the server"
        )
        yield problem(one.name, observed, "about as long by the client as by the server")


def _first_and_last_s(record: Record) -> tuple[float, float] | None:
    """Return when the first and the last chunk with tokens arrived."""
    chunks = record.chunks or ()
    first_s = next((at_s for at_s, tokens in chunks if tokens > 0), None)
    last_s = next((at_s for at_s, tokens in reversed(chunks) if tokens > 0), None)
    return None if first_s is None or last_s is None else (first_s, last_s)
