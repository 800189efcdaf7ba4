"""What must have been shown before a bundle's figures may be quoted.

A bundle may be valid and still not show what was measured: a model that is not pinned, an image on
an unknown base, an endpoint, GPUs without telemetry. Such figures are for their owner alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from kit.bundle.document import Document
from kit.check.check import Check, ForFigures
from kit.check.finding import Finding, Outcome
from kit.check.tiers import ALL, PHYSICS
from kit.plan.plan import Engine
from kit.plan.topology import Device, Transport

_ENOUGH = {
    ForFigures.NOTHING: set(Outcome),
    ForFigures.CHECKED: {Outcome.PASS, Outcome.WARN},
    ForFigures.PASSED: {Outcome.PASS},
}


def not_shown(findings: Sequence[Finding], document: Document | None) -> tuple[str, ...]:
    """Return the ids of the checks that block a bundle from being reportable."""
    engine = None if document is None else document.plan.engine
    outcomes: dict[str, set[Outcome]] = defaultdict(set)
    for finding in findings:
        outcomes[finding.code].add(finding.outcome)
    return tuple(
        check.id
        for check in ALL
        if _counts(check, engine) and not outcomes[check.id] <= _ENOUGH[check.for_figures]
    )


def _counts(check: Check[Any], engine: Engine | None) -> bool:
    """Tell whether a check counts: physics on GPUs alone, NVLink where the topology promises it.

    Elsewhere NCCL's log shows the transport: GeForce cards, whose links count no bytes, can never
    show that nothing went over them.
    """
    if check is PHYSICS.gate:
        return engine is not None and engine.device is Device.GPU
    if check.id == "topology-nvlink":
        return engine is not None and engine.transport is Transport.NVLINK
    return True
