"""The client's own error, from its calibration against a server with a known schedule."""

from collections.abc import Iterator

from kit.bundle.document import Status
from kit.bundle.record import Moment
from kit.check.check import BUNDLE, Check, Problem, unchecked, warn
from kit.check.evidence import Evidence
from kit.figures.client_error import client_error_ratio

LARGEST_ERROR_RATIO = 0.01
LATEST_S = 0.001
"""A null server that is later than this itself says little about the client."""


def _client_error(evidence: Evidence) -> Iterator[Problem]:
    """Compare the client's error with what it measured."""
    document = evidence.document
    streams = document.plan.cell.agents or 1
    for found in document.calibrations:
        if found.streams != streams:
            observed = f"{found.streams} streams {found.moment.value} the run"
            yield warn(BUNDLE, observed, f"{streams}, as the plan has")
        if found.server_late_s > LATEST_S:
            observed = f"the null server itself was {found.server_late_s * 1e3:.1f} ms late"
            yield unchecked(BUNDLE, observed, f"at most {LATEST_S * 1e3:.0f} ms")
    done = {found.moment for found in document.calibrations}
    wanted = tuple(Moment) if document.status is Status.COMPLETE else (Moment.BEFORE,)
    missing = [moment.value for moment in wanted if moment not in done]
    if missing:
        observed = f"not calibrated {' and '.join(missing)} the run"
        yield unchecked(BUNDLE, observed, "the client's own error, before and after")
    ratio = client_error_ratio(document.calibrations, evidence.records)
    if ratio is not None and ratio > LARGEST_ERROR_RATIO:
        expected = f"at most {LARGEST_ERROR_RATIO:.0%} of a response's time"
        yield warn(BUNDLE, f"the client's own error is {ratio:.1%}", expected)


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-client-error",
        holds="the client's own error is small beside what it measured",
        hint="the client had too little processor time: measure again on a quiet machine",
        look=_client_error,
        applies=lambda evidence: bool(evidence.records),
    ),
)
