"""Claims against bundles: one judgement a claim, for each set of bundles that can be compared."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kit.check import duplicates, tiers
from kit.check.finding import Outcome, Verdict
from kit.claims import eligible, formula
from kit.claims.claim import Claim, Hardware, Measure, Relation
from kit.claims.comparable import comparable_sets, kept_apart
from kit.claims.eligible import EligibleBundle
from kit.claims.estimate import Estimate, around, half_width, interval, reach
from kit.claims.formula import Undefined
from kit.claims.needed_runs import what_would_decide
from kit.claims.quantities import Cells, Missing, by_cell, resolve
from kit.claims.reference import Noise, Reference, all_claims
from kit.claims.verdict import MISSED_SHARE, ClaimOutcome, Excluded, JudgedSet, Judgement, Measured
from kit.figures import intervals
from kit.figures.intervals import Interval

_CODES = frozenset(check.id for check in (*tiers.ALL, duplicates.COPY))

Accepted = tuple[float | None, float | None]
"""The lowest and the highest value that count as reproduced; None where there is no bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimContext:
    """What the claims of one reference are judged by, for one set of bundles."""

    reference: Reference
    noise: Noise | None
    parameters: Mapping[str, float]
    cells: Cells
    members: tuple[EligibleBundle, ...]

    @property
    def is_same_hardware(self) -> bool:
        return all(eligible.is_same_hardware(one, self.reference) for one in self.members)

    def bundles(self, claim: Claim) -> tuple[EligibleBundle, ...]:
        """Return the bundles of the cells that a claim is over."""
        wanted = () if claim.measure is None else formula.cells(claim.measure.tree)
        return tuple(one for cell in wanted for one in self.cells.get(cell, ()))


class _NotTestable(Exception):
    """A claim that these bundles cannot speak for, and why."""


def judge(
    reference: Reference,
    noise: Noise | None,
    parameters: Mapping[str, float],
    everyone: Sequence[EligibleBundle | Verdict],
) -> tuple[JudgedSet, ...]:
    """Judge every claim of a reference, once for each set of bundles that can be compared.

    `everyone` holds the bundles that could be read, and the verdicts on those that could not.
    `noise` is what the published figures scatter by (`kit.claims.reference.noise_of`); `parameters`
    replace those of the reference. Without any bundle that testifies nothing is testable.
    """
    silent = eligible.why_excluded(everyone)
    spoken = [
        one
        for one in everyone
        if isinstance(one, EligibleBundle) and eligible.excluded(one) is None
    ]
    values = {name: float(value) for name, value in reference.parameters.items()} | dict(parameters)
    sets = comparable_sets(spoken) or ((),)
    return tuple(
        _judged(
            ClaimContext(
                reference=reference,
                noise=noise,
                parameters=values,
                cells=by_cell(members),
                members=members,
            ),
            (*silent, *kept_apart(members, sets)),
        )
        for members in sets
    )


def _judged(context: ClaimContext, excluded: tuple[Excluded, ...]) -> JudgedSet:
    claims = tuple(_judgement(claim, context) for claim in all_claims(context.reference))
    first = context.members[0] if context.members else None
    with_spread = sum(one.measured is not None and one.measured.has_spread for one in claims)
    return JudgedSet(
        reference=context.reference.id,
        host_id=first.document.host_id if first else None,
        gpus=first.gpus if first else (),
        bundles=tuple(one.path for one in context.members),
        excluded=excluded,
        differences=eligible.differences(first, context.reference) if first else (),
        remarks=tuple(_remarks(context)),
        missed_by_chance=round(MISSED_SHARE * with_spread, 2),
        claims=claims,
    )


def _remarks(context: ClaimContext) -> Iterator[str]:
    if not context.members:
        return
    if context.noise is None:
        yield (
            "Nobody repeated a published figure: each is taken to be good for "
            f"{intervals.RESTART_FLOOR:.1%}, as restarts elsewhere."
        )
        return
    repeated = ", ".join(map(str, context.noise.cells))
    runs = context.noise.degrees + len(context.noise.cells)
    yield (
        f"A published figure is good for {_published_noise(context.noise):.1%} at 95 %, by "
        f"the author's own {runs} runs of {repeated}."
    )
    borrowing = [cell for cell in context.reference.cells if cell not in repeated.split(", ")]
    if borrowing:
        yield f"Nobody repeated {', '.join(borrowing)}: they borrow that."


def _judgement(claim: Claim, context: ClaimContext) -> Judgement:
    try:
        measure = _require_testable(claim, context)
        estimate = formula.evaluate(
            measure.tree,
            Estimate,
            lambda quantity: resolve(quantity, context.cells),
            context.parameters.__getitem__,
        )
        return _decided(claim, measure, estimate, context)
    except (_NotTestable, Missing, Undefined) as why:
        return _entry(claim, context, ClaimOutcome.NOT_TESTABLE, reason=str(why))


def _require_testable(claim: Claim, context: ClaimContext) -> Measure:
    """Return the claim's measure; raise `_NotTestable` with what stands against judging it."""
    unheard = [need for need in claim.needs if need not in _CODES]
    if unheard or claim.measure is None:
        raise _NotTestable(f"no bundle holds evidence of this kind: {', '.join(unheard)}")
    for cell in formula.cells(claim.measure.tree):
        if cell not in context.cells:
            raise _NotTestable(f"no bundle of {cell} is in this set")
    if claim.hardware is Hardware.SAME and not context.is_same_hardware:
        ours = ", ".join(context.members[0].gpus)
        raise _NotTestable(
            f"an absolute number of {context.reference.hardware.gpu}; these bundles are of {ours}"
        )
    for need in claim.needs:
        for one in context.bundles(claim):
            outcomes = one.outcomes(need)
            if not outcomes or set(outcomes) != {Outcome.PASS}:
                raise _NotTestable(f"{need} did not pass in {one.path}")
    return claim.measure


def _decided(
    claim: Claim, measure: Measure, estimate: Estimate, context: ClaimContext
) -> Judgement:
    accepted = accepted_by(measure)
    published = 0.0
    if measure.relation is Relation.EQUALS and not estimate.is_exact:
        published = _published_noise(context.noise) * reach(estimate)
    own = interval(estimate)
    measured = Measured(
        value=estimate.value,
        low=own.low if own else None,
        high=own.high if own else None,
        published_half_width=published,
    )
    outcome = _outcome(_with_published_noise(estimate, published), accepted)
    advice = ""
    if outcome is ClaimOutcome.INCONCLUSIVE:
        deviation = context.noise.deviation if context.noise else intervals.RESTART_FLOOR
        advice = what_would_decide(estimate, accepted, published, deviation)
    return _entry(claim, context, outcome, measured=measured, advice=advice)


def accepted_by(measure: Measure) -> Accepted:
    """Return what counts as reproduced: the printed figure's range, widened by the tolerance."""
    low = measure.figure.low * (1 - measure.tolerance)
    high = measure.figure.high * (1 + measure.tolerance)
    match measure.relation:
        case Relation.EQUALS:
            return low, high
        case Relation.AT_MOST:
            return None, high
        case Relation.AT_LEAST:
            return low, None


def _published_noise(noise: Noise | None) -> float:
    """Return the half-width at 95 % of one published figure, in proportion."""
    if noise is None:
        return intervals.RESTART_FLOOR
    return intervals.student_t_quantile(noise.degrees) * noise.deviation


def _with_published_noise(estimate: Estimate, published: float) -> Interval | None:
    """Return the interval of measured over published: independent half-widths add in quadrature."""
    if estimate.is_exact:
        return interval(estimate)
    own = half_width(estimate)
    return None if own is None else around(estimate.value, math.hypot(own, published))


def _outcome(found: Interval | None, accepted: Accepted) -> ClaimOutcome:
    low = -math.inf if accepted[0] is None else accepted[0]
    high = math.inf if accepted[1] is None else accepted[1]
    if found is None:
        return ClaimOutcome.INCONCLUSIVE
    if low <= found.low and found.high <= high:
        return ClaimOutcome.REPRODUCED
    if found.high < low or high < found.low:
        return ClaimOutcome.NOT_REPRODUCED
    return ClaimOutcome.INCONCLUSIVE


_REASONS = {
    ClaimOutcome.REPRODUCED: "the interval lies within what is accepted",
    ClaimOutcome.NOT_REPRODUCED: "the interval lies outside of what is accepted",
    ClaimOutcome.INCONCLUSIVE: "the interval is too wide for a yes or a no",
}


def _entry(
    claim: Claim,
    context: ClaimContext,
    outcome: ClaimOutcome,
    *,
    measured: Measured | None = None,
    reason: str | None = None,
    advice: str = "",
) -> Judgement:
    measure = claim.measure
    low, high = (None, None) if measure is None else accepted_by(measure)
    return Judgement(
        claim=claim.id,
        statement=claim.statement,
        where=claim.where,
        outcome=outcome,
        published=measure.published if measure else None,
        unit=measure.unit if measure else None,
        accepted_low=low,
        accepted_high=high,
        measured=measured,
        on_other_hardware=measured is not None and not context.is_same_hardware,
        reason=reason or _REASONS[outcome],
        advice=advice,
        bundles=() if measured is None else tuple(one.path for one in context.bundles(claim)),
    )
