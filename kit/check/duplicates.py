"""Whether two bundles hold the same run under two ids.

A copy has the same id, and is the same bundle. One that was edited a little and sealed again has
another id for the same measurements, which would then count as a second start of the engine. Equal
times give it away: requests that took as long, or were sent as late, to the microsecond. Token ids
do not: the plan gives each request its seed, so that two starts of one cell answer alike.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.check.check import BUNDLE, Check, Problem, fail, findings
from kit.check.finding import Outcome, Time, Verdict
from kit.plan.schedule import Phase

FEWEST = 3
"""Of two honest runs one request in a hundred thousand may take as long, or be sent as late, to the
microsecond; not three of them, and half of all."""

SHOWN_ID = 12
"""Characters of an id in a finding; the paths are there, too."""


def fingerprint(records: Iterable[Record]) -> frozenset[Time]:
    """Return how long each measured request of a run took, and when it was sent."""
    measured = [
        record for record in records if record.phase is Phase.MEASURED and record.error is None
    ]
    took = {("took", record.prompt_id, record.wall_s) for record in measured}
    sent = {("sent", record.prompt_id, record.sent_s) for record in measured}
    return frozenset(took | sent)


@dataclass(frozen=True, slots=True)
class _Source:
    """A bundle that was seen, as a finding names it."""

    id: str
    path: str

    def __str__(self) -> str:
        return f"{self.id[:SHOWN_ID]} at {self.path}"


class Duplicates:
    """The runs that were seen so far, by their fingerprints."""

    def __init__(self) -> None:
        self._first: dict[Time, _Source] = {}

    def admit(self, verdict: Verdict) -> Verdict:
        """Return a verdict with one more finding: whether an earlier bundle holds the same run.

        Later bundles are compared only with valid ones that are no copies: a damaged copy that is
        read first must not spoil an honest bundle.
        """
        if verdict.id is None:
            return verdict
        source = _Source(verdict.id, verdict.path)
        shared = self._shared(verdict)
        all_findings = (*verdict.findings, *findings(COPY, _problems(verdict, source, shared)))
        if not any(finding.outcome is Outcome.FAIL for finding in all_findings):
            for time in verdict.fingerprint:
                self._first.setdefault(time, source)
        return replace(verdict, findings=all_findings)

    def _shared(self, verdict: Verdict) -> Mapping[_Source, int]:
        """Count shared times for each earlier bundle, ignoring the same id."""
        sources = (self._first[time] for time in verdict.fingerprint if time in self._first)
        return Counter(source for source in sources if source.id != verdict.id)


def _problems(
    verdict: Verdict, source: _Source, shared: Mapping[_Source, int]
) -> Iterator[Problem]:
    times = len(verdict.fingerprint)
    for other, count in shared.items():
        if count >= max(FEWEST, times / 4):  # each request has two of them
            observed = f"{count} of {times} times are those of bundle {other}"
            yield fail(BUNDLE, observed, f"measurements of its own in bundle {source}")


COPY: Check[Verdict] = Check(
    id="integrity-copy",
    holds="no other of these bundles holds the same measurements under another id",
    hint="either may be the original: ask who measured it, and hand in each run once",
    look=lambda _: (),  # nothing to compare one bundle with: `Duplicates.admit` looks at several
)


def distinct(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield the first verdict of each run: neither the same bundle again nor a copy of it."""
    duplicates = Duplicates()
    ids: set[str | None] = set()
    for verdict in verdicts:
        if verdict.id not in ids and not _is_copy(duplicates.admit(verdict)):
            ids.add(verdict.id)
            yield verdict


def _is_copy(admitted: Verdict) -> bool:
    return any(
        finding.code == COPY.id and finding.outcome is Outcome.FAIL for finding in admitted.findings
    )
