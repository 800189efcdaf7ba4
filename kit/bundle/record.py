"""What was sent and what was observed of one request; raw only, nothing derived."""

from enum import Enum
from typing import TypeAlias

import msgspec

from kit.format.fields import Below2To31, Count, Name, Seconds
from kit.plan.schedule import Phase

SHORTEST_S = 1e-6
"""Times are rounded to 1 microsecond: what took less was not measured."""


class Moment(Enum):
    """When the server's metrics were read, seen from a pass."""

    BEFORE = "before"
    AFTER = "after"

    __hash__ = object.__hash__  # an enum's own is Python, and asked for each file of metrics


class FinishReason(Enum):
    """Why the server stopped (OpenAI chat completions API)."""

    STOP = "stop"
    LENGTH = "length"
    OTHER = "other"


class ErrorCode(Enum):
    """What went wrong with a request. Exception texts hold addresses and never enter a bundle."""

    CONNECT_FAILED = "connect-failed"
    DISCONNECTED = "disconnected"
    TIMED_OUT = "timed-out"
    HTTP_CLIENT_ERROR = "http-4xx"
    HTTP_SERVER_ERROR = "http-5xx"
    NOT_JSON = "not-json"
    BAD_SHAPE = "bad-shape"
    NO_USAGE = "no-usage"
    TOKEN_COUNT = "token-count"
    STREAM_CUT = "stream-cut"
    STREAM_ERROR = "stream-error"
    TOO_LARGE = "too-large"


TokenIds: TypeAlias = tuple[Below2To31, ...]

Chunk: TypeAlias = tuple[float, Below2To31]
"""(arrival in seconds from `sent_s`, completion tokens in this chunk)."""


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """One line of `records.jsonl`. An absent value is absent, never 0.

    `sent_s` is monotonic from the run's start; `wall_s` from sending to the last byte of the
    response; both in seconds. Token counts are the server's own `usage`. How long arrays and
    text may be, `kit.check.answers` says.
    """

    phase: Phase
    pass_number: Count = msgspec.field(name="pass")
    prompt_id: Name
    seed: Below2To31
    sent_s: Seconds
    wall_s: Seconds
    prompt_tokens: Below2To31 | None = None
    cached_tokens: Below2To31 | None = None
    completion_tokens: Below2To31 | None = None
    finish_reason: FinishReason | None = None
    prompt_token_ids: TokenIds | None = None
    token_ids: TokenIds | None = None
    text: str | None = None
    chunks: tuple[Chunk, ...] | None = None
    error: ErrorCode | None = None
