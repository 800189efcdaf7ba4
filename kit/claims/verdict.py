"""What the claims tier says: a judgement on each claim, for a set of comparable bundles."""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from kit.bundle.document import Status
from kit.check.finding import Finding, Verdict
from kit.errors import ExitCode

MISSED_SHARE = 0.05
"""Of intervals at 95 %, the share that misses what it is about."""


class ClaimOutcome(Enum):
    """What became of a claim; `inconclusive`: the interval is too wide for a yes or a no."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not-reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not-testable"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a claim's formula; its 95 % interval is absent where passes are too few.

    `published_half_width` is how far the published figure itself may be off at 95 %, in proportion:
    0 for a bound, and for what is counted and not timed.
    """

    value: float
    low: float | None
    high: float | None
    published_half_width: float

    @property
    def has_spread(self) -> bool:
        """Whether it was sampled, with an interval that can miss."""
        return self.low is not None and self.low != self.high


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One claim, judged. `accepted_low` and `accepted_high` bound what counts as reproduced.

    Absent values: `measured` where nothing could be computed, a bound that a claim has not.
    """

    claim: str
    statement: str
    where: str
    outcome: ClaimOutcome
    published: str | None
    unit: str | None
    accepted_low: float | None
    accepted_high: float | None
    measured: Measured | None
    on_other_hardware: bool
    reason: str
    advice: str
    bundles: tuple[str, ...]


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that may not speak for claims, and why."""

    bundle: str
    reason: str


class JudgedSet(msgspec.Struct, frozen=True, kw_only=True):
    """A reference, judged from the bundles of one host that can be compared with each other.

    `differences` say where this machine or run departs from the published one; `remarks` what holds
    for all judgements. `missed_by_chance` is how many of the intervals miss the true value by
    chance, if they are independent.
    """

    reference: str
    host_id: str | None
    gpus: tuple[str, ...]
    bundles: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    differences: tuple[str, ...]
    remarks: tuple[str, ...]
    missed_by_chance: float
    claims: tuple[Judgement, ...]

    def count(self, outcome: ClaimOutcome) -> int:
        """Return how many claims have this outcome."""
        return sum(one.outcome is outcome for one in self.claims)


def exit_code(judged: Iterable[JudgedSet]) -> ExitCode:
    """1 where a claim was not reproduced; 0 where one was and none was not; else 7.

    What is inconclusive everywhere is as good as not compared.
    """
    outcomes = {one.outcome for each in judged for one in each.claims}
    if ClaimOutcome.NOT_REPRODUCED in outcomes:
        return ExitCode.DIFFERS
    if ClaimOutcome.REPRODUCED in outcomes:
        return ExitCode.DONE
    return ExitCode.NOTHING_TO_JUDGE


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
    return gravest([*codes, *([] if judged is None else [exit_code(judged)])])


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
