"""Integrity over several bundles: no run is handed in twice under two ids.

A copy has the same id, and is the same bundle. Who edits a copy a little and seals it again gets
another id for the same measurements, which would then count as a second start of the engine.

Two things give a copy away: requests that were sent at the same moment or took as long, to the
microsecond, and traces that only one run can leave: its server's log, its telemetry, what its
server had counted after a pass, the arrivals of a stream's chunks. What two honest runs may share
is left out. Token ids are: the plan gives each request its seed, so that two starts of one cell
answer alike, word for word. So is closeness of durations: on a steady server those of two honest
runs are as close as those of a copy that was shaken. And so is NCCL's log, which tells no time, and
in a container the same process ids.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import Document, Runtime
from kit.bundle.record import Chunk, Moment, Record
from kit.check.codes import Code
from kit.check.evidence import Counters, MetricsKey
from kit.check.finding import Fingerprint, Outcome, Verdict
from kit.check.problem import BUNDLE, Problem, clip, fail, findings
from kit.parse.vllm_metrics import E2E_LATENCY_COUNT, E2E_LATENCY_SUM, STARTED
from kit.plan.schedule import Phase

FEWEST = 3
"""Of two honest runs one request in a hundred thousand may take as long, or be sent as late, to the
microsecond; not three of them, and half of all."""

A_MOMENT_S = 1e-3
FEWEST_MOMENTS = 5
"""Chunks are a trace where they arrived at so many moments. Even if nothing differed but digits
below 0.1 ms, two honest streams would be equal once in ten thousand million times."""

LOOKED_AT = 50
"""Chunks of a stream that are asked when they came."""

A_REAL_TIME_S = 1e9
"""Seconds since 1970 that a clock may tell; what is less was never set."""

SHOWN_ID = 12
"""Characters of an id that a finding tells; the paths are told too."""

EITHER = "either may be the original: ask who measured it, and hand in each run once"


def fingerprint(
    document: Document | None,
    records: Sequence[Record],
    digests: Mapping[str, str],
    metrics: Mapping[MetricsKey, Counters],
) -> Fingerprint:
    """Return what a copy under another id still has; `digests` are of the payload's files.

    An endpoint's counters and log are its owner's: two runs at a time may read the same ones. A
    server that answered nothing may have left the same words as another.
    """
    answered = [record for record in records if record.error is None]
    traces = [*_streams(answered)]
    if document is not None and document.runtime is not Runtime.ENDPOINT and answered:
        traces += [*_files(digests, metrics), *_sums(metrics), *_starts(metrics)]
    return Fingerprint(times=tuple(_times(answered)), traces=tuple(traces))


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
            for one in (*verdict.fingerprint.times, *verdict.fingerprint.traces):
                self._first.setdefault(one, mine)
        return replace(verdict, findings=found)

    def _problems(self, mine: _Source, prints: Fingerprint) -> list[Problem]:
        if self._first.keys().isdisjoint((*prints.times, *prints.traces)):
            return []  # as with nearly all
        times, traces = set(prints.times), set(prints.traces)
        same_times, same_traces = self._shared(times, mine), self._shared(traces, mine)
        enough = max(FEWEST, len(times) / 4)  # each request has two of them
        return [
            fail(
                BUNDLE,
                clip(
                    f"{same_times[other]} of {len(times)} times and {same_traces[other]} of "
                    f"{len(traces)} traces are those of bundle {other}"
                ),
                clip(f"measurements of its own in bundle {mine}"),
                EITHER,
            )
            for other in {**same_times, **same_traces}
            if same_times[other] >= enough or same_traces[other]
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


def _streams(answered: Iterable[Record]) -> Iterator[int]:
    for one in answered:
        if one.chunks and _is_spread(one.chunks):
            yield hash(("stream", one.chunks))


def _is_spread(chunks: Sequence[Chunk]) -> bool:
    """Tell whether a stream's chunks came one after the other; some of them are enough to tell."""
    last_s, moments = -math.inf, 0
    for arrival_s, _ in chunks[:: 1 + len(chunks) // LOOKED_AT]:
        if arrival_s - last_s >= A_MOMENT_S:
            last_s, moments = arrival_s, moments + 1
    return moments >= FEWEST_MOMENTS


def _files(digests: Mapping[str, str], metrics: Mapping[MetricsKey, Counters]) -> Iterator[int]:
    names = [bag.SERVER_LOG, bag.TELEMETRY]
    names += [
        f"data/metrics/{phase.value}-{number}-{moment.value}.prom.gz"
        for (phase, number, moment), _ in _after(metrics)
    ]
    yield from (hash(("file", digests[name])) for name in names if name in digests)


def _sums(metrics: Mapping[MetricsKey, Counters]) -> Iterator[int]:
    """Yield the seconds that the server had counted after three passes in a row.

    vLLM's clock for them ticks each 0.24 microseconds, and passes of two runs differ by
    milliseconds: one sum agrees less than once in 10,000, and three in a row never do.
    """
    sums = [totals[E2E_LATENCY_SUM] for _, totals in _after(metrics)]
    windows = zip(sums, sums[1:], sums[2:], strict=False)
    yield from (hash(("seconds", window)) for window in windows)


def _starts(metrics: Mapping[MetricsKey, Counters]) -> Iterator[int]:
    """Yield the moment at which the engine started, unless somebody had asked something of it.

    Then two clients may honestly have measured one start, one after the other.
    """
    before = [totals for (_, _, moment), totals in metrics.items() if moment is Moment.BEFORE]
    is_fresh = any(totals.get(E2E_LATENCY_COUNT) == 0 for totals in before)
    for started in {totals[STARTED] for totals in before if STARTED in totals}:
        if is_fresh and started > A_REAL_TIME_S:
            yield hash(("started at", started))


def _after(metrics: Mapping[MetricsKey, Counters]) -> list[tuple[MetricsKey, Counters]]:
    """Return what was counted after each pass, where the server had answered by then."""
    order = list(Phase)
    found = [
        (key, totals)
        for key, totals in metrics.items()
        if key[2] is Moment.AFTER and totals.get(E2E_LATENCY_SUM, 0.0) > 0
    ]
    return sorted(found, key=lambda one: (order.index(one[0][0]), one[0][1]))
