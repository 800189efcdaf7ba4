"""Tier 4, topology: the engine was started as planned, and its ranks talk over what was promised.

Asks a server of somebody else's nothing: nothing is known of it. What only a GPU has is asked of a
GPU topology alone; where its evidence is not there, that is said.
"""

from collections.abc import Iterator

from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, findings, unchecked
from kit.check.topology import containers, gpus, model, run_logs, settings, transport
from kit.plan.topology import Device


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield the findings of this tier."""
    engine = evidence.document.plan.engine
    if engine is None or not evidence.is_own_engine:
        nothing = unchecked(BUNDLE, "nothing is known of the server", Code.TOPOLOGY_TIER.holds)
        yield from findings(Code.TOPOLOGY_TIER, [nothing])
        return
    yield from findings(Code.TOPOLOGY_TIER, ())
    yield from transport.check(evidence, engine)
    yield from settings.check(evidence, engine)
    yield from model.check(evidence, engine, catalog)
    yield from run_logs.check(evidence)
    yield from containers.check(evidence, engine)
    if engine.device is Device.GPU:
        yield from gpus.check(evidence, engine, catalog.gpus)
