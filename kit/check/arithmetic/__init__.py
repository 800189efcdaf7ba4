"""Tier 3, arithmetic: every number that can be counted twice is, and the two must agree."""

from collections.abc import Iterator

from kit.check.arithmetic import counts, ordering, server_times, stream_times, text, timestamps
from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence
from kit.check.finding import Finding
from kit.check.problem import findings


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield the findings of this tier."""
    yield from findings(Code.ARITHMETIC_TIER, ())
    yield from counts.check(evidence)
    yield from ordering.check(evidence)
    yield from server_times.check(evidence)
    yield from stream_times.check(evidence)
    yield from timestamps.check(evidence)
    yield from text.check(evidence, catalog)
