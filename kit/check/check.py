"""A check as a value, and how its problems become findings.

A check yields problems, and nothing where all is well. Its value says what holds when it passes,
what to do when it does not, which evidence it needs, and which workloads it is true of. So nothing
else repeats these, and no check can forget to say that it looked.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Generic, TypeVar

from kit.check.finding import Finding, Outcome, Tier
from kit.plan.suite import SuiteMode

T = TypeVar("T")

BUNDLE = "bundle"
"""The subject of a finding about a bundle as a whole."""

SHOWN = 20
"""Findings of one check that are shown one by one; the rest are counted."""

TEXT_LIMIT = 200
"""Characters of a bundle's text that a finding carries."""

_GRAVEST_FIRST = (Outcome.FAIL, Outcome.WARN, Outcome.COULD_NOT_CHECK)


class Seen(Enum):
    """Where the form of a check's evidence was seen: only what was seen may make a bundle invalid.

    RUN: in runs of this kit. SOURCE: nowhere yet; its form follows from the source code of the
    program that writes it.
    """

    RUN = "run"
    SOURCE = "source"


class ForFigures(Enum):
    """What a check must have come to before a bundle's figures may be quoted.

    CHECKED: it could be checked and did not fail. PASSED: it passed.
    """

    NOTHING = "nothing"
    CHECKED = "checked"
    PASSED = "passed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong with one subject; `hint` replaces the check's own."""

    outcome: Outcome
    subject: str
    observed: str
    expected: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Need(Generic[T]):
    """Evidence that checks cannot do without; `missing` returns why it is not there, or None."""

    subject: str
    missing: Callable[[T], str | None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Check(Generic[T]):
    """One thing that must hold of evidence of type T.

    `id` is public and keeps its meaning; its first word is the tier. `look` yields what is wrong.
    `applies` is whether a bundle can have such evidence at all; if it cannot, there is no finding.
    Where a need is missing, the finding is `could-not-check`. `suites` are the workloads that it is
    true of.
    """

    id: str
    holds: str
    hint: str
    look: Callable[[T], Iterable[Problem]]
    applies: Callable[[T], bool] = lambda _: True
    needs: tuple[Need[T], ...] = ()
    suites: tuple[SuiteMode, ...] = tuple(SuiteMode)
    seen: Seen = Seen.RUN
    for_figures: ForFigures = ForFigures.NOTHING

    @property
    def tier(self) -> Tier:
        return Tier(self.id.partition("-")[0])


def fail(subject: str, observed: str, expected: str, hint: str | None = None) -> Problem:
    """Return a problem that makes the bundle invalid."""
    return Problem(
        outcome=Outcome.FAIL, subject=subject, observed=observed, expected=expected, hint=hint
    )


def warn(subject: str, observed: str, expected: str) -> Problem:
    """Return a problem that a reader should know of, and that leaves the bundle valid."""
    return Problem(outcome=Outcome.WARN, subject=subject, observed=observed, expected=expected)


def unchecked(subject: str, observed: str, expected: str) -> Problem:
    """Return that something could not be checked, and why (`observed`)."""
    return Problem(
        outcome=Outcome.COULD_NOT_CHECK, subject=subject, observed=observed, expected=expected
    )


def clip(value: object) -> str:
    """Return the text of `value`, cut to what a finding may carry."""
    text = str(value)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def run(check: Check[T], evidence: T) -> Sequence[Finding]:
    """Return a check's findings on some evidence; none where it does not apply."""
    if not check.applies(evidence):
        return ()
    missing = [
        unchecked(need.subject, reason, check.holds)
        for need in check.needs
        if (reason := need.missing(evidence)) is not None
    ]
    return findings(check, missing or check.look(evidence))


def findings(check: Check[T], problems: Iterable[Problem]) -> Sequence[Finding]:
    """Return a finding for each of the first problems and one for all the rest; a pass for none."""
    remaining = iter(problems)
    shown = [_finding(check, problem) for problem in islice(remaining, SHOWN)]
    if not shown:
        return (_passed(check),)
    if hidden := [problem.outcome for problem in remaining]:
        rest = Problem(
            outcome=min(hidden, key=_GRAVEST_FIRST.index),
            subject=BUNDLE,
            observed=f"and {len(hidden)} more",
            expected=check.holds,
        )
        shown.append(_finding(check, rest))
    return shown


def _finding(check: Check[T], problem: Problem) -> Finding:
    return Finding(
        code=check.id,
        tier=check.tier,
        outcome=problem.outcome,
        subject=clip(problem.subject),
        observed=clip(problem.observed),
        expected=clip(problem.expected),
        hint=clip(check.hint if problem.hint is None else problem.hint),
    )


def _passed(check: Check[T]) -> Finding:
    return Finding(
        code=check.id,
        tier=check.tier,
        outcome=Outcome.PASS,
        subject=BUNDLE,
        observed="as expected",
        expected=check.holds,
        hint="",
    )
