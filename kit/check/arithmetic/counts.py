"""The arithmetic tier's look at counts: the client's against themselves, and against the server's.

Usage against token ids and chunks, the server's counters against the records.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import itemgetter

from kit.bundle.record import FinishReason, Moment
from kit.check.codes import Code
from kit.check.evidence import Counters, Evidence, Pass, counted_alone, subject_of, went_through
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, fail, findings, shown, unchecked, warn
from kit.parse import vllm_metrics

_TOKENS = itemgetter(1)
"""Of a chunk."""


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the arithmetic tier."""
    yield from findings(Code.ARITHMETIC_COMPLETION_TOKENS, _completion_tokens(evidence))
    yield from findings(Code.ARITHMETIC_PROMPT_TOKENS, _prompt_tokens(evidence))
    yield from findings(Code.ARITHMETIC_CHUNKS, _chunks(evidence))
    yield from findings(Code.ARITHMETIC_SERVER_COUNTER, _server_counters(evidence))
    yield from findings(Code.ARITHMETIC_COUNTER_GAP, _counter_gaps(evidence))


def _completion_tokens(evidence: Evidence) -> Iterator[Problem]:
    counted = [record for record in evidence.answered if record.token_ids is not None]
    for record in counted:
        if record.completion_tokens != len(record.token_ids or ()):
            yield fail(
                subject_of(record),
                f"completion_tokens {record.completion_tokens}",
                f"{len(record.token_ids or ())}, the number of token ids",
            )
    yield from _without_ids(len(evidence.answered) - len(counted), len(evidence.answered))


def _prompt_tokens(evidence: Evidence) -> Iterator[Problem]:
    counted = [record for record in evidence.answered if record.prompt_token_ids is not None]
    for record in counted:
        if record.prompt_tokens != len(record.prompt_token_ids or ()):
            yield fail(
                subject_of(record),
                f"prompt_tokens {record.prompt_tokens}",
                f"{len(record.prompt_token_ids or ())}, the number of prompt token ids",
            )
    yield from _without_ids(len(evidence.answered) - len(counted), len(evidence.answered))


def _without_ids(missing: int, total: int) -> Iterator[Problem]:
    if missing:
        yield unchecked(BUNDLE, f"{missing} of {total} responses have no token ids", "token ids")


def _chunks(evidence: Evidence) -> Iterator[Problem]:
    """Without token ids the client counts one token for each chunk that holds text, a guess."""
    for record in evidence.answered:
        if record.chunks is None:
            continue
        tokens = list(map(_TOKENS, record.chunks))
        if record.token_ids is None and max(tokens, default=0) > 1:
            observed = f"a chunk of {shown(max(tokens))} tokens, and no token ids"
            yield fail(subject_of(record), observed, "at most one token a chunk without token ids")
        elif sum(tokens) != record.completion_tokens:
            problem = fail if record.token_ids is not None else unchecked
            yield problem(
                subject_of(record),
                f"chunks of {shown(sum(tokens))} tokens",
                f"{record.completion_tokens}, the completion tokens",
            )


def _server_counters(evidence: Evidence) -> Iterator[Problem]:
    for one in evidence.passes:
        if one.before is None or one.after is None:
            if went_through(evidence, one):
                yield unchecked(one.name, "no server metrics around this pass", "metrics")
            continue
        # No request but ours has ended in this pass; one of others may still have been running.
        alone = counted_alone(evidence, one)
        for counter, expected in _sums(evidence, one).items():
            moved = one.moved(counter)
            if moved != expected:
                observed = "cannot be told" if moved is None else f"moved by {moved:.0f}"
                gravity = _gravity(evidence, moved, expected, alone=alone)
                wanted = f"{expected}, the sum over the pass's records"
                yield gravity(one.name, f"{counter} {observed}", wanted)
        if evidence.is_own_engine:
            yield from _finished(evidence, one)


def _finished(evidence: Evidence, one: Pass) -> Iterator[Problem]:
    """Hold why responses ended against what an engine of the kit's own counted by that."""
    told = evidence.observed.finished
    before, after = (told[one.phase, one.number, moment] for moment in Moment)
    ended = [record.finish_reason for record in one.records]
    for reason in (FinishReason.STOP, FinishReason.LENGTH):
        moved = after.get(reason.value, math.nan) - before.get(reason.value, math.nan)
        if moved != ended.count(reason):
            observed = f"{vllm_metrics.FINISHED} of `{reason.value}` moved by {moved:g}"
            yield fail(one.name, observed, f"{ended.count(reason)}, by the pass's records")


def _gravity(
    evidence: Evidence, moved: float | None, expected: int, *, alone: bool
) -> Callable[[str, str, str], Problem]:
    """Tell how grave it is that a counter did not move by what the records add up to.

    Others may move an endpoint's counters too, and each of several replicas behind one address has
    counters of its own; but no server that counted our requests alone counts less than they took.
    """
    if evidence.is_own_engine:
        return fail
    if moved is None or moved > expected:
        return unchecked
    return fail if alone else warn


def _sums(evidence: Evidence, one: Pass) -> dict[str, int]:
    """Return by how much counters must have moved; our own engine has more of them.

    It counts the tokens of a request again at its end, with the budget that it was given, and the
    steps after its first token: one for each that follows, since no planned engine guesses several
    at a time.
    """
    generated = sum(record.completion_tokens or 0 for record in one.records)
    read = sum(record.prompt_tokens or 0 for record in one.records)
    sums = {
        vllm_metrics.GENERATION_TOKENS: generated,
        vllm_metrics.PROMPT_TOKENS: read,
        vllm_metrics.E2E_LATENCY_COUNT: len(one.records),
    }
    if evidence.is_own_engine:
        sums[vllm_metrics.FINISHED_GENERATION_TOKENS] = generated
        sums[vllm_metrics.FINISHED_PROMPT_TOKENS] = read
        sums[vllm_metrics.BETWEEN_TOKENS_COUNT] = generated - len(one.records)
        budget = evidence.document.plan.sampling.max_tokens
        sums[vllm_metrics.BUDGETS_SUM] = budget * len(one.records)
    return sums


def _counter_gaps(evidence: Evidence) -> Iterator[Problem]:
    if not any(one.after for one in evidence.passes):
        yield unchecked(BUNDLE, "no server metrics", "metrics around each pass")
    for one, following in pairwise(evidence.passes):
        if one.after is not None and following.before is not None:
            yield from _gap(evidence, one, following, one.after, following.before)


def _gap(
    evidence: Evidence, one: Pass, following: Pass, after: Counters, before: Counters
) -> Iterator[Problem]:
    for counter in vllm_metrics.STEADY:
        if after.get(counter) != before.get(counter):
            problem = fail if evidence.is_own_engine else unchecked
            yield problem(
                f"{one.name} to {following.name}",
                f"{counter} went from {after.get(counter)} to {before.get(counter)}",
                "no change between passes",
            )
