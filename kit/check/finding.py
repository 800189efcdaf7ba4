"""What a check says: a finding is one check's outcome on one subject, a verdict all of them."""

from enum import Enum

import msgspec

from kit.bundle.document import Status
from kit.errors import ExitCode

Time = tuple[str, str, float]
"""One time of a measured request: which of its times, the prompt's id, and seconds."""

File = tuple[str, str]
"""A file of a model's revision, and its SHA-256."""


class Tier(Enum):
    """The tiers of checks, from bytes to protocol."""

    SCHEMA = "schema"
    INTEGRITY = "integrity"
    ARITHMETIC = "arithmetic"
    TOPOLOGY = "topology"
    PHYSICS = "physics"
    PROTOCOL = "protocol"


class Outcome(Enum):
    """`could-not-check` is an outcome of its own and never a pass."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    COULD_NOT_CHECK = "could-not-check"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check's outcome; `subject` is a file, a record (`measured-2/impl`) or the bundle.

    Text from a bundle is only cut short here; report formats escape it.
    """

    code: str
    tier: Tier
    outcome: Outcome
    subject: str
    observed: str
    expected: str
    hint: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All findings on one bundle; `id` and `status` are None if they cannot be read.

    A rehearsal is never judged. `not_shown` are the checks that keep a bundle from being reportable
    (`kit.check.reportable`); `fingerprint` are the times that a copy under another id shares
    (`kit.check.duplicates`); `asserted` are files without a shipped hash
    (`kit.check.agreement`).
    """

    path: str
    id: str | None
    status: Status | None
    is_rehearsal: bool = False
    not_shown: tuple[str, ...] = ()
    fingerprint: frozenset[Time] = frozenset()
    asserted: frozenset[File] = frozenset()
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> ExitCode:
        if any(finding.outcome is Outcome.FAIL for finding in self.findings):
            return ExitCode.BUNDLE_INVALID
        if self.status is not Status.COMPLETE or self.is_rehearsal:
            return ExitCode.NOTHING_TO_JUDGE
        return ExitCode.DONE

    @property
    def is_reportable(self) -> bool:
        """Whether the figures may be quoted: it is valid and whole, and all its parts are known."""
        return self.exit_code is ExitCode.DONE and not self.not_shown
