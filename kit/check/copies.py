"""Integrity over several bundles: no run is handed in twice under two ids.

A copy has the same id, and is the same bundle. Who edits a copy a little and seals it again gets
another id for the same measurements, which would then count as a second start of the engine.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from kit.check.codes import Code
from kit.check.finding import Verdict
from kit.check.problem import BUNDLE, clip, fail, findings
from kit.record import Phase, Record

FEWEST = 3
"""Of two honest runs one request in a hundred thousand may take as long, to the microsecond; not
three of them, and half of all."""


def fingerprint(records: Iterable[Record]) -> tuple[bytes, ...]:
    """Return eight bytes for each measured response: what a copy under another id still has."""
    return tuple(
        hashlib.blake2b(
            f"{record.prompt_id}/{record.wall_s!r}/{record.completion_tokens}".encode(),
            digest_size=8,
        ).digest()
        for record in records
        if record.phase is Phase.MEASURED and record.error is None
    )


class Copies:
    """The runs that were seen so far, by their fingerprints."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}

    def admit(self, verdict: Verdict) -> Verdict:
        """Return a verdict with one more finding: whether an earlier bundle holds the same run."""
        if verdict.id is None:
            return verdict
        prints = set(verdict.fingerprint)
        others = Counter(self._first[one] for one in prints if one in self._first)
        del others[verdict.id]
        problems = [
            fail(BUNDLE, clip(f"{count} of {len(prints)} responses are those of bundle {other}"),
                 "measurements of its own")
            for other, count in others.items()
            if count >= max(FEWEST, len(prints) / 2)
        ]  # fmt: skip
        for one in prints:
            self._first.setdefault(one, verdict.id)
        found = (*verdict.findings, *findings(Code.INTEGRITY_COPY, problems))
        return replace(verdict, findings=found)
