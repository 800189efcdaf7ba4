"""`records.jsonl`: what was sent and observed of each request. Nothing derived is stored."""

from enum import Enum
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from kit.bundle.limits import ARRAY_LIMIT
from kit.format.fields import Below2To31, Count, Name, Seconds
from kit.plan.schedule import Phase

SHORTEST_S = 1e-6
"""Resolution of all times: a shorter `wall_s` was not measured."""


class Moment(Enum):
    """Whether the server's metrics were read before or after a pass."""

    BEFORE = "before"
    AFTER = "after"


class FinishReason(Enum):
    """Why the server stopped (OpenAI chat completions API)."""

    STOP = "stop"
    LENGTH = "length"
    OTHER = "other"


class ErrorCode(Enum):
    """Why a request failed. Exception texts hold addresses, so a bundle never has them."""

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
    CANCELLED = "cancelled"


TokenIds: TypeAlias = tuple[Below2To31, ...]

Chunk: TypeAlias = tuple[float, Below2To31]
"""(arrival in seconds from `sent_s`, completion tokens in this chunk)."""

_ARRAY: dict[str, Any] = {"maxItems": ARRAY_LIMIT}
"""Only described: `kit.check.answers` enforces it, as it does the order of chunks."""


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """One line of `records.jsonl`: one request, in the order of sending.

    Raw observations only. An absent value is absent, never 0 and never null. Times are monotonic
    seconds, rounded to 1 microsecond. Token counts are those of the server's `usage`.
    """

    phase: Phase
    pass_number: Annotated[
        Count, Meta(description="Number within the phase: 0 for the warm-up, from 1 otherwise.")
    ] = msgspec.field(name="pass")
    prompt_id: Annotated[Name, Meta(description="Id of a prompt of the plan.")]
    seed: Annotated[
        Below2To31,
        Meta(description="Sampling seed sent: a hash of plan seed, phase, pass and prompt."),
    ]
    sent_s: Annotated[Seconds, Meta(description="From the run's start to sending the request.")]
    wall_s: Annotated[
        Seconds, Meta(description="From sending the request to the response's last byte.")
    ]
    prompt_tokens: Below2To31 | None = None
    cached_tokens: Annotated[
        Below2To31 | None,
        Meta(description="Prompt tokens from the prefix cache. A server may leave out a 0."),
    ] = None
    completion_tokens: Below2To31 | None = None
    reasoning_tokens: Annotated[
        Below2To31 | None,
        Meta(description="Completion tokens of reasoning, where the server counts them apart."),
    ] = None
    finish_reason: FinishReason | None = None
    prompt_token_ids: Annotated[TokenIds, Meta(extra_json_schema=_ARRAY)] | None = None
    token_ids: Annotated[TokenIds, Meta(extra_json_schema=_ARRAY)] | None = None
    text: str | None = None
    chunks: (
        Annotated[
            tuple[Chunk, ...],
            Meta(
                description="Chunks of a streamed response that held tokens, by arrival: seconds "
                "from sent_s, and tokens. Without token ids, each chunk with text counts as one.",
                extra_json_schema=_ARRAY,
            ),
        ]
        | None
    ) = None
    agent: Annotated[
        Count | None, Meta(description="Which of the agents sent it, counting from 0.")
    ] = None
    error: Annotated[
        ErrorCode | None,
        Meta(description="Such a record ends the run, but one of few among agents does not."),
    ] = None
