"""Throughput from records: completion tokens over wall-clock seconds.

A cell's headline is *pooled*: the sum of tokens over the sum of seconds, as the article computes
its "Average".
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from kit.bundle.record import SHORTEST_S, Record
from kit.plan.schedule import Phase

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """Completion tokens over seconds."""

    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def measured(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records of the headline: measured, without an error, with a token count."""
    return tuple(
        record
        for record in records
        if record.phase is Phase.MEASURED
        and record.error is None
        and record.completion_tokens is not None
        and record.wall_s >= SHORTEST_S
    )


def pooled(records: Iterable[Record]) -> Throughput | None:
    """Return total tokens over total seconds; None without measured records."""
    chosen = measured(records)
    if not chosen:
        return None
    return Throughput(
        tokens=sum(record.completion_tokens or 0 for record in chosen),
        seconds=math.fsum(record.wall_s for record in chosen),
    )


def by_prompt(records: Iterable[Record]) -> dict[str, Throughput]:
    """Return each prompt's pooled throughput, in the order of first appearance."""
    return _grouped(records, lambda record: record.prompt_id)


def by_pass(records: Iterable[Record]) -> dict[int, Throughput]:
    """Return each measured pass's pooled throughput."""
    return _grouped(records, lambda record: record.pass_number)


def mean_of_columns(records: Iterable[Record]) -> float | None:
    """Return the mean of the prompts' rates in tok/s; shown beside the pooled rate, never instead.

    It differs from the pooled rate if prompts differ in length. Two of the article's averages are
    not this mean.
    """
    columns = by_prompt(records).values()
    return fmean(column.tokens_per_s for column in columns) if columns else None


def _grouped(records: Iterable[Record], key: Callable[[Record], K]) -> dict[K, Throughput]:
    groups: dict[K, list[Record]] = {}
    for record in measured(records):
        groups.setdefault(key(record), []).append(record)
    return {name: group for name, members in groups.items() if (group := pooled(members))}
