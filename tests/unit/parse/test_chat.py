"""Chat completions: bodies sent, and answers, also of servers that break the API in every way."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle.record import ErrorCode, FinishReason
from kit.parse.chat import Answer, read_completion, read_stream, request_body
from kit.plan.plan import CachePolicy, Choices, Dialect, Plan, plan_endpoint
from kit.plan.schedule import Phase, Request, requests
from kit.plan.suite import Prompt, Suite, SuiteMode

SUITE = Suite(
    id="small",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=(Prompt(id="impl", text="Write a stack."),),
)
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "prompt_tokens_details": None}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "a b", "tool_calls": []},
            "finish_reason": "length",
            "token_ids": [5, 6, 7],
        }
    ],
    "usage": USAGE,
    "prompt_token_ids": [1, 2],
}
CHUNKS: list[dict[str, Any]] = [
    {
        "choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        "prompt_token_ids": [1, 2],
    },
    {"choices": [{"delta": {"content": "a"}, "token_ids": [5, 6]}]},
    {"choices": [{"delta": {"content": " b"}, "token_ids": [7], "finish_reason": "length"}]},
    {"choices": [], "usage": USAGE},
]
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2.5,
    "",
    "x",
    [],
    [1],
    [None],
    {},
    {"x": 1},
    10**30,
    [[]],
    [{}],
)
ANSWER_FIELDS = ("choices", "message", "delta", "content", "usage", "token_ids", "prompt_token_ids")
USAGE_FIELDS = ("prompt_tokens", "completion_tokens", "finish_reason", "error", "cached_tokens")
PATHS: tuple[tuple[str | int, ...], ...] = (
    ("usage",),
    ("usage", "completion_tokens"),
    ("usage", "prompt_tokens_details"),
    ("prompt_token_ids",),
    ("choices",),
    ("choices", 0),
    ("choices", 0, "message"),
    ("choices", 0, "message", "content"),
    ("choices", 0, "token_ids"),
    ("choices", 0, "finish_reason"),
)
JSON = st.recursive(
    st.sampled_from([*WRONG, "\ud800", 3, [5, 6, 7], [True]]) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(ANSWER_FIELDS + USAGE_FIELDS), inner, max_size=5)
    ),
    max_leaves=15,
)
DIALECTS = st.sampled_from(Dialect)


def completion(document: object, dialect: Dialect = Dialect.VLLM) -> Answer:
    return read_completion(json.dumps(document).encode(), dialect)


def event(document: object) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()


def stream(*documents: object, dialect: Dialect = Dialect.VLLM, end: bytes = b"[DONE]") -> Answer:
    """Stream one document a second; then the end."""
    last = (len(documents) + 1.0, b"data: " + end + b"\n\n" if end else b"")
    return read_stream([*enumerate(map(event, documents), start=1), last], dialect)


def changed(document: dict[str, Any], *path: str | int, to: object) -> dict[str, Any]:
    """Return a copy in which the value at this path is another; `...` takes it away."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return copy


def endpoint_plan(dialect: Dialect, choices: Choices | None = None) -> Plan:
    return plan_endpoint("m", SUITE, choices or Choices(), dialect, 4096)


def first(plan: Plan, phase: Phase) -> Request:
    return next(request for request in requests(plan) if request.phase is phase)


# What is sent


def test_a_body_for_vllm() -> None:
    plan = endpoint_plan(Dialect.VLLM)
    request = first(plan, Phase.MEASURED)
    assert request_body(plan, request, "served") == {
        "model": "served",
        "messages": [
            {"role": "system", "content": "Answer at once."},
            {"role": "user", "content": "Write a stack."},
        ],
        "max_tokens": 4096,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "seed": request.seed,
        "return_token_ids": True,
    }


def test_a_body_in_openais_dialect_holds_no_extension() -> None:
    plan = endpoint_plan(Dialect.OPENAI)
    body = request_body(plan, first(plan, Phase.MEASURED), "served")
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "top_p", "seed"}


@pytest.mark.parametrize("dialect", Dialect)
def test_only_the_streaming_pass_streams(dialect: Dialect) -> None:
    plan = endpoint_plan(dialect)
    body = request_body(plan, first(plan, Phase.STREAM), "served")
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    for phase in (Phase.WARMUP, Phase.MEASURED):
        assert "stream" not in request_body(plan, first(plan, phase), "served")


def test_a_cold_cache_is_a_salt_in_the_body() -> None:
    plan = endpoint_plan(Dialect.VLLM, Choices(cache=CachePolicy.COLD))
    request = first(plan, Phase.MEASURED)
    assert request.cache_salt
    assert request_body(plan, request, "served")["cache_salt"] == request.cache_salt


# Whole answers


def test_a_good_completion() -> None:
    assert completion(COMPLETION) == Answer(
        prompt_tokens=2,
        completion_tokens=3,
        finish_reason=FinishReason.LENGTH,
        prompt_token_ids=(1, 2),
        token_ids=(5, 6, 7),
        text="a b",
    )


@pytest.mark.parametrize("details", [{"cached_tokens": 1}, {"cached_tokens": 0}])
def test_cached_tokens_are_read_where_they_are_told(details: dict[str, int]) -> None:
    answer = completion(changed(COMPLETION, "usage", "prompt_tokens_details", to=details))
    assert (answer.cached_tokens, answer.error) == (details["cached_tokens"], None)


def test_reasoning_tokens_are_read_where_they_are_told() -> None:
    details = {"reasoning_tokens": 2}
    answer = completion(changed(COMPLETION, "usage", "completion_tokens_details", to=details))
    assert (answer.reasoning_tokens, answer.error) == (2, None)


@pytest.mark.parametrize("details", [..., None, {}, [], {"cached_tokens": None}])
def test_cached_tokens_that_are_not_told_are_absent(details: object) -> None:
    answer = completion(changed(COMPLETION, "usage", "prompt_tokens_details", to=details))
    assert (answer.cached_tokens, answer.error) == (None, None)


@pytest.mark.parametrize("usage", [..., None, [], "x", 3, {}])
def test_a_usage_that_is_none(usage: object) -> None:
    answer = completion(changed(COMPLETION, "usage", to=usage))
    assert answer.error is ErrorCode.NO_USAGE
    assert answer.completion_tokens is None
    assert answer.token_ids == (5, 6, 7)  # read as far as it goes


@pytest.mark.parametrize("count", [..., None, -1, 3.0, True, "3", 2**31, 10**400, [3]])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_is_none(name: str, count: object) -> None:
    answer = completion(changed(COMPLETION, "usage", name, to=count))
    assert answer.error is ErrorCode.NO_USAGE


@pytest.mark.parametrize("ids", [[], [5, 6], [5, 6, 7, 8]])
def test_a_count_that_the_token_ids_contradict(ids: list[int]) -> None:
    for dialect in Dialect:
        answer = completion(changed(COMPLETION, "choices", 0, "token_ids", to=ids), dialect)
        assert answer.error is ErrorCode.TOKEN_COUNT
        answer = completion(changed(COMPLETION, "prompt_token_ids", to=[1, 2, *ids, 1]), dialect)
        assert answer.error is ErrorCode.TOKEN_COUNT


@pytest.mark.parametrize("path", [("choices", 0, "token_ids"), ("prompt_token_ids",)])
def test_vllm_must_return_token_ids_and_others_need_not(path: tuple[str | int, ...]) -> None:
    for missing in (None, ...):
        document = changed(COMPLETION, *path, to=missing)
        assert completion(document).error is ErrorCode.BAD_SHAPE
        assert completion(document, Dialect.OPENAI).error is None


@pytest.mark.parametrize(
    "ids", [5, "567", {}, [5, 6, -7], [5, 6, 7.0], [5, 6, True], [5, 6, 2**31]]
)
@pytest.mark.parametrize("path", [("choices", 0, "token_ids"), ("prompt_token_ids",)])
def test_token_ids_of_the_wrong_kind(path: tuple[str | int, ...], ids: object) -> None:
    answer = completion(changed(COMPLETION, *path, to=ids), Dialect.OPENAI)
    assert answer.error is ErrorCode.BAD_SHAPE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("choices",), ...),
        (("choices",), None),
        (("choices",), []),
        (("choices",), {}),
        (("choices",), "x"),
        (("choices", 0), None),
        (("choices", 0), []),
        (("choices", 0, "message"), ...),
        (("choices", 0, "message"), "a b"),
        (("choices", 0, "message", "content"), 5),
        (("choices", 0, "message", "content"), [{"type": "text", "text": "a"}]),
        (("choices", 0, "finish_reason"), ...),
        (("choices", 0, "finish_reason"), None),
    ],
)
def test_a_completion_of_another_shape(path: tuple[str | int, ...], value: object) -> None:
    for dialect in Dialect:
        assert completion(changed(COMPLETION, *path, to=value), dialect).error is (
            ErrorCode.BAD_SHAPE
        )


def test_content_may_be_null() -> None:
    """So it is where a model only calls tools."""
    answer = completion(changed(COMPLETION, "choices", 0, "message", "content", to=None))
    assert (answer.text, answer.error) == ("", None)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.OTHER),
        ("STOP", FinishReason.OTHER),
        (5, FinishReason.OTHER),
        (["stop"], FinishReason.OTHER),
    ],
)
def test_finish_reasons(reason: object, expected: FinishReason) -> None:
    answer = completion(changed(COMPLETION, "choices", 0, "finish_reason", to=reason))
    assert (answer.finish_reason, answer.error) == (expected, None)


def test_half_a_character_becomes_a_question_mark() -> None:
    answer = completion(changed(COMPLETION, "choices", 0, "message", "content", to="a\ud800"))
    assert answer.text == "a?"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Internal Server Error",
        b"{",
        b'{"choices": [}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"\xff" + json.dumps(COMPLETION).encode(),
        json.dumps(COMPLETION).encode("utf-16"),
        json.dumps(COMPLETION).encode() * 2,
        b"1" * 5000,
    ],
)
def test_a_body_that_is_not_json(body: bytes) -> None:
    assert read_completion(body, Dialect.VLLM) == Answer(error=ErrorCode.NOT_JSON)


@pytest.mark.parametrize("document", [*WRONG, {"error": {"message": "no"}}])
def test_a_body_that_is_json_of_something_else(document: object) -> None:
    assert completion(document) == Answer(error=ErrorCode.BAD_SHAPE)


@given(st.binary(max_size=100), DIALECTS)
def test_no_bytes_raise(garbage: bytes, dialect: Dialect) -> None:
    assert read_completion(garbage, dialect).error is not None
    assert read_stream([(0.5, garbage)], dialect).error is not None


@given(JSON, DIALECTS)
def test_no_json_raises(document: object, dialect: Dialect) -> None:
    for answer in (completion(document, dialect), stream(document, dialect=dialect)):
        assert answer.error is not None or answer.completion_tokens is not None


@given(st.sampled_from(PATHS), JSON, DIALECTS)
def test_an_answer_is_whole_or_has_a_code(
    path: tuple[str | int, ...], value: object, dialect: Dialect
) -> None:
    answer = completion(changed(COMPLETION, *path, to=value), dialect)
    if answer.error is None:
        assert answer.prompt_tokens == 2
        assert answer.finish_reason is not None
        assert answer.token_ids is None or answer.completion_tokens == len(answer.token_ids)
        assert dialect is Dialect.OPENAI or answer.token_ids is not None


# Streams


def test_a_good_stream() -> None:
    assert stream(*CHUNKS) == Answer(
        prompt_tokens=2,
        completion_tokens=3,
        finish_reason=FinishReason.LENGTH,
        prompt_token_ids=(1, 2),
        token_ids=(5, 6, 7),
        text="a b",
        chunks=[(2.0, 2), (3.0, 1)],
    )


def test_several_events_may_arrive_at_once_and_one_in_pieces() -> None:
    data = b"".join(map(event, CHUNKS)) + b"data: [DONE]\n\n"
    pieces = [(1.0, data[:150]), (2.0, data[150:-4]), (3.0, data[-4:])]
    answer = read_stream(pieces, Dialect.VLLM)
    assert answer.error is None
    assert answer.chunks == [(2.0, 2), (2.0, 1)]


def test_arrivals_are_rounded_to_a_microsecond() -> None:
    pieces = [(1.23456789, b"".join(map(event, CHUNKS)) + b"data: [DONE]\n\n")]
    assert read_stream(pieces, Dialect.VLLM).chunks == [(1.234568, 2), (1.234568, 1)]


def test_a_stream_without_token_ids_counts_chunks_with_text() -> None:
    plain = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": {"content": None}}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": "b"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    answer = stream(*plain, dialect=Dialect.OPENAI)
    assert (answer.text, answer.token_ids, answer.error) == ("ab", None, None)
    assert answer.chunks == [(2.0, 1), (5.0, 1)]
    assert stream(*plain).error is ErrorCode.BAD_SHAPE


def test_text_without_token_ids_is_no_token_where_ids_are_told() -> None:
    """Text that was held back may come after its tokens."""
    late = {"choices": [{"delta": {"content": "!"}, "token_ids": None}]}
    answer = stream(*CHUNKS[:3], late, CHUNKS[3])
    assert (answer.text, answer.error) == ("a b!", None)
    assert sum(tokens for _, tokens in answer.chunks) == answer.completion_tokens


def test_usage_may_come_with_every_chunk_and_the_last_counts() -> None:
    early = changed(CHUNKS[1], "usage", to={"prompt_tokens": 2, "completion_tokens": 1})
    answer = stream(CHUNKS[0], early, *CHUNKS[2:])
    assert (answer.completion_tokens, answer.error) == (3, None)


def test_usage_may_be_null_until_it_is_told() -> None:
    waiting = changed(CHUNKS[1], "usage", to=None)
    assert stream(CHUNKS[0], waiting, *CHUNKS[2:]).error is None


def test_comments_and_other_fields_are_skipped() -> None:
    pieces = [
        (0.5, b": ping\n\nevent: message\nid: 1\n\n"),
        (1.0, b"".join(map(event, CHUNKS)) + b"data: [DONE]\n\n"),
    ]
    assert read_stream(pieces, Dialect.VLLM).error is None


def test_what_follows_the_end_is_not_read() -> None:
    done = b"data: [DONE]\n\n"
    pieces = [(1.0, b"".join(map(event, CHUNKS)) + done + event({"error": "x"})), (2.0, b"data: {")]
    assert read_stream(pieces, Dialect.VLLM) == read_stream(
        [(1.0, b"".join(map(event, CHUNKS)) + done)], Dialect.VLLM
    )


@pytest.mark.parametrize("end", [b"", b"[DONE] ", b"[done]"])
def test_a_stream_without_its_end(end: bytes) -> None:
    answer = stream(*CHUNKS, end=end)
    assert answer.error is (ErrorCode.NOT_JSON if end else ErrorCode.STREAM_CUT)
    assert (answer.text, answer.token_ids) == ("a b", (5, 6, 7))


def test_a_stream_cut_within_an_event_keeps_what_came_before() -> None:
    data = b"".join(map(event, CHUNKS[:2])) + event(CHUNKS[2])[:-1]
    answer = read_stream([(1.0, data)], Dialect.VLLM)
    assert (answer.error, answer.text) == (ErrorCode.STREAM_CUT, "a")
    assert answer.chunks == [(1.0, 2)]


def test_no_bytes_at_all() -> None:
    assert read_stream([], Dialect.VLLM) == Answer(text="", error=ErrorCode.STREAM_CUT)


def test_an_error_in_the_stream() -> None:
    answer = stream(*CHUNKS[:2], {"error": {"message": "engine died", "code": 500}}, *CHUNKS[2:])
    assert (answer.error, answer.text) == (ErrorCode.STREAM_ERROR, "a")


def test_a_stream_that_never_says_why_it_ended() -> None:
    silent = changed(CHUNKS[2], "choices", 0, "finish_reason", to=None)
    for dialect in Dialect:
        answer = stream(*CHUNKS[:2], silent, CHUNKS[3], dialect=dialect)
        assert answer.error is ErrorCode.BAD_SHAPE


def test_a_stream_without_usage() -> None:
    assert stream(*CHUNKS[:3]).error is ErrorCode.NO_USAGE


def test_a_stream_whose_tokens_do_not_add_up() -> None:
    assert stream(CHUNKS[0], *CHUNKS[2:]).error is ErrorCode.TOKEN_COUNT


@pytest.mark.parametrize("document", [[], "x", 5, None])
def test_an_event_that_is_no_object(document: object) -> None:
    assert stream(*CHUNKS[:2], document, *CHUNKS[2:]).error is ErrorCode.BAD_SHAPE


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"[" * 100_000])
def test_an_event_that_is_no_json(data: bytes) -> None:
    answer = read_stream([(1.0, event(CHUNKS[0]) + b"data: " + data + b"\n\n")], Dialect.VLLM)
    assert answer.error is ErrorCode.NOT_JSON


def test_an_event_without_end_is_given_up() -> None:
    pieces = [(1.0, b"data: ")] + [(2.0, b"x" * 2**20)] * 17
    assert read_stream(pieces, Dialect.VLLM).error is ErrorCode.TOO_LARGE


@given(st.lists(JSON | st.sampled_from(CHUNKS), max_size=6), DIALECTS)
def test_a_stream_is_whole_or_has_a_code(documents: list[object], dialect: Dialect) -> None:
    answer = stream(*documents, dialect=dialect)
    if answer.error is None:
        assert answer.completion_tokens is not None
        assert answer.finish_reason is not None
    if answer.error is None and dialect is Dialect.VLLM:
        assert sum(tokens for _, tokens in answer.chunks) == answer.completion_tokens


def test_a_long_stream_takes_linear_time() -> None:
    """200,000 events: a second or two; copying what came before for each, minutes."""
    tokens = 200_000
    one = event({"choices": [{"delta": {"content": "abcdefgh"}, "token_ids": [1]}]})
    start_s = time.process_time()
    answer = read_stream([(1.0, one)] * tokens, Dialect.VLLM)
    assert (len(answer.token_ids or ()), len(answer.text or "")) == (tokens, 8 * tokens)
    assert time.process_time() - start_s < 30
