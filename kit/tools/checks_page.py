"""`docs/checks.md`: every check that a finding may name, one table a tier."""

import sys
from collections.abc import Iterator
from typing import Any

from kit.check import agreement, duplicates, tiers
from kit.check.check import Check, Seen
from kit.check.finding import Tier
from kit.claims.audit.finding import Rule
from kit.plan.suite import SuiteMode

CHECKS: tuple[Check[Any], ...] = (*tiers.ALL, duplicates.COPY, agreement.SAME_FILES)

_PREFACE = """\
# Checks

What `kit verify` looks at. Each finding carries one of these codes, in every format; a code keeps
its meaning. Outcomes are `pass`, `fail`, `warn` and `could-not-check`, which is never a pass.
A bundle is invalid if any check fails. It is reportable if, in addition, no check marked * is
`could-not-check`, and `topology-tier` and `protocol-fresh-engine` pass; `physics-tier` counts on
GPUs only, `topology-nvlink` where NVLink is promised. `make pages` writes this page.
"""

_SOURCE = """\

## Evidence that was not seen yet

These look at lines and counters that only a GPU host writes, in the forms that the sources of vLLM,
NCCL and the driver give them. None was seen from a real run yet: a form that is not known is a
warning, and the bundle stays valid and reportable. A known line that says otherwise fails.

"""

_SUITES = """\

## Checks of some suites only

"""

_REMOVED = """\

## Removed

Codes that earlier versions had, and why they went; they are not used again.

| Code | What it held | Why it went |
|---|---|---|
| `arithmetic-smoothness` | measured requests and chunks scatter as a machine's do | only a \
forger who computes times would trip it, and one who adds noise would not |
| `claims-tier` | a reference's claims were judged | a bundle alone has no claims, so it never \
passed; `kit verify PATH... --reference NAME` judges a set of bundles |
| `protocol-definition` | passes and connection are those of the named protocol | \
`protocol-plan` compares the whole plan |
| `protocol-prompts` | prompts and system message are the suite's | \
`protocol-plan` compares the whole plan |
| `protocol-sampling` | sampling is as published | `protocol-plan` compares the whole plan |
| `protocol-budget` | the token budget is the model's | `protocol-plan` compares the whole plan |
"""


def page() -> str:
    """Return the page in Markdown."""
    tables = ("\n" + "\n".join(_section(tier)) + "\n" for tier in Tier)
    return "".join((_PREFACE, *tables, _SOURCE, *_unseen(), _SUITES, *_of_some_suites(), _REMOVED))


def audit_rules() -> str:
    """Return a Markdown table of the audit's rules, which ends `results/README.md`."""
    rows = "".join(f"| `{rule.id}` | {rule.statement} |\n" for rule in Rule)
    return f"| Rule | What holds |\n| --- | --- |\n{rows}"


def _section(tier: Tier) -> Iterator[str]:
    yield f"## {tier.value.capitalize()}"
    yield ""
    yield "| Code | What holds | If it does not |"
    yield "|---|---|---|"
    for check in CHECKS:
        if check.tier is tier:
            mark = "" if check.for_figures.value == "nothing" else " *"
            yield f"| `{check.id}`{mark} | {check.holds} | {check.hint} |"


def _unseen() -> Iterator[str]:
    for check in CHECKS:
        if check.seen is Seen.SOURCE:
            yield f"- `{check.id}`\n"


def _of_some_suites() -> Iterator[str]:
    for check in CHECKS:
        if check.suites != tuple(SuiteMode):
            modes = ", ".join(mode.value for mode in check.suites)
            yield f"- `{check.id}`: {modes}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
