"""The chat completions API (OpenAI's, with vLLM's extensions): request bodies and responses.

A malformed response is read as far as possible and gets an error code. Tokens are counted from
`usage` and from token ids, never from chunks: 512 tokens may come in 500 chunks.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.bundle.record import Chunk, ErrorCode, FinishReason
from kit.parse.sse import EventParser, EventTooLarge
from kit.plan.plan import Dialect, Plan
from kit.plan.schedule import Request, is_streamed

Piece = tuple[float, bytes]
"""Arrival in seconds from sending, and bytes of the response body."""

_DONE = "[DONE]"
_INTEGER_LIMIT = 2**31


@dataclass(kw_only=True, slots=True)
class Answer:
    """The content of a response; an absent value is None, never 0."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: FinishReason | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    text: str | None = None
    chunks: list[Chunk] = field(default_factory=list)
    error: ErrorCode | None = None


@dataclass(kw_only=True, slots=True)
class _Streamed:
    """The content of a stream so far, in parts that are joined at its end."""

    answer: Answer = field(default_factory=Answer)
    texts: list[str] = field(default_factory=list)
    token_ids: list[int] | None = None

    def joined(self) -> Answer:
        self.answer.text = "".join(self.texts)
        if self.token_ids is not None:
            self.answer.token_ids = tuple(self.token_ids)
        return self.answer


class _Malformed(Exception):
    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code


def request_body(plan: Plan, request: Request, served_model: str) -> dict[str, Any]:
    """Return the JSON body of a request, with all sampling parameters."""
    sampling = plan.sampling
    body: dict[str, Any] = {
        "model": served_model,
        "messages": [
            {"role": "system", "content": plan.system},
            {"role": "user", "content": request.prompt},
        ],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed,
    }
    if plan.dialect is Dialect.VLLM:
        body["top_k"] = sampling.top_k
        body["repetition_penalty"] = sampling.repetition_penalty
        body["return_token_ids"] = True
        if request.cache_salt is not None:
            body["cache_salt"] = request.cache_salt
    if is_streamed(plan, request.phase):
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def read_completion(body: bytes, dialect: Dialect) -> Answer:
    """Read the body of a response that was not streamed."""
    answer = Answer()
    try:
        document = _object(_json(body))
        choice = _object(_first(document.get("choices")))
        answer.text = _text(_object(choice.get("message")).get("content")) or ""
        answer.finish_reason = _finish_reason(choice.get("finish_reason"))
        answer.prompt_token_ids = _token_ids(document.get("prompt_token_ids"))
        answer.token_ids = _token_ids(choice.get("token_ids"))
        _read_usage(answer, document.get("usage"))
        answer.error = _inconsistent(answer, dialect)
    except _Malformed as malformed:
        answer.error = malformed.code
    return answer


def read_stream(pieces: Iterable[Piece], dialect: Dialect) -> Answer:
    """Read a streamed response; each chunk keeps its arrival and token count.

    If a server returns no token ids, each chunk with text counts as one token, which may be wrong;
    the bundle then lists the token ids as absent. Nothing is read after `[DONE]`.
    """
    streamed = _Streamed()
    try:
        _read_to_done(streamed, pieces, dialect)
        answer = streamed.joined()
        if answer.completion_tokens is None:
            raise _Malformed(ErrorCode.NO_USAGE)
        answer.error = _inconsistent(answer, dialect)
    except _Malformed as malformed:
        answer = streamed.joined()
        answer.error = malformed.code
    return answer


def _read_to_done(streamed: _Streamed, pieces: Iterable[Piece], dialect: Dialect) -> None:
    for arrival_s, data in _events(pieces):
        if data == _DONE:
            return
        _read_chunk(streamed, arrival_s, _object(_json(data.encode())), dialect)
    raise _Malformed(ErrorCode.STREAM_CUT)


def _events(pieces: Iterable[Piece]) -> Iterator[tuple[float, str]]:
    parser = EventParser()
    try:
        for arrival_s, data in pieces:
            for event in parser.feed(data):
                yield arrival_s, event
    except EventTooLarge as error:
        raise _Malformed(ErrorCode.TOO_LARGE) from error


def _read_chunk(
    streamed: _Streamed, arrival_s: float, chunk: Mapping[str, Any], dialect: Dialect
) -> None:
    answer = streamed.answer
    if chunk.get("error") is not None:
        raise _Malformed(ErrorCode.STREAM_ERROR)
    if chunk.get("prompt_token_ids") is not None:
        answer.prompt_token_ids = _token_ids(chunk["prompt_token_ids"])
    if chunk.get("choices"):  # the last chunk has only usage
        _read_delta(streamed, arrival_s, _object(_first(chunk["choices"])), dialect)
    if chunk.get("usage") is not None:
        _read_usage(answer, chunk["usage"])


def _read_delta(
    streamed: _Streamed, arrival_s: float, choice: Mapping[str, Any], dialect: Dialect
) -> None:
    text = _text(_object(choice.get("delta") or {}).get("content")) or ""
    token_ids = _token_ids(choice.get("token_ids"))
    tokens = int(bool(text)) if dialect is Dialect.OPENAI else 0
    if token_ids is not None:
        streamed.token_ids = streamed.token_ids or []
        streamed.token_ids += token_ids
        tokens = len(token_ids)
    if tokens:
        streamed.answer.chunks.append((round(arrival_s, 6), tokens))
    streamed.texts.append(text)
    if choice.get("finish_reason") is not None:
        streamed.answer.finish_reason = _finish_reason(choice["finish_reason"])


def _read_usage(answer: Answer, usage: object) -> None:
    if not isinstance(usage, dict):
        raise _Malformed(ErrorCode.NO_USAGE)
    answer.prompt_tokens = _count(usage.get("prompt_tokens"))
    answer.completion_tokens = _count(usage.get("completion_tokens"))
    if answer.prompt_tokens is None or answer.completion_tokens is None:
        raise _Malformed(ErrorCode.NO_USAGE)
    details = usage.get("prompt_tokens_details")
    if isinstance(details, dict):
        answer.cached_tokens = _count(details.get("cached_tokens"))
    details = usage.get("completion_tokens_details")
    if isinstance(details, dict):
        answer.reasoning_tokens = _count(details.get("reasoning_tokens"))


def _inconsistent(answer: Answer, dialect: Dialect) -> ErrorCode | None:
    """Return the error of a complete response: a missing field, or a count that is not its ids'."""
    if answer.finish_reason is None:
        return ErrorCode.BAD_SHAPE
    pairs = (
        (answer.completion_tokens, answer.token_ids),
        (answer.prompt_tokens, answer.prompt_token_ids),
    )
    for count, ids in pairs:
        if ids is None and dialect is Dialect.VLLM:
            return ErrorCode.BAD_SHAPE
        if ids is not None and count != len(ids):
            return ErrorCode.TOKEN_COUNT
    return None


def _json(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8"))  # json.loads would accept UTF-16 too
    except (ValueError, RecursionError) as error:
        raise _Malformed(ErrorCode.NOT_JSON) from error


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Malformed(ErrorCode.BAD_SHAPE)
    return value


def _first(value: object) -> object:
    if not isinstance(value, list) or not value:
        raise _Malformed(ErrorCode.BAD_SHAPE)
    return value[0]


def _text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Malformed(ErrorCode.BAD_SHAPE)
    return value.encode("utf-8", "replace").decode()  # a lone surrogate cannot be stored


def _finish_reason(value: object) -> FinishReason | None:
    if value is None:
        return None
    known = {reason.value: reason for reason in FinishReason}
    return known.get(value, FinishReason.OTHER) if isinstance(value, str) else FinishReason.OTHER


def _token_ids(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or any(_count(item) is None for item in value):
        raise _Malformed(ErrorCode.BAD_SHAPE)
    return tuple(value)


def _count(value: object) -> int | None:
    """Return an integer from 0 to 2^31 - 1; None for anything else, such as True or 3.0."""
    return value if type(value) is int and 0 <= value < _INTEGER_LIMIT else None
