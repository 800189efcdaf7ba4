"""Tier 6, protocol: the plan is the kit's own or the published one, and the run went as planned."""

from collections.abc import Iterator

from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence
from kit.check.finding import Finding
from kit.check.problem import findings
from kit.check.protocol import conduct, planned, steadiness


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield the findings of this tier, its warnings included."""
    yield from findings(Code.PROTOCOL_TIER, ())
    yield from planned.check(evidence, catalog)
    yield from conduct.check(evidence)
    yield from steadiness.check(evidence)
