"""Throughput from records: completion tokens over wall-clock seconds.

A cell's headline is *pooled*: the sum of tokens over the sum of seconds, as the article computes
its "Average".
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from kit.bundle.record import SHORTEST_S, Record
from kit.plan.schedule import Phase

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """Tokens, seconds, and their quotient."""

    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def of(record: Record) -> Throughput:
    """Return the throughput of one request; the record must be `timed`."""
    return Throughput(tokens=record.completion_tokens or 0, seconds=record.wall_s)


def combined(parts: Sequence[Throughput]) -> Throughput:
    """Return the sum of tokens and the sum of seconds of one part or more."""
    return Throughput(
        tokens=sum(part.tokens for part in parts),
        seconds=math.fsum(part.seconds for part in parts),
    )


def timed(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records of any phase that have a rate: no error, a token count and a duration."""
    return tuple(
        record
        for record in records
        if record.error is None
        and record.completion_tokens is not None
        and record.wall_s >= SHORTEST_S
    )


def measured(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records behind the headline: `timed`, of the measured phase."""
    return tuple(record for record in timed(records) if record.phase is Phase.MEASURED)


def pooled(records: Iterable[Record]) -> Throughput | None:
    """Return total tokens over total seconds; None where no record was measured."""
    chosen = measured(records)
    return combined([of(record) for record in chosen]) if chosen else None


def by_prompt(records: Iterable[Record]) -> dict[str, Throughput]:
    """Return each prompt's pooled throughput, in the order of first appearance."""
    return _grouped(records, lambda record: record.prompt_id)


def by_pass(records: Iterable[Record]) -> dict[int, Throughput]:
    """Return each measured pass's pooled throughput."""
    return _grouped(records, lambda record: record.pass_number)


def mean_of_columns(records: Iterable[Record]) -> float | None:
    """Return the mean of the prompts' rates in tok/s, shown beside the pooled figure.

    The two differ when responses differ in length. Two of the article's averages cannot be
    recomputed as a mean of columns.
    """
    columns = by_prompt(records).values()
    return fmean(column.tokens_per_s for column in columns) if columns else None


def _grouped(records: Iterable[Record], key: Callable[[Record], K]) -> dict[K, Throughput]:
    groups: dict[K, list[Record]] = {}
    for record in measured(records):
        groups.setdefault(key(record), []).append(record)
    return {name: group for name, members in groups.items() if (group := pooled(members))}
