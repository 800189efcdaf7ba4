"""The arithmetic tier's look at when chunks came: not before the server had made their tokens.

Of first and last tokens vLLM adds up the seconds, by two clocks; the gaps between tokens it counts
by how long they are.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise, repeat
from operator import itemgetter, sub

from kit.bundle.limits import TOKEN_ID_LIMIT
from kit.bundle.record import Moment, Record
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

ELSEWHERE_RATIO, FEW_GAPS = 0.25, 3
"""Gaps between tokens that may lie in other buckets than the server counted them in: up to 5 % did
on a host under a load of four times its cores."""

NEAR_RATIO, NEAR_S = 0.25, 0.002
"""How near to a bucket's bound a gap may lie on its other side."""

BUCKETS_LIMIT = 64
"""vLLM 0.17 has 20: each is looked for in all gaps."""

_COUNT = itemgetter(1)
"""Of a chunk: its tokens."""


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
    yield from _gaps(evidence, one)


def _gaps(evidence: Evidence, one: Pass) -> Iterator[Problem]:
    """Hold the gaps between tokens, as they arrived, against the buckets that the server has.

    What comes late makes one gap longer and the next shorter, so that a few may lie elsewhere.
    """
    problem = warn if evidence.document.plan.rehearsal else fail
    if not evidence.is_own_engine or _tokens(one.records) > TOKEN_ID_LIMIT:
        return  # more than a bundle may hold: nobody was asked for as many, which is said elsewhere
    gaps_s = [*chain.from_iterable(map(_gaps_s, one.records))]
    told = evidence.observed.gap_counts
    before, after = (told.get((one.phase, one.number, moment), {}) for moment in Moment)
    if len(after) > BUCKETS_LIMIT:
        yield fail(one.name, f"{len(after)} buckets of gaps between tokens", "about 20")
        return
    made = {bound_s: count - before.get(bound_s, 0.0) for bound_s, count in after.items()}
    if max(made.values(), default=0.0) != len(gaps_s):
        observed = f"{max(made.values(), default=0.0):g} gaps between tokens in buckets"
        yield problem(one.name, observed, f"{len(gaps_s)}, by the client's chunks")
        return
    elsewhere = ELSEWHERE_RATIO * len(gaps_s) + FEW_GAPS
    longest_s = max(gaps_s, default=0.0)
    for bound_s, count in made.items():
        shorter = _up_to(bound_s * (1 - NEAR_RATIO), gaps_s, longest_s)
        at_most = _up_to(bound_s * (1 + NEAR_RATIO) + NEAR_S, gaps_s, longest_s)
        if shorter > count + elsewhere or at_most < count - elsewhere:
            observed = f"{shorter} to {at_most} gaps of about {bound_s:g} s at most"
            yield problem(one.name, observed, f"about {count:g} of {len(gaps_s)}, by the server")
            return


def _up_to(bound_s: float, gaps_s: Sequence[float], longest_s: float) -> int:
    """Return how many gaps are no longer than a bound; all of them are not looked at in vain."""
    return len(gaps_s) if bound_s >= longest_s else sum(map(bound_s.__ge__, gaps_s))


def _tokens(records: Sequence[Record]) -> int:
    return sum(sum(map(_COUNT, record.chunks or ())) for record in records)


def _gaps_s(record: Record) -> Iterable[float]:
    """Return the seconds from each token to the next; those of one chunk share its gap.

    In the first chunk, which has none, they came together.
    """
    arrivals_s, tokens = zip(*record.chunks or ((0.0, 1),), strict=True)
    if tokens.count(1) < len(tokens):
        whole = [chunk for chunk in record.chunks or () if chunk[1] > 0]
        together = (repeat(0.0, count - 1) for _, count in whole[:1])
        apart = (
            repeat((later_s - earlier_s) / count, count)
            for (earlier_s, _), (later_s, count) in pairwise(whole)
        )
        return chain(*together, *apart)
    return map(sub, arrivals_s[1:], arrivals_s)


def _first_and_last_s(record: Record) -> tuple[float, float] | None:
    """Return when the first and the last chunk with tokens arrived."""
    chunks = record.chunks or ()
    first_s = next((at_s for at_s, tokens in chunks if tokens > 0), None)
    last_s = next((at_s for at_s, tokens in reversed(chunks) if tokens > 0), None)
    return None if first_s is None or last_s is None else (first_s, last_s)
