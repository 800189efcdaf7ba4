"""What a check says: a finding is one check's outcome on one subject, a verdict all of them."""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from kit.bundle import Status
from kit.check import judgement
from kit.check.judgement import JudgedSet
from kit.errors import ExitCode


class Tier(Enum):
    """The tiers of checks, from bytes to claims."""

    SCHEMA = "schema"
    INTEGRITY = "integrity"
    ARITHMETIC = "arithmetic"
    TOPOLOGY = "topology"
    PHYSICS = "physics"
    PROTOCOL = "protocol"
    CLAIMS = "claims"


class Outcome(Enum):
    """`could-not-check` is an outcome of its own and never a pass."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    COULD_NOT_CHECK = "could-not-check"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check's outcome; `subject` is a file, a record (`measured-2/impl`) or the bundle.

    What a bundle says stands here as it is, only cut short: whoever shows it escapes it.
    """

    code: str
    tier: Tier
    outcome: Outcome
    subject: str
    observed: str
    expected: str
    hint: str


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Hashes of what a copy of a run still has (see `kit.check.copies`).

    They are Python's own, equal in processes that are forked from one and salted anew in the next,
    so that nobody can choose them. `times` are two a measured request, of which other runs may
    share a few; `traces` are what no other run can have.
    """

    times: tuple[int, ...] = ()
    traces: tuple[int, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All findings on one bundle; `id` and `status` are absent where it cannot be read so far.

    A rehearsal may be as whole as can be: it holds nothing to judge. `not_shown` are the codes that
    stand against quoting the figures (see `kit.check.reportable`), `fingerprint` is what a copy
    under another id still has.
    """

    path: str
    id: str | None
    status: Status | None
    is_rehearsal: bool = False
    not_shown: tuple[str, ...] = ()
    fingerprint: Fingerprint = Fingerprint()
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


class JudgedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle in the JSON form of a verdict."""

    path: str
    id: str | None
    status: Status | None
    rehearsal: bool
    reportable: bool
    not_shown: tuple[str, ...]
    exit_code: int


class BundleFinding(Finding, frozen=True, kw_only=True):
    """One finding in the JSON form, with the path of the bundle that it is about."""

    bundle: str


class VerdictDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `kit verify --json` prints; `schemas/verdict.schema.json` describes it.

    `judged` is empty where no reference was given.
    """

    schema_version: int
    exit_code: int
    bundles: tuple[JudgedBundle, ...]
    findings: tuple[BundleFinding, ...]
    judged: tuple[JudgedSet, ...]


VERDICT_SCHEMA_VERSION = 1
"""Format history. 1: first version."""

_PRECEDENCE = (ExitCode.BUNDLE_INVALID, ExitCode.DIFFERS, ExitCode.NOTHING_TO_JUDGE, ExitCode.DONE)


def overall(verdicts: Iterable[Verdict], judged: Sequence[JudgedSet] | None = None) -> ExitCode:
    """Return the exit code of many verdicts: 6 over 1 over 7 over 0; none at all is 7.

    `judged` are the claims of a reference, None where none was given.
    """
    codes = [verdict.exit_code for verdict in verdicts] or [ExitCode.NOTHING_TO_JUDGE]
    return gravest([*codes, *([] if judged is None else [judgement.exit_code(judged)])])


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code that stands for several, by the order of `overall`."""
    found = set(codes) or {ExitCode.NOTHING_TO_JUDGE}
    return next(code for code in _PRECEDENCE if code in found)


def judged_bundle(verdict: Verdict) -> JudgedBundle:
    """Return a verdict without its findings, as the JSON form has it."""
    return JudgedBundle(
        path=verdict.path,
        id=verdict.id,
        status=verdict.status,
        rehearsal=verdict.is_rehearsal,
        reportable=verdict.is_reportable,
        not_shown=verdict.not_shown,
        exit_code=int(verdict.exit_code),
    )


def as_document(
    verdicts: Sequence[Verdict], judged: Sequence[JudgedSet] | None = None
) -> VerdictDocument:
    """Return the JSON form of some verdicts, and of the claims that were judged from them."""
    return VerdictDocument(
        schema_version=VERDICT_SCHEMA_VERSION,
        exit_code=int(overall(verdicts, judged)),
        bundles=tuple(map(judged_bundle, verdicts)),
        findings=tuple(
            BundleFinding(bundle=verdict.path, **msgspec.structs.asdict(finding))
            for verdict in verdicts
            for finding in verdict.findings
        ),
        judged=tuple(judged or ()),
    )
