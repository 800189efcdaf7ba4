"""Judge a reference's claims from bundles, once for each set of comparable bundles.

Top-down: `judge` makes the sets, `_judge_set` one `JudgedSet`, `_judge_claim` one `Judgement`:
what a claim needs is there, its formula has an estimate, and the estimate's interval lies inside or
outside of the accepted values.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kit.check import agreement, duplicates, tiers
from kit.check.finding import Outcome
from kit.claims import eligible, formula, needed_runs
from kit.claims import noise as published_noise
from kit.claims.claim import Claim, Hardware, Measure, Relation
from kit.claims.comparable import comparable_sets, same_host_others
from kit.claims.eligible import EligibleBundle
from kit.claims.estimate import Estimate, half_width, interval, sensitivity
from kit.claims.formula import Undefined
from kit.claims.needed_runs import Bounds
from kit.claims.noise import Noise
from kit.claims.quantities import Cells, Missing, by_suite, resolve
from kit.claims.reference import Reference, all_claims
from kit.claims.verdict import ClaimOutcome, Excluded, JudgedSet, Judgement, Measured
from kit.figures import intervals
from kit.figures.client_error import client_error_ratio
from kit.figures.intervals import Interval

SINGLE, AGENTS = "single", "swarm"
"""The suites that claims are about."""

CLIENT_SHARE = 0.25
"""Of a claim's tolerance, for the error of the client that measured."""

_CHECKS = frozenset(check.id for check in (*tiers.ALL, duplicates.COPY, agreement.SAME_FILES))


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimContext:
    """What the claims of a reference are judged with: one set of comparable bundles.

    `cells` are those of each suite.
    """

    reference: Reference
    noise: Noise | None
    parameters: Mapping[str, float]
    bundles: tuple[EligibleBundle, ...]
    cells: Mapping[str, Cells]

    @property
    def is_same_hardware(self) -> bool:
        return all(eligible.is_same_hardware(bundle, self.reference) for bundle in self.bundles)

    def bundles_of(self, claim: Claim) -> tuple[EligibleBundle, ...]:
        """Return the bundles of the cells in a claim's formula."""
        if claim.measure is None:
            return ()
        tree, cells = claim.measure.tree, self.cells_of(claim.measure)
        return tuple(bundle for cell in formula.cells(tree) for bundle in cells.get(cell, ()))

    def cells_of(self, measure: Measure) -> Cells:
        """Return the cells of the suite that a formula is about.

        One that names several agents anywhere is about the suite of agents, with one agent too;
        any other is about single requests.
        """
        has_agents = any(cell.agents > 1 for cell in formula.cells(measure.tree))
        return self.cells.get(AGENTS if has_agents else SINGLE, {})


class _NotTestable(Exception):
    """A claim that cannot be judged from these bundles, and why."""


def judge(
    reference: Reference,
    noise: Noise | None,
    parameters: Mapping[str, float],
    bundles: Sequence[EligibleBundle | Excluded],
) -> tuple[JudgedSet, ...]:
    """Judge every claim of a reference, once for each set of comparable bundles.

    `noise` is that of the published figures; `parameters` replace those of the reference. Without
    an eligible bundle there is one set, in which no claim is testable.
    """
    excluded = tuple(bundle for bundle in bundles if isinstance(bundle, Excluded))
    sets = comparable_sets([bundle for bundle in bundles if isinstance(bundle, EligibleBundle)])
    values = {name: float(value) for name, value in reference.parameters.items()} | dict(parameters)
    return tuple(
        _judge_set(
            ClaimContext(
                reference=reference,
                noise=noise,
                parameters=values,
                bundles=members,
                cells=by_suite(members),
            ),
            (*excluded, *same_host_others(members, sets)),
        )
        for members in sets or ((),)
    )


def _judge_set(context: ClaimContext, excluded: tuple[Excluded, ...]) -> JudgedSet:
    claims = tuple(_judge_claim(claim, context) for claim in all_claims(context.reference))
    first = context.bundles[0] if context.bundles else None
    with_spread = sum(claim.measured is not None and claim.measured.has_spread for claim in claims)
    return JudgedSet(
        reference=context.reference.id,
        host_id=first.document.host_id if first else None,
        gpus=first.gpus if first else (),
        bundles=tuple(bundle.path for bundle in context.bundles),
        excluded=excluded,
        differences=eligible.differences(first, context.reference) if first else (),
        remarks=tuple(_remarks(context)) if first else (),
        missed_by_chance=round((1 - intervals.CONFIDENCE) * with_spread, 2),
        claims=claims,
    )


def _remarks(context: ClaimContext) -> Iterator[str]:
    half = published_noise.half_width(context.noise)
    if context.noise is None:
        yield (
            "The author repeated no cell: each published figure is assumed accurate to "
            f"{half:.1%}, the effect of a restart on other engines."
        )
        return
    repeated = list(map(str, context.noise.cells))
    runs = context.noise.degrees + len(repeated)
    yield (
        f"A published figure is accurate to {half:.1%} at 95 %, by the author's own {runs} runs of "
        f"{', '.join(repeated)}."
    )
    if others := [cell for cell in context.reference.cells if cell not in repeated]:
        yield f"The author did not repeat {', '.join(others)}: the same noise is assumed."


def _judge_claim(claim: Claim, context: ClaimContext) -> Judgement:
    try:
        measure = _require_testable(claim, context)
        estimate = formula.evaluate(
            measure.tree,
            Estimate,
            lambda quantity: resolve(quantity, context.cells_of(measure)),
            context.parameters.__getitem__,
        )
        return _compare(claim, measure, estimate, context)
    except (_NotTestable, Missing, Undefined) as why:
        return _judgement(claim, context, ClaimOutcome.NOT_TESTABLE, reason=str(why))


def _require_testable(claim: Claim, context: ClaimContext) -> Measure:
    """Return the claim's measure; raise `_NotTestable` with the reason if it cannot be judged."""
    unknown = [need for need in claim.needs if need not in _CHECKS]
    if unknown or claim.measure is None:
        raise _NotTestable(f"bundles hold no evidence of this kind: {', '.join(unknown)}")
    for cell in formula.cells(claim.measure.tree):
        if cell not in context.cells_of(claim.measure):
            raise _NotTestable(f"no bundle of {cell} is in this set")
    if claim.hardware is Hardware.SAME and not context.is_same_hardware:
        gpus = ", ".join(context.bundles[0].gpus)
        raise _NotTestable(
            f"an absolute number for {context.reference.hardware.gpu}, measured here on {gpus}"
        )
    for need in claim.needs:
        for bundle in context.bundles_of(claim):
            if set(bundle.outcomes(need)) != {Outcome.PASS}:
                raise _NotTestable(f"{need} did not pass in {bundle.path}")
    return claim.measure


def _compare(
    claim: Claim, measure: Measure, estimate: Estimate, context: ClaimContext
) -> Judgement:
    """Compare the estimate, widened by the noise of the published figure, with what is accepted."""
    accepted, own = accepted_by(measure), interval(estimate)
    published = 0.0
    if measure.relation is Relation.EQUALS and not estimate.is_exact:
        published = published_noise.half_width(context.noise) * sensitivity(estimate)
    outcome = _outcome(_widened(estimate, published), accepted)
    reason = None if estimate.is_exact else _client_objection(claim, measure, context)
    advice = ""
    if reason is not None:
        outcome = ClaimOutcome.INCONCLUSIVE
    elif outcome is ClaimOutcome.INCONCLUSIVE:
        deviation = context.noise.deviation if context.noise else intervals.RESTART_FLOOR
        advice = needed_runs.advice(estimate, accepted, published, deviation)
    measured = Measured(
        value=estimate.value,
        low=own.low if own else None,
        high=own.high if own else None,
        published_half_width=published,
    )
    return _judgement(claim, context, outcome, measured=measured, reason=reason, advice=advice)


def _client_objection(claim: Claim, measure: Measure, context: ClaimContext) -> str | None:
    """Return why the client was too inexact for a claim's tolerance; None where it was not."""
    errors = [
        client_error_ratio(bundle.document.calibrations, bundle.records)
        for bundle in context.bundles_of(claim)
    ]
    worst = max((error for error in errors if error is not None), default=0.0)
    if not measure.tolerance or worst <= measure.tolerance * CLIENT_SHARE:
        return None
    return (
        f"the client's own error, {worst:.2%}, is more than a quarter of the tolerance, "
        f"{measure.tolerance:.0%}"
    )


def accepted_by(measure: Measure) -> Bounds:
    """Return which values count as reproduced: the printed figure's range plus the tolerance."""
    low = measure.figure.low * (1 - measure.tolerance)
    high = measure.figure.high * (1 + measure.tolerance)
    match measure.relation:
        case Relation.EQUALS:
            return low, high
        case Relation.AT_MOST:
            return None, high
        case Relation.AT_LEAST:
            return low, None


def _widened(estimate: Estimate, published: float) -> Interval | None:
    """Return the interval of measured over published: independent half-widths add in quadrature."""
    if estimate.is_exact:
        return interval(estimate)
    own = half_width(estimate)
    return None if own is None else intervals.around(estimate.value, math.hypot(own, published))


def _outcome(interval: Interval | None, accepted: Bounds) -> ClaimOutcome:
    low = -math.inf if accepted[0] is None else accepted[0]
    high = math.inf if accepted[1] is None else accepted[1]
    if interval is None:
        return ClaimOutcome.INCONCLUSIVE
    if low <= interval.low and interval.high <= high:
        return ClaimOutcome.REPRODUCED
    if interval.high < low or high < interval.low:
        return ClaimOutcome.NOT_REPRODUCED
    return ClaimOutcome.INCONCLUSIVE


_REASONS = {
    ClaimOutcome.REPRODUCED: "the interval lies inside the accepted values",
    ClaimOutcome.NOT_REPRODUCED: "the interval lies outside the accepted values",
    ClaimOutcome.INCONCLUSIVE: "the interval is too wide to decide",
}


def _judgement(
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
    bundles = () if measured is None else context.bundles_of(claim)
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
        bundles=tuple(bundle.path for bundle in bundles),
    )
