"""What must have been shown before a bundle's figures may be quoted.

A bundle may be valid and still not say what was measured: a model that nobody pinned, an image on
an unknown base, a server of somebody else's, GPUs that nobody saw. Such figures are one's own to
look at.
"""

from collections.abc import Iterator, Sequence

from kit.bundle.document import Document
from kit.check.codes import Code
from kit.check.finding import Finding, Outcome
from kit.plan.topology import Device, Transport

KNOWN_PARTS = (
    Code.TOPOLOGY_ENGINE_VERSION,
    Code.TOPOLOGY_DEVICE,
    Code.TOPOLOGY_ARGUMENTS,
    Code.TOPOLOGY_TRANSPORT,
    Code.TOPOLOGY_MODEL,
    Code.PROTOCOL_PLAN,
    Code.PROTOCOL_MODEL_FILES,
    Code.PROTOCOL_FRESH_ENGINE,
)
"""Each must pass: that nothing contradicts it is not enough."""

WITNESSED = (Code.ARITHMETIC_TIME_WITNESS, Code.TOPOLOGY_LOG)
"""Each must have been looked at: a warning, as of a warm-up that a busy host held up, may stay."""

WHERE_IT_APPLIES = (Code.PROTOCOL_BASE_IMAGE,)
"""A process stands on no image: where there is no such finding, there is nothing to show."""

ON_GPUS = (
    Code.TOPOLOGY_TELEMETRY,
    Code.TOPOLOGY_SLOWDOWN,
    Code.TOPOLOGY_PROCESSES,
    Code.TOPOLOGY_NCCL_ENVIRONMENT,
    Code.PHYSICS_TIER,
    Code.PHYSICS_ROOFLINE,
)
"""Each must have been looked at in a GPU topology, where the kit has what it takes: a bundle that
leaves it out cannot be held against its hardware. A warning stands against nothing here: a sample
that came late, or a clock that was set, leaves the rest as it was."""

OVER_NVLINK = (Code.TOPOLOGY_NVLINK,)
"""Where NVLink is promised. Elsewhere NCCL's log tells the way: a GeForce card, whose links count
no bytes, could never show that nothing went over them."""


def not_shown(findings: Sequence[Finding], document: Document | None) -> tuple[str, ...]:
    """Return the codes that stand against quoting a bundle's figures."""
    found = {one.code for one in findings}
    short = {one.code for one in findings if one.outcome is not Outcome.PASS}
    unknown = {
        one.code for one in findings if one.outcome in (Outcome.FAIL, Outcome.COULD_NOT_CHECK)
    }
    must_pass = [*KNOWN_PARTS, *(code for code in WHERE_IT_APPLIES if code.id in found)]
    must_be_known = [*WITNESSED, *_of_gpus(document)]
    return (
        *(code.id for code in must_pass if code.id in short or code.id not in found),
        *(code.id for code in must_be_known if code.id in unknown or code.id not in found),
    )


def _of_gpus(document: Document | None) -> Iterator[Code]:
    """Yield what must be known of the GPUs that the plan's engine is for; nothing without any."""
    engine = None if document is None else document.plan.engine
    if engine is None or engine.device is not Device.GPU:
        return
    yield from ON_GPUS
    if engine.transport is Transport.NVLINK:
        yield from OVER_NVLINK
