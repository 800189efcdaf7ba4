"""What an audit says: one rule's outcome on one subject, with its evidence."""

from collections.abc import Sequence
from enum import Enum

import msgspec

from kit.errors import ExitCode

SCHEMA_VERSION = 1
"""Format history of the JSON form. 1: first version."""

TEXT_LIMIT = 1000


class Rule(Enum):
    """One member a rule: its id, and what holds where it does. An id keeps its meaning for good."""

    def __init__(self, id: str, holds: str) -> None:
        self.id = id
        self.holds = holds

    POOLED = ("audit-pooled", "an average is total tokens over total seconds")
    MEAN_OF_ROW = ("audit-mean-of-row", "an average is the mean of its row")
    CLAIM = ("audit-claim", "a claim follows from the published figures that it is about")
    DIRECTION = ("audit-direction", "a percentage is of the ratio that it is said of")
    NOISE = ("audit-noise", "a bound is further away than the noise of the figures it is about")
    REPEATS = ("audit-repeats", "figures are of repeated measurements")
    OTHER_RUN = ("audit-other-run", "other publications have the same figure for the same cell")
    KV_CACHE = ("audit-kv-cache", "a context takes the memory that its KV cache is said to take")
    NVLINK = ("audit-nvlink", "the links of NVLink add up to the bandwidth")
    THINKING = ("audit-thinking-mode", "the model has the modes that it is said to have")
    NATIVE_CONTEXT = ("audit-native-context", "a context length is the model's own")
    CONTEXT_REASON = ("audit-context-reason", "a context was limited for the reason that is given")
    DISK_SIZE = ("audit-disk-size", "a checkpoint has the size that it is said to have")
    SAME_FORMAT = ("audit-same-format", "checkpoints are quantised in the way that is said")
    RAW_FORMAT = ("audit-raw-format", "a data file is one that a reference knows, in its format")
    RAW_TABLE = ("audit-raw-table", "a data file holds the published figures")
    RAW_RATE = ("audit-raw-rate", "published throughput follows from the data file's requests")
    RAW_OTHER_RUN = ("audit-raw-other-run", "requests of a data file agree with the published cell")
    IN_FLIGHT = ("audit-in-flight", "so many requests are in flight as a level is named after")
    CONTEXT_LIMIT = ("audit-context-limit", "no response is as long as the context limit")


class AuditOutcome(Enum):
    """`cannot-tell`: what was published does not say, or says it too coarsely."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot-tell"


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule on one subject: what was said, what is found, and where that comes from."""

    rule: str
    outcome: AuditOutcome
    subject: str
    said: str
    found: str
    evidence: str


class AuditDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `kit audit --json` prints; `schemas/audit.schema.json` describes it."""

    schema_version: int
    reference: str
    exit_code: int
    findings: tuple[AuditFinding, ...]


def finding(
    rule: Rule, outcome: AuditOutcome, subject: str, *, said: str, found: str, evidence: str
) -> AuditFinding:
    """Return a finding; texts of data files are cut short."""
    return AuditFinding(
        rule=rule.id,
        outcome=outcome,
        subject=subject[:TEXT_LIMIT],
        said=said[:TEXT_LIMIT],
        found=found[:TEXT_LIMIT],
        evidence=evidence[:TEXT_LIMIT],
    )


def told(holds: bool | None) -> AuditOutcome:
    """Return the outcome of a yes, a no, or a neither."""
    if holds is None:
        return AuditOutcome.CANNOT_TELL
    return AuditOutcome.HOLDS if holds else AuditOutcome.CONTRADICTED


def page() -> str:
    """Return a Markdown table of all rules."""
    rows = "".join(f"| `{rule.id}` | {rule.holds} |\n" for rule in Rule)
    return f"| Rule | What holds |\n| --- | --- |\n{rows}"


def exit_code(findings: Sequence[AuditFinding]) -> ExitCode:
    """1 where anything is contradicted; 0 where something holds; 7 where nothing can be told."""
    outcomes = {one.outcome for one in findings}
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
