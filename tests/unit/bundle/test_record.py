"""Records: what is absent stays absent, and the names in the file are the documented ones."""

import msgspec
import pytest

from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.format import canonical
from kit.plan.schedule import Phase

BARE = Record(phase=Phase.WARMUP, pass_number=0, prompt_id="impl", seed=1, sent_s=0.0, wall_s=1.5)
WHOLE = Record(
    phase=Phase.STREAM,
    pass_number=1,
    prompt_id="impl",
    seed=1,
    sent_s=0.0,
    wall_s=1.5,
    prompt_tokens=2,
    cached_tokens=0,
    completion_tokens=3,
    finish_reason=FinishReason.LENGTH,
    prompt_token_ids=(1, 2),
    token_ids=(3, 4, 5),
    text="",
    chunks=((0.5, 2), (1.0, 1)),
    error=ErrorCode.TOKEN_COUNT,
)


def test_what_was_not_observed_is_not_in_the_file() -> None:
    line = msgspec.json.decode(canonical.encode(BARE))
    assert set(line) == {"phase", "pass", "prompt_id", "seed", "sent_s", "wall_s"}


def test_a_zero_or_an_empty_text_that_was_observed_is_in_the_file() -> None:
    line = msgspec.json.decode(canonical.encode(WHOLE))
    assert line["cached_tokens"] == 0
    assert line["text"] == ""


def test_the_names_in_the_file_are_the_documented_ones() -> None:
    line = msgspec.json.decode(canonical.encode(WHOLE))
    assert line == {
        "phase": "stream",
        "pass": 1,
        "prompt_id": "impl",
        "seed": 1,
        "sent_s": 0.0,
        "wall_s": 1.5,
        "prompt_tokens": 2,
        "cached_tokens": 0,
        "completion_tokens": 3,
        "finish_reason": "length",
        "prompt_token_ids": [1, 2],
        "token_ids": [3, 4, 5],
        "text": "",
        "chunks": [[0.5, 2], [1.0, 1]],
        "error": "token-count",
    }


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        BARE.wall_s = 0.5  # type: ignore[misc]


def test_error_codes_hold_nothing_but_a_code() -> None:
    assert all(code.value.replace("-", "").isalnum() for code in ErrorCode)
    assert len({code.value for code in ErrorCode}) == len(ErrorCode)
