"""Tokens and requests, counted twice: usage by token ids and chunks, records by the server."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from kit.bundle.record import FinishReason, Moment, TokenIds
from kit.check.arithmetic import sums
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked
from kit.check.evidence import Evidence, Pass, is_whole, subject_of
from kit.check.observed import Counters
from kit.parse import vllm_metrics


def _completion_tokens(evidence: Evidence) -> Iterator[Problem]:
    for record in evidence.answered:
        ids = record.token_ids
        if ids is not None and record.completion_tokens != len(ids):
            observed = f"completion_tokens {record.completion_tokens}"
            yield fail(subject_of(record), observed, f"{len(ids)}, the number of token ids")
    yield from _without_ids([record.token_ids for record in evidence.answered])


def _prompt_tokens(evidence: Evidence) -> Iterator[Problem]:
    for record in evidence.answered:
        ids = record.prompt_token_ids
        if ids is not None and record.prompt_tokens != len(ids):
            observed = f"prompt_tokens {record.prompt_tokens}"
            yield fail(subject_of(record), observed, f"{len(ids)}, the number of prompt token ids")
    yield from _without_ids([record.prompt_token_ids for record in evidence.answered])


def _without_ids(ids: Sequence[TokenIds | None]) -> Iterator[Problem]:
    if missing := ids.count(None):
        observed = f"{missing} of {len(ids)} responses have no token ids"
        yield unchecked(BUNDLE, observed, "token ids")


def _chunks(evidence: Evidence) -> Iterator[Problem]:
    """Without token ids the client counts one token for each chunk that holds text, a guess."""
    for record in evidence.answered:
        if record.chunks is None:
            continue
        tokens = [count for _, count in record.chunks]
        if record.token_ids is None and max(tokens, default=0) > 1:
            observed = f"a chunk of {max(tokens)} tokens, and no token ids"
            yield fail(subject_of(record), observed, "at most one token a chunk without token ids")
        elif sum(tokens) != record.completion_tokens:
            problem = fail if record.token_ids is not None else unchecked
            observed = f"chunks of {sum(tokens)} tokens"
            expected = f"{record.completion_tokens}, the completion tokens"
            yield problem(subject_of(record), observed, expected)


def _server_counters(evidence: Evidence) -> Iterator[Problem]:
    for pass_ in evidence.passes:
        if pass_.before is None or pass_.after is None:
            if is_whole(evidence, pass_):
                yield unchecked(pass_.name, "no server metrics around this pass", "metrics")
            continue
        if pass_.failed:  # among agents a run goes on
            observed = f"{pass_.failed} failed requests"
            yield unchecked(pass_.name, observed, "counters of this pass's responses alone")
            continue
        yield from sums.compare(sums.COUNTERS, evidence, pass_)
        if evidence.is_own_engine:
            yield from sums.compare(sums.OWN_COUNTERS, evidence, pass_)
            yield from _finish_reasons(evidence, pass_)


def _finish_reasons(evidence: Evidence, pass_: Pass) -> Iterator[Problem]:
    before, after = (
        evidence.observed.finished[pass_.phase, pass_.number, moment] for moment in Moment
    )
    for reason in (FinishReason.STOP, FinishReason.LENGTH):
        ended = sum(record.finish_reason is reason for record in pass_.records)
        if after.get(reason.value, 0) - before.get(reason.value, 0) != ended:
            observed = f"{vllm_metrics.FINISHED} of `{reason.value}` did not move by that"
            yield fail(pass_.name, observed, f"{ended}, by the pass's records")


def _counter_gaps(evidence: Evidence) -> Iterator[Problem]:
    if not any(pass_.after for pass_ in evidence.passes):
        yield unchecked(BUNDLE, "no server metrics", "metrics around each pass")
    for pass_, following in pairwise(evidence.passes):
        if pass_.after is not None and following.before is not None:
            subject = f"{pass_.name} to {following.name}"
            yield from _gap(evidence, subject, pass_.after, following.before)


def _gap(evidence: Evidence, subject: str, after: Counters, before: Counters) -> Iterator[Problem]:
    problem = fail if evidence.is_own_engine else unchecked
    for counter in vllm_metrics.STEADY:
        if after.get(counter) != before.get(counter):
            observed = f"{counter} went from {after.get(counter)} to {before.get(counter)}"
            yield problem(subject, observed, "no change between passes")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="arithmetic-completion-tokens",
        holds="`completion_tokens` is the number of token ids",
        hint="throughput counts completion tokens: do not use these figures",
        look=_completion_tokens,
    ),
    Check(
        id="arithmetic-prompt-tokens",
        holds="`prompt_tokens` is the number of prompt token ids",
        hint="do not use these figures: the prompt was not the one that was counted",
        look=_prompt_tokens,
    ),
    Check(
        id="arithmetic-chunks",
        holds="the tokens of a streamed response's chunks add up to `completion_tokens`",
        hint="do not use the latencies of this bundle",
        look=_chunks,
    ),
    Check(
        id="arithmetic-server-counter",
        holds="the server's counters moved by what a pass's records add up to",
        hint="records and server disagree: do not use these figures; measure again on an idle "
        "server",
        look=_server_counters,
    ),
    Check(
        id="arithmetic-counter-gap",
        holds="the server's counters do not change between passes",
        hint="something was generated that is not in the records: measure again on an idle server",
        look=_counter_gaps,
    ),
)
