"""Generates `CHECKS.md`: every code of a finding, in one table per tier."""

import sys
from collections.abc import Iterator

from kit.check.codes import Code
from kit.check.finding import Tier

_PREFACE = """\
# Checks

What `kit verify` looks at. Each finding carries one of these codes, in every format; a code keeps
its meaning for good. Outcomes are `pass`, `fail`, `warn` and `could-not-check`, which is never a
pass. This page is generated from `kit/check/codes.py`, and a test holds the two together.
"""


def page() -> str:
    """Return the page."""
    return _PREFACE + "".join("\n" + "\n".join(_section(tier)) + "\n" for tier in Tier)


def _section(tier: Tier) -> Iterator[str]:
    yield f"## {tier.value.capitalize()}"
    yield ""
    yield "| Code | What holds | If it does not |"
    yield "|---|---|---|"
    for code in Code:
        if code.tier is tier:
            yield f"| `{code.id}` | {code.holds} | {code.hint} |"


if __name__ == "__main__":
    sys.stdout.write(page())
