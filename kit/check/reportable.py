"""What must have been shown before a bundle's figures may be quoted.

A bundle may be valid and still not say what was measured: a model that nobody pinned, an image on
an unknown base, a server of somebody else's. Such figures are one's own to look at.
"""

from collections.abc import Sequence

from kit.check.codes import Code
from kit.check.finding import Finding, Outcome

KNOWN_PARTS = (
    Code.TOPOLOGY_ENGINE_VERSION,
    Code.TOPOLOGY_DEVICE,
    Code.TOPOLOGY_ARGUMENTS,
    Code.TOPOLOGY_TRANSPORT,
    Code.PROTOCOL_PLAN,
    Code.PROTOCOL_MODEL_FILES,
)
"""Each must pass: that nothing contradicts it is not enough."""

WHERE_IT_APPLIES = (Code.PROTOCOL_BASE_IMAGE,)
"""A process stands on no image: where there is no such finding, there is nothing to show."""


def not_shown(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the codes that stand against quoting a bundle's figures."""
    found = {one.code for one in findings}
    short = {one.code for one in findings if one.outcome is not Outcome.PASS}
    needed = [*KNOWN_PARTS, *(code for code in WHERE_IT_APPLIES if code.id in found)]
    return tuple(code.id for code in needed if code.id in short or code.id not in found)
