"""What a publication recommends, line by line, beside what this host's bundles say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kit.claims.reference import Recommendation, Reference
from kit.claims.verdict import ClaimOutcome, JudgedSet, Judgement


class Agreement(Enum):
    """Of a recommendation with the claims that it rests on, as far as they could be decided."""

    AGREES = "agrees"
    IN_PART = "agrees, as far as measured"
    DISAGREES = "does not agree"
    OPEN = "not decided"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """A recommendation with its claims as they were judged."""

    recommendation: Recommendation
    claims: tuple[Judgement, ...]

    @property
    def agreement(self) -> Agreement:
        """One claim that was not reproduced is enough to disagree."""
        outcomes = {claim.outcome for claim in self.claims}
        if ClaimOutcome.NOT_REPRODUCED in outcomes:
            return Agreement.DISAGREES
        if outcomes == {ClaimOutcome.REPRODUCED}:
            return Agreement.AGREES
        if ClaimOutcome.REPRODUCED in outcomes:
            return Agreement.IN_PART
        return Agreement.OPEN if ClaimOutcome.INCONCLUSIVE in outcomes else Agreement.NOT_MEASURED


def advice(reference: Reference, judged: JudgedSet) -> Iterator[Advice]:
    """Yield each recommendation of a reference with the judgements on its claims."""
    by_id = {claim.claim: claim for claim in judged.claims}
    for recommendation in reference.recommendations:
        yield Advice(
            recommendation=recommendation,
            claims=tuple(by_id[name] for name in recommendation.claims),
        )


def largest(sets: Sequence[JudgedSet]) -> JudgedSet:
    """Return the set that decides most: a guide is about one host."""
    return max(sets, key=_decided)


def judgement_of(judged: JudgedSet, claim: str) -> Judgement | None:
    """Return the judgement on a claim; None where the reference has no such claim."""
    return next((one for one in judged.claims if one.claim == claim), None)


def _decided(judged: JudgedSet) -> int:
    return sum(claim.outcome is not ClaimOutcome.NOT_TESTABLE for claim in judged.claims)
