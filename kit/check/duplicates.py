"""Integrity over several bundles: no run is handed in twice under two ids.

A copy has the same id, and is the same bundle. Who edits a copy a little and seals it again gets
another id for the same measurements, which would then count as a second start of the engine.

What gives a copy away are requests that were sent at the same moment or took as long, to the
microsecond. What two honest runs may share is left out. Token ids are: the plan gives each request
its seed, so that two starts of one cell answer alike, word for word. So is closeness of durations:
on a steady server those of two honest runs are as close as those of a copy that was shaken.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.check.codes import Code
from kit.check.finding import Fingerprint, Outcome, Verdict
from kit.check.problem import BUNDLE, Problem, clip, fail, findings
from kit.plan.schedule import Phase

FEWEST = 3
"""Of two honest runs one request in a hundred thousand may take as long, or be sent as late, to the
microsecond; not three of them, and half of all."""

SHOWN_ID = 12
"""Characters of an id that a finding tells; the paths are told too."""

EITHER = "either may be the original: ask who measured it, and hand in each run once"


def fingerprint(records: Sequence[Record]) -> Fingerprint:
    """Return what a copy under another id still has."""
    answered = [record for record in records if record.error is None]
    return Fingerprint(times=tuple(_times(answered)))


@dataclass(frozen=True, slots=True)
class _Source:
    """A bundle that was seen, by what a finding tells of it."""

    id: str
    path: str

    def __str__(self) -> str:
        return f"{self.id[:SHOWN_ID]} at {self.path}"


class Copies:
    """The runs that were seen so far, by their fingerprints."""

    def __init__(self) -> None:
        self._first: dict[int, _Source] = {}

    def admit(self, verdict: Verdict) -> Verdict:
        """Return a verdict with one more finding: whether an earlier bundle holds the same run.

        Only what is valid, and no copy, is held against later ones: nobody can spoil an honest
        bundle by a damaged copy that is read first.
        """
        if verdict.id is None:
            return verdict
        mine = _Source(verdict.id, verdict.path)
        problems = self._problems(mine, verdict.fingerprint)
        found = (*verdict.findings, *findings(Code.INTEGRITY_COPY, problems))
        if not any(finding.outcome is Outcome.FAIL for finding in found):
            for one in verdict.fingerprint.times:
                self._first.setdefault(one, mine)
        return replace(verdict, findings=found)

    def _problems(self, mine: _Source, prints: Fingerprint) -> list[Problem]:
        if self._first.keys().isdisjoint(prints.times):
            return []  # as with nearly all
        times = set(prints.times)
        enough = max(FEWEST, len(times) / 4)  # each request has two of them
        return [
            fail(
                BUNDLE,
                clip(f"{count} of {len(times)} times are those of bundle {other}"),
                clip(f"measurements of its own in bundle {mine}"),
                EITHER,
            )
            for other, count in self._shared(times, mine).items()
            if count >= enough
        ]

    def _shared(self, prints: Iterable[int], mine: _Source) -> Counter[_Source]:
        """Count the prints that earlier bundles have too, but for the same bundle read again."""
        sources = (self._first[one] for one in prints if one in self._first)
        return Counter(source for source in sources if source.id != mine.id)


def distinct(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield the first verdict of each run: neither the same bundle again nor a copy of it."""
    copies = Copies()
    ids: set[str | None] = set()
    for verdict in verdicts:
        if verdict.id not in ids and not _is_copy(copies.admit(verdict)):
            ids.add(verdict.id)
            yield verdict


def _is_copy(admitted: Verdict) -> bool:
    return any(
        finding.code == Code.INTEGRITY_COPY.id and finding.outcome is Outcome.FAIL
        for finding in admitted.findings
    )


def _times(answered: Iterable[Record]) -> Iterator[int]:
    for one in answered:
        if one.phase is Phase.MEASURED:
            yield hash(("took", one.prompt_id, one.wall_s, one.completion_tokens))
            yield hash(("sent at", one.prompt_id, one.sent_s))
