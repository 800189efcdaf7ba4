"""An author's data files as values: a CSV of requests, a JSON of cells. Pure; trusts nothing."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

LIMIT_BYTES = 8 * 2**20
REQUEST_LIMIT = 100_000
COLUMN_LIMIT = 100
"""A row takes as long as there are columns, however few it has itself."""

COLUMNS = (
    "concurrency",
    "run",
    "task",
    "completion_tokens",
    "wall_seconds",
    "finish_reason",
    "run_wall_seconds",
)
"""What a CSV of requests must have; more columns are passed over."""


class NotThisFormat(ValueError):
    """A file that is not in the format that its name promises, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawRequest:
    """One request: tokens of the answer, seconds it took, and why it ended."""

    task: str
    completion_tokens: int
    wall_s: float
    finish_reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Swarm:
    """One run at one level: `agents` by its name, and the requests that there really were."""

    agents: int
    run: int
    wall_s: float
    requests: tuple[RawRequest, ...]

    @property
    def tokens_per_s(self) -> float:
        """Effective throughput: all tokens over the seconds of the run."""
        return sum(one.completion_tokens for one in self.requests) / self.wall_s

    @property
    def mean_in_flight(self) -> float:
        """Mean number of requests in flight: seconds of requests over seconds of the run."""
        return math.fsum(one.wall_s for one in self.requests) / self.wall_s


Non = Annotated[float, msgspec.Meta(ge=0)]


class RawCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a JSON of results; what else it holds is passed over."""

    avg_tps: Non
    per_prompt: dict[str, Non] = {}
    total_tokens: int | None = None
    total_time_s: Non | None = None
    gpu_mem_mb: tuple[int, ...] | None = None
    context_limit: int | None = None


class _Metadata(msgspec.Struct, frozen=True):
    date: str | None = None


class RawTable(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON of results: its day, and its cells under the author's own keys."""

    results: dict[str, RawCell]
    metadata: _Metadata = _Metadata()


def read_swarms(data: bytes) -> tuple[Swarm, ...]:
    """Read a CSV of requests, run by run in the order of the file; raise `NotThisFormat`."""
    runs: defaultdict[tuple[int, int], list[tuple[float, RawRequest]]] = defaultdict(list)
    try:
        reader = csv.DictReader(io.StringIO(_text(data)), restval="", strict=True)
        _check_columns(reader.fieldnames or ())
        for number, row in enumerate(reader):
            if number >= REQUEST_LIMIT:
                raise NotThisFormat(f"more than {REQUEST_LIMIT} requests")
            runs[_count(row["concurrency"]), _count(row["run"])].append(_request(row))
    except (csv.Error, TypeError) as error:
        raise NotThisFormat(str(error)) from error
    if not runs:
        raise NotThisFormat("no requests")
    return tuple(
        Swarm(
            agents=agents,
            run=run,
            wall_s=members[0][0],
            requests=tuple(request for _, request in members),
        )
        for (agents, run), members in runs.items()
    )


def read_table(data: bytes) -> RawTable:
    """Read a JSON of results; raise `NotThisFormat`."""
    _text(data)
    try:
        return msgspec.json.decode(data, type=RawTable)
    except (ValueError, RecursionError) as error:
        raise NotThisFormat(str(error)) from error


def _check_columns(names: Collection[str]) -> None:
    if missing := set(COLUMNS).difference(names):
        raise NotThisFormat(f"no column {', '.join(sorted(missing))}")
    if len(names) > COLUMN_LIMIT:
        raise NotThisFormat(f"more than {COLUMN_LIMIT} columns")


def _request(row: Mapping[str, Any]) -> tuple[float, RawRequest]:
    request = RawRequest(
        task=str(row["task"]),
        completion_tokens=_count(row["completion_tokens"]),
        wall_s=_seconds(row["wall_seconds"]),
        finish_reason=str(row["finish_reason"]),
    )
    return _seconds(row["run_wall_seconds"]), request


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotThisFormat(f"not a count: {text[:40]!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise NotThisFormat(f"not seconds: {text[:40]!r}") from error
    if not 0 < value < 1e7:
        raise NotThisFormat(f"not seconds: {text[:40]!r}")
    return value


def _text(data: bytes) -> str:
    if len(data) > LIMIT_BYTES:
        raise NotThisFormat(f"more than {LIMIT_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotThisFormat("not UTF-8") from error
