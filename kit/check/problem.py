"""What a check found wrong, and how that becomes findings.

A check yields problems, and nothing where all is well; the code adds what every problem of it has
in common. So a check cannot forget to say that it looked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from kit.check.codes import Code
from kit.check.finding import Finding, Outcome

BUNDLE = "bundle"
"""The subject of what is true of a bundle as a whole."""

SHOWN = 20
"""Findings of one code that are shown one by one; the rest are counted."""

TEXT_LIMIT = 200
"""Characters of hostile text that a finding carries."""

SPELT_OUT_BELOW = 10**18

_GRAVITY = (Outcome.FAIL, Outcome.WARN, Outcome.COULD_NOT_CHECK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is not as it should be with one subject; `hint` replaces the code's own."""

    outcome: Outcome
    subject: str
    observed: str
    expected: str
    hint: str | None = None


def fail(subject: str, observed: str, expected: str, hint: str | None = None) -> Problem:
    """Return a problem that makes the bundle invalid."""
    return Problem(
        outcome=Outcome.FAIL, subject=subject, observed=observed, expected=expected, hint=hint
    )


def warn(subject: str, observed: str, expected: str) -> Problem:
    """Return a problem that a reader should know of."""
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


def shown(number: int) -> str:
    """Return a number of any size as text: Python refuses to spell one of thousands of digits."""
    return str(number) if abs(number) < SPELT_OUT_BELOW else "a number beyond all bounds"


def findings(code: Code, problems: Iterable[Problem]) -> Sequence[Finding]:
    """Return a finding for each of the first problems and one for all the rest; a pass for none."""
    left = iter(problems)
    first = next(left, None)
    if first is None:
        return (_passed(code),)
    found = [_finding(code, problem) for problem in (first, *islice(left, SHOWN - 1))]
    if hidden := [problem.outcome for problem in left]:
        rest = Problem(
            outcome=min(hidden, key=_GRAVITY.index),
            subject=BUNDLE,
            observed=f"and {len(hidden)} more",
            expected=code.holds,
        )
        found.append(_finding(code, rest))
    return found


def _finding(code: Code, problem: Problem) -> Finding:
    return Finding(
        code=code.id,
        tier=code.tier,
        outcome=problem.outcome,
        subject=clip(problem.subject),
        observed=clip(problem.observed),
        expected=clip(problem.expected),
        hint=clip(code.hint if problem.hint is None else problem.hint),
    )


@cache
def _passed(code: Code) -> Finding:
    return Finding(
        code=code.id,
        tier=code.tier,
        outcome=Outcome.PASS,
        subject=BUNDLE,
        observed="as expected",
        expected=code.holds,
        hint="",
    )
