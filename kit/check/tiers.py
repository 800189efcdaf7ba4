"""Every check of what a bundle says, tier by tier, in the order of their findings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kit.check import integrity, roofline, schema
from kit.check.arithmetic import counts, ordering, text, times, timestamps
from kit.check.ceiling import Limits, limits_of
from kit.check.check import BUNDLE, Check, ForFigures, Problem, run, unchecked
from kit.check.evidence import Evidence
from kit.check.finding import Finding, Outcome
from kit.check.protocol import (
    agents,
    cache,
    client,
    completeness,
    model_files,
    outputs,
    plan,
    requests,
    steadiness,
)
from kit.check.topology import (
    cards,
    containers,
    links,
    logs,
    model,
    settings,
    startup,
    telemetry,
    transport,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class TierOfChecks(Generic[T]):
    """Checks that stand together behind a gate: where it does not pass, none of them is asked.

    `prepare` makes of the evidence what they look at.
    """

    gate: Check[Evidence | None]
    prepare: Callable[[Evidence], T]
    checks: tuple[Check[T], ...]


def run_tier(tier: TierOfChecks[T], evidence: Evidence | None) -> Iterator[Finding]:
    """Yield the findings of a tier; of its gate alone where that does not pass."""
    gate = run(tier.gate, evidence)
    yield from gate
    if evidence is not None and all(finding.outcome is Outcome.PASS for finding in gate):
        prepared = tier.prepare(evidence)
        for check in tier.checks:
            if evidence.suite_mode in check.suites:
                yield from run(check, prepared)


def _is_read(evidence: Evidence | None) -> Iterator[Problem]:
    if evidence is None:
        expected = "a document and records that can be read"
        yield unchecked(BUNDLE, "document or records cannot be read", expected)


def _has_own_engine(evidence: Evidence | None) -> Iterator[Problem]:
    yield from _is_read(evidence)
    if evidence is not None and not (evidence.is_own_engine and evidence.document.plan.engine):
        expected = "an engine that the kit started"
        yield unchecked(BUNDLE, "the kit did not start this endpoint's server", expected)


def _has_limits(evidence: Evidence | None) -> Iterator[Problem]:
    yield from _is_read(evidence)
    if evidence is not None and isinstance(reason := limits_of(evidence), str):
        yield unchecked(BUNDLE, reason, "a model and GPUs whose limits are known")


def _limits(evidence: Evidence) -> Limits:
    found = limits_of(evidence)
    assert isinstance(found, Limits), "the gate did not pass"
    return found


def _same(evidence: Evidence) -> Evidence:
    return evidence


def _gate_of_records(check_id: str) -> Check[Evidence | None]:
    return Check(
        id=check_id,
        holds="document and records could be read, so this tier looked at them",
        hint="mend what the schema tier found, then check again",
        look=_is_read,
    )


ARITHMETIC = TierOfChecks(
    gate=_gate_of_records("arithmetic-tier"),
    prepare=_same,
    checks=(
        *counts.CHECKS,
        *ordering.CHECKS,
        *times.CHECKS,
        *timestamps.CHECKS,
        *text.CHECKS,
    ),
)
TOPOLOGY = TierOfChecks(
    gate=Check(
        id="topology-tier",
        holds="the kit started the engine, so this tier looked at its logs and GPUs",
        hint="nothing to do: an endpoint's server cannot be checked from outside",
        look=_has_own_engine,
        for_figures=ForFigures.PASSED,
    ),
    prepare=_same,
    checks=(
        *transport.CHECKS,
        *startup.CHECKS,
        *settings.CHECKS,
        *model.CHECKS,
        *logs.CHECKS,
        *containers.CHECKS,
        *links.CHECKS,
        *telemetry.CHECKS,
        *cards.CHECKS,
    ),
)
PHYSICS = TierOfChecks(
    gate=Check(
        id="physics-tier",
        holds="the limits of the model and the GPUs are known, so figures were compared with them",
        hint="nothing to do; where only the GPU is unknown, add it to docker/gpus.toml",
        look=_has_limits,
        for_figures=ForFigures.CHECKED,
    ),
    prepare=_limits,
    checks=roofline.CHECKS,
)
PROTOCOL = TierOfChecks(
    gate=_gate_of_records("protocol-tier"),
    prepare=_same,
    checks=(
        *plan.CHECKS,
        *model_files.CHECKS,
        *requests.CHECKS,
        *agents.CHECKS,
        *client.CHECKS,
        *outputs.CHECKS,
        *cache.CHECKS,
        *completeness.CHECKS,
        *steadiness.CHECKS,
    ),
)
OF_EVIDENCE: tuple[TierOfChecks[Any], ...] = (ARITHMETIC, TOPOLOGY, PHYSICS, PROTOCOL)

ALL: tuple[Check[Any], ...] = (
    *schema.CHECKS,
    *integrity.CHECKS,
    *(check for tier in OF_EVIDENCE for check in (tier.gate, *tier.checks)),
)
"""Every check of one bundle; those that compare several are in `duplicates` and `agreement`."""
