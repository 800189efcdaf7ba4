"""The steady window of a pass of agents, and the figures that come from it alone.

It lasts from when as many requests as there are agents have had a first token until fewer than
that are left. Before and after it fewer are in flight: latency looks better, throughput worse.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kit.bundle.record import Record
from kit.figures.throughput import Throughput
from kit.plan.schedule import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Seconds from the run's start, and the completion tokens that arrived in between."""

    pass_number: int
    start_s: float
    end_s: float
    tokens: int

    @property
    def throughput(self) -> Throughput:
        """Effective throughput of all agents together."""
        return Throughput(tokens=self.tokens, seconds=self.end_s - self.start_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarmFigures:
    """Of the measured passes of one level; rates are in tok/s.

    `request_rates` are of the requests that were sent and answered within a window, completion
    tokens over wall seconds; `agent_rates` the same of all requests of each agent there.
    `failed_requests` are of all measured passes, `in_flight` is the mean over all of their seconds.
    `as_published` are the tokens of each pass over its seconds until the slowest response, as the
    article computes its effective rate.
    """

    agents: int
    windows: tuple[Window, ...]
    request_rates: tuple[float, ...]
    agent_rates: tuple[float, ...]
    requests: int
    failed_requests: int
    in_flight: float
    as_published: tuple[Throughput, ...]

    @property
    def fairness(self) -> float | None:
        """The slowest agent's rate over the fastest one's, from 0 to 1."""
        return min(self.agent_rates) / max(self.agent_rates) if self.agent_rates else None


def swarm(records: Sequence[Record], agents: int) -> SwarmFigures | None:
    """Return the figures of a level; None where nothing was measured."""
    measured = [record for record in records if record.phase is Phase.MEASURED]
    if not measured:
        return None
    windows = tuple(windows_of(measured, agents))
    within = [record for record in measured if _is_within(record, windows)]
    return SwarmFigures(
        agents=agents,
        windows=windows,
        request_rates=tuple((record.completion_tokens or 0) / record.wall_s for record in within),
        agent_rates=tuple(_agent_rates(within)),
        requests=len(measured),
        failed_requests=sum(record.error is not None for record in measured),
        in_flight=_in_flight(measured),
        as_published=tuple(_as_published(measured)),
    )


def windows_of(records: Iterable[Record], agents: int) -> Iterator[Window]:
    """Yield the window of each pass that has one."""
    passes: dict[int, list[Record]] = {}
    for record in records:
        passes.setdefault(record.pass_number, []).append(record)
    for number, members in passes.items():
        if (window := _window(number, members, agents)) is not None:
            yield window


def in_windows(records: Iterable[Record], windows: Sequence[Window]) -> Iterator[Record]:
    """Yield the records that were sent and answered within a window."""
    return (record for record in records if _is_within(record, windows))


def _window(number: int, records: Sequence[Record], agents: int) -> Window | None:
    first_tokens = sorted(
        record.sent_s + record.chunks[0][0] for record in records if record.chunks
    )
    ends = sorted(record.sent_s + record.wall_s for record in records)
    if len(first_tokens) < agents or len(ends) < agents:
        return None
    start_s, end_s = first_tokens[agents - 1], ends[len(ends) - agents]
    if end_s <= start_s:
        return None
    tokens = sum(
        tokens
        for record in records
        for after_s, tokens in record.chunks or ()
        if start_s < record.sent_s + after_s <= end_s
    )
    return Window(pass_number=number, start_s=start_s, end_s=end_s, tokens=tokens)


def _is_within(record: Record, windows: Sequence[Window]) -> bool:
    end_s = record.sent_s + record.wall_s
    return record.error is None and any(
        window.start_s <= record.sent_s and end_s <= window.end_s for window in windows
    )


def _agent_rates(records: Iterable[Record]) -> Iterator[float]:
    by_agent: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_agent[record.agent or 0].append(record)
    for members in by_agent.values():
        tokens = sum(record.completion_tokens or 0 for record in members)
        yield tokens / math.fsum(record.wall_s for record in members)


def _in_flight(records: Sequence[Record]) -> float:
    """Return the requests' seconds over the seconds of their passes."""
    spans = math.fsum(one.seconds for one in _as_published(records))
    return math.fsum(record.wall_s for record in records) / spans


def _as_published(records: Sequence[Record]) -> Iterator[Throughput]:
    """Yield each pass's tokens, and its seconds from the first request to the last response."""
    passes: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        passes[record.pass_number].append(record)
    for members in passes.values():
        start_s = min(record.sent_s for record in members)
        end_s = max(record.sent_s + record.wall_s for record in members)
        tokens = sum(record.completion_tokens or 0 for record in members)
        yield Throughput(tokens=tokens, seconds=end_s - start_s)
