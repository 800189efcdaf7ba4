"""The rules of an audit and what they find: one rule's outcome on one subject."""

from collections.abc import Sequence
from enum import Enum

import msgspec

from kit.errors import ExitCode

SCHEMA_VERSION = 1
"""Format history of the JSON form. 1: first version."""

TEXT_LIMIT = 1000


class AuditOutcome(Enum):
    """`cannot-tell`: what was published is absent, or not precise enough."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot-tell"


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule on one subject: what was published, what is found, and the source of that."""

    rule: str
    outcome: AuditOutcome
    subject: str
    said: str
    found: str
    evidence: str


_OUTCOMES = {
    True: AuditOutcome.HOLDS,
    False: AuditOutcome.CONTRADICTED,
    None: AuditOutcome.CANNOT_TELL,
}


class Rule(Enum):
    """The rules: the id of each, which never changes its meaning, and what is true if it holds."""

    POOLED = ("audit-pooled", "an average is total tokens over total seconds")
    MEAN_OF_ROW = ("audit-mean-of-row", "an average is the mean of its row")
    CLAIM = ("audit-claim", "a claim follows from the published figures that it is about")
    DIRECTION = ("audit-direction", "a percentage is relative to the figure that it names")
    NOISE = ("audit-noise", "a bound is further away than the noise of the figures it is about")
    REPEATS = ("audit-repeats", "figures are from repeated measurements")
    OTHER_RUN = ("audit-other-run", "other publications have the same figure for the same cell")
    KV_CACHE = ("audit-kv-cache", "the KV cache of a context takes the stated memory")
    NVLINK = ("audit-nvlink", "the NVLink links add up to the stated bandwidth")
    THINKING = ("audit-thinking-mode", "the model has the stated modes")
    NATIVE_CONTEXT = ("audit-native-context", "a stated native context is the model's own limit")
    CONTEXT_REASON = ("audit-context-reason", "a context was limited for the stated reason")
    DISK_SIZE = ("audit-disk-size", "a checkpoint has the stated size")
    SAME_FORMAT = ("audit-same-format", "checkpoints are quantised in the stated way")
    RAW_FORMAT = ("audit-raw-format", "a data file is named in a reference and has its format")
    RAW_TABLE = ("audit-raw-table", "a data file has the published figures")
    RAW_RATE = ("audit-raw-rate", "published throughput follows from the data file's requests")
    RAW_OTHER_RUN = ("audit-raw-other-run", "requests of a data file agree with the published cell")
    IN_FLIGHT = ("audit-in-flight", "a level has as many requests in flight as its name says")
    CONTEXT_LIMIT = ("audit-context-limit", "every response is shorter than the context limit")

    def __init__(self, id: str, statement: str) -> None:
        self.id = id
        self.statement = statement

    def finding(
        self, holds: bool | None, subject: str, *, said: str, found: str, evidence: str
    ) -> AuditFinding:
        """Return whether the rule holds for a subject, None for unknown; long texts are cut."""
        return AuditFinding(
            rule=self.id,
            outcome=_OUTCOMES[holds],
            subject=subject[:TEXT_LIMIT],
            said=said[:TEXT_LIMIT],
            found=found[:TEXT_LIMIT],
            evidence=evidence[:TEXT_LIMIT],
        )


class AuditDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `kit audit --json` prints; `schemas/audit.schema.json` describes it."""

    schema_version: int
    reference: str
    exit_code: int
    findings: tuple[AuditFinding, ...]


def exit_code(findings: Sequence[AuditFinding]) -> ExitCode:
    """Return 1 if anything is contradicted, else 0 if something holds, else 7."""
    outcomes = {finding.outcome for finding in findings}
    if AuditOutcome.CONTRADICTED in outcomes:
        return ExitCode.DIFFERS
    return ExitCode.DONE if AuditOutcome.HOLDS in outcomes else ExitCode.NOTHING_TO_JUDGE


def as_document(reference: str, findings: Sequence[AuditFinding]) -> AuditDocument:
    """Return the JSON form of an audit."""
    return AuditDocument(
        schema_version=SCHEMA_VERSION,
        reference=reference,
        exit_code=int(exit_code(findings)),
        findings=tuple(findings),
    )
