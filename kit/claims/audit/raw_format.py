"""Readers of an author's data files: a CSV of requests, a JSON of cells.

The files are not trusted: what is out of range raises `NotThisFormat`.
"""

import csv
import io
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated

import msgspec

LIMIT_BYTES = 8 * 2**20
COLUMN_LIMIT = 100
"""Reading a CSV takes time in proportion to its rows times the columns of its header."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]
Seconds = Annotated[float, msgspec.Meta(gt=0, lt=1e7)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class NotThisFormat(ValueError):
    """A file that does not have the expected format, and why."""


class RawRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"agents": "concurrency", "wall_s": "wall_seconds", "run_wall_s": "run_wall_seconds"},
):
    """One row of a CSV of requests; other columns are ignored.

    `agents` is the level that the run is named after; `run_wall_s` is the duration of the run.
    """

    agents: Count
    run: Count
    task: str
    completion_tokens: Count
    wall_s: Seconds
    run_wall_s: Seconds


COLUMNS = RawRequest.__struct_encode_fields__


@dataclass(frozen=True, slots=True)
class SwarmRun:
    """The requests of one run at one level."""

    requests: tuple[RawRequest, ...]

    @property
    def agents(self) -> int:
        return self.requests[0].agents

    @property
    def wall_s(self) -> float:
        return self.requests[0].run_wall_s

    @property
    def tokens_per_s(self) -> float:
        """All tokens over the seconds of the run."""
        return sum(request.completion_tokens for request in self.requests) / self.wall_s

    @property
    def mean_in_flight(self) -> float:
        """Mean number of requests in flight: seconds of requests over seconds of the run."""
        return math.fsum(request.wall_s for request in self.requests) / self.wall_s


class RawCell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a JSON of results; other fields are ignored."""

    avg_tps: NotNegative
    per_prompt: dict[str, NotNegative] = {}
    total_tokens: int | None = None
    total_time_s: NotNegative | None = None
    gpu_mem_mb: tuple[int, ...] | None = None
    context_limit: int | None = None


class _Metadata(msgspec.Struct, frozen=True):
    date: str | None = None


class RawTable(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON of results: its date, and its cells by the author's own keys."""

    results: dict[str, RawCell]
    metadata: _Metadata = _Metadata()


def read_swarms(data: bytes) -> tuple[SwarmRun, ...]:
    """Read a CSV of requests into its runs, in the order of the file; raise `NotThisFormat`."""
    runs: defaultdict[tuple[int, int], list[RawRequest]] = defaultdict(list)
    try:
        reader = csv.DictReader(io.StringIO(_text(data)), strict=True)
        if len(reader.fieldnames or ()) > COLUMN_LIMIT:
            raise NotThisFormat(f"more than {COLUMN_LIMIT} columns")
        for row in reader:
            request = msgspec.convert(row, RawRequest, strict=False)
            runs[request.agents, request.run].append(request)
    except (csv.Error, msgspec.ValidationError) as error:
        raise NotThisFormat(str(error)) from error
    if not runs:
        raise NotThisFormat("no requests")
    return tuple(SwarmRun(tuple(requests)) for requests in runs.values())


def read_table(data: bytes) -> RawTable:
    """Read a JSON of results; raise `NotThisFormat`."""
    try:
        return msgspec.json.decode(_text(data), type=RawTable)
    except (ValueError, RecursionError) as error:
        raise NotThisFormat(str(error)) from error


def _text(data: bytes) -> str:
    if len(data) > LIMIT_BYTES:
        raise NotThisFormat(f"more than {LIMIT_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotThisFormat("not UTF-8") from error
