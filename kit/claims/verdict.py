"""The verdict: judgements on a reference's claims, its JSON form with the bundles, the exit code.

`kit verify --format json` prints a `VerdictDocument`. Types come first, then the functions that
make the document and the exit code.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from kit.bundle.document import Status
from kit.check.finding import Finding, Verdict
from kit.errors import ExitCode

VERDICT_SCHEMA_VERSION = 1
"""Format history. 1: first version."""


class ClaimOutcome(Enum):
    """`inconclusive`: the interval is too wide. `not-testable`: the bundles cannot say."""

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
        """Whether it was sampled, so that its interval can miss the true value."""
        return self.low is not None and self.low != self.high


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One claim, judged. Values from `accepted_low` to `accepted_high` count as reproduced.

    `measured` is absent where nothing could be computed, a bound where the claim has none.
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
    """A bundle that no claim of a set is judged from, and why."""

    bundle: str
    reason: str


class JudgedSet(msgspec.Struct, frozen=True, kw_only=True):
    """A reference, judged from comparable bundles of one host.

    `differences`: where machine, engine or protocol differ from the published ones. `remarks` apply
    to all judgements. `missed_by_chance`: how many of the intervals miss the true value by chance,
    if they are independent.
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
        return sum(judgement.outcome is outcome for judgement in self.claims)


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
    """One finding in the JSON form, with the path of its bundle."""

    bundle: str


class VerdictDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `kit verify --format json` prints; `schemas/verdict.schema.json` describes it.

    `judged` is empty where no reference was given.
    """

    schema_version: int
    exit_code: int
    bundles: tuple[JudgedBundle, ...]
    findings: tuple[BundleFinding, ...]
    judged: tuple[JudgedSet, ...]


_PRECEDENCE = (ExitCode.BUNDLE_INVALID, ExitCode.DIFFERS, ExitCode.NOTHING_TO_JUDGE, ExitCode.DONE)


def exit_code(judged: Iterable[JudgedSet]) -> ExitCode:
    """Return 1 if a claim was not reproduced, else 0 if one was reproduced, else 7."""
    outcomes = {judgement.outcome for set_ in judged for judgement in set_.claims}
    if ClaimOutcome.NOT_REPRODUCED in outcomes:
        return ExitCode.DIFFERS
    if ClaimOutcome.REPRODUCED in outcomes:
        return ExitCode.DONE
    return ExitCode.NOTHING_TO_JUDGE


def overall(verdicts: Iterable[Verdict], judged: Sequence[JudgedSet] | None = None) -> ExitCode:
    """Return the exit code of bundles and claims together; 7 for no bundle.

    `judged` is None where no reference was given.
    """
    codes = [verdict.exit_code for verdict in verdicts] or [ExitCode.NOTHING_TO_JUDGE]
    return gravest([*codes, *([] if judged is None else [exit_code(judged)])])


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return one exit code for several: 6 over 1 over 7 over 0; 7 for none."""
    present = set(codes) or {ExitCode.NOTHING_TO_JUDGE}
    return next(code for code in _PRECEDENCE if code in present)


def judged_bundle(verdict: Verdict) -> JudgedBundle:
    """Return the JSON form of a verdict on a bundle, without its findings."""
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
    """Return the JSON form of verdicts on bundles, and of the claims judged from them."""
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
