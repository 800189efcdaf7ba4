"""The cells that claims still need: of each that could not be decided, those in its formula."""

from collections.abc import Iterator, Mapping, Sequence

from kit.claims import formula
from kit.claims.claim import Claim
from kit.claims.judge import AGENTS, SINGLE
from kit.claims.reference import Reference, all_claims
from kit.claims.verdict import ClaimOutcome, JudgedSet
from kit.plan.plan import Cell

_UNDECIDED = (ClaimOutcome.NOT_TESTABLE, ClaimOutcome.INCONCLUSIVE)


def needed_cells(
    references: Mapping[str, Reference], judged: Sequence[JudgedSet]
) -> Iterator[frozenset[Cell]]:
    """Yield the cells of each claim that no set of bundles has decided."""
    for name, reference in references.items():
        sets = [one for one in judged if one.reference == name]
        decided = {
            claim.claim for one in sets for claim in one.claims if claim.outcome not in _UNDECIDED
        }
        for claim in all_claims(reference):
            if claim.id not in decided and (cells := _cells(claim)):
                yield cells


def _cells(claim: Claim) -> frozenset[Cell]:
    if claim.measure is None:
        return frozenset()
    named = formula.cells(claim.measure.tree)
    has_agents = any(cell.agents > 1 for cell in named)
    return frozenset(
        Cell(
            model=cell.model,
            topology=cell.topology,
            suite=AGENTS if has_agents else SINGLE,
            agents=cell.agents if has_agents else None,
        )
        for cell in named
    )
