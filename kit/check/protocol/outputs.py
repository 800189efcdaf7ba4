"""Responses: prompts read alike in every pass, no pass a copy of another, lengths within budget."""

from collections.abc import Iterator

from kit.bundle.record import FinishReason, Record
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, Pass, subject_of


def _prompt_token_ids(evidence: Evidence) -> Iterator[Problem]:
    """An endpoint's chat template may contain the date, which changes at midnight."""
    problem = fail if evidence.is_own_engine else warn
    first: dict[str, Record] = {}
    for record in evidence.answered:
        if record.prompt_token_ids is None:
            continue
        earlier = first.setdefault(record.prompt_id, record)
        if record.prompt_token_ids != earlier.prompt_token_ids:
            observed = f"{len(record.prompt_token_ids)} prompt token ids"
            expected = f"the {len(earlier.prompt_token_ids or ())} ids of {subject_of(earlier)}"
            yield problem(subject_of(record), observed, expected)
    if evidence.answered and not first:
        yield unchecked(BUNDLE, "no prompt token ids", "the same ids in every pass")


def _copies(evidence: Evidence) -> Iterator[Problem]:
    """Fail where half of a pass's responses, two or more, are those of earlier passes.

    One response may come out again, if it is short or certain: that is a warning. Several of one
    pass may not, at the planned temperature. A twin's weights are random, so that none of its
    tokens is certain; the article's models answer in about 1,000 tokens, and if only each
    twentieth has a second choice, taken one time in five, two answers are equal with probability
    0.68^50 (0.8^2 + 0.2^2 = 0.68), once in 200 million. Endpoints may ignore temperature and seed.
    """
    first_with: dict[tuple[str, int], Pass] = {}
    for pass_ in evidence.passes:
        answered = [record for record in pass_.records if record.error is None]
        keys = [(record.prompt_id, hash(record.token_ids or record.text)) for record in answered]
        copied = [key for key in keys if first_with.get(key, pass_) is not pass_]
        if copied:
            is_copy = evidence.is_own_engine and len(copied) >= max(2, len(answered) / 2)
            source = first_with[copied[0]].name
            observed = f"{len(copied)} of {len(answered)} responses as in {source}, or earlier"
            yield (fail if is_copy else warn)(pass_.name, observed, "responses of its own")
        for key in keys:
            first_with.setdefault(key, pass_)


def _lengths(evidence: Evidence) -> Iterator[Problem]:
    """Endpoints may count the end token beside the budget, answer nothing, or have less context."""
    budget = evidence.document.plan.sampling.max_tokens
    for record in evidence.answered:
        subject, tokens = subject_of(record), record.completion_tokens or 0
        if not 0 < tokens <= budget:
            is_lenient = not evidence.is_own_engine and tokens in (0, budget + 1)
            observed = f"{tokens} completion tokens"
            yield (warn if is_lenient else fail)(subject, observed, f"1 to {budget}")
        elif record.finish_reason is FinishReason.LENGTH and tokens < budget:
            problem = fail if evidence.is_own_engine else warn
            yield problem(subject, f"`length` after {tokens} tokens", f"{budget}, the budget")
        elif record.finish_reason is FinishReason.OTHER:
            yield warn(subject, "stopped for another reason", "`stop` or `length`")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-prompt-token-ids",
        holds="a prompt has the same token ids in every pass",
        hint="measure again: the server was not sent the same prompt each time",
        look=_prompt_token_ids,
    ),
    Check(
        id="protocol-copies",
        holds="no pass has the responses of others: each request has a seed of its own",
        hint="measure again: a pass was copied, or the server ignored temperature and seed",
        look=_copies,
    ),
    Check(
        id="protocol-output-length",
        holds="no response is empty or over the token budget; `length` means that it was spent",
        hint="do not use these figures: output was cut short or counted wrongly",
        look=_lengths,
    ),
)
