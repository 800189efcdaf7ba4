"""Token ids to bytes, against the library whose tokenizers engines use."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from kit.errors import SpecError
from kit.parse import detokenizer
from tests.factory import ROOT

PATH = ROOT / "kit" / "twins" / "tokenizer.json"
DATA = PATH.read_bytes()
OURS = detokenizer.parse(DATA, PATH.name)
THEIRS = Tokenizer.from_file(str(PATH))
SPECIALS = {id: one.content for id, one in THEIRS.get_added_tokens_decoder().items() if one.special}


@given(st.lists(st.integers(0, THEIRS.get_vocab_size() - 1), max_size=80))
def test_ids_are_spelled_as_the_library_spells_them(ids: list[int]) -> None:
    spelled = OURS.bytes_of(ids)
    assert spelled is not None
    assert spelled.decode("utf-8", "replace") == THEIRS.decode(ids, skip_special_tokens=True)


CUT = sorted(
    token_id
    for token_id, piece in enumerate(OURS.pieces)
    if piece is not None and piece.decode("utf-8", "replace").endswith("\ufffd")
)
"""Tokens that end amid a character, or are nothing but a part of one."""

any_ids = st.lists(
    st.integers(0, THEIRS.get_vocab_size() - 1)
    | st.sampled_from(CUT)
    | st.sampled_from(sorted(SPECIALS)),
    max_size=40,
)


@given(any_ids, st.booleans())
def test_a_server_sends_the_text_that_we_say(ids: list[int], after_a_prompt: bool) -> None:
    """As vLLM does it: a stream that knows the prompt, one token a step, joined."""
    prompt = THEIRS.encode("<|im_start|>user\nAsk<|im_end|>\n<|im_start|>assistant\n").ids
    stream = DecodeStream(ids=prompt if after_a_prompt else [], skip_special_tokens=True)
    sent = "".join(stream.step(THEIRS, token_id) or "" for token_id in ids)
    assert OURS.text_of(ids) == sent


def test_the_tokens_held_back_at_the_end_are_left_out_whole() -> None:
    space_and_half = next(one for one in CUT if (OURS.pieces[one] or b"").startswith(b" "))
    told = THEIRS.encode("So it is").ids
    assert OURS.text_of([*told, space_and_half]) == "So it is"
    assert OURS.text_of([space_and_half]) == ""
    assert OURS.text_of([space_and_half, *told]) == " \ufffdSo it is"
    assert OURS.text_of([THEIRS.get_vocab_size()]) is None


def test_a_prompt_is_spelled_with_its_special_tokens() -> None:
    asked = "<|im_start|>user\nAsk<|im_end|>\n"
    assert OURS.prompt_of(THEIRS.encode(asked).ids) == asked
    assert OURS.prompt_of([THEIRS.get_vocab_size()]) is None


@given(st.text(max_size=80))
def test_any_text_comes_back(text: str) -> None:
    assume(not any(name in text for name in SPECIALS.values()))
    assert OURS.bytes_of(THEIRS.encode(text).ids) == text.encode("utf-8", "replace")


@pytest.mark.parametrize("name", SPECIALS.values())
def test_the_name_of_a_special_token_in_a_text_is_that_token(name: str) -> None:
    ids = THEIRS.encode(f"a{name}b").ids
    assert OURS.bytes_of(ids) == b"ab"
    assert OURS.prompt_of(ids) == f"a{name}b"


def test_an_id_beyond_the_vocabulary_is_told() -> None:
    assert OURS.bytes_of([THEIRS.get_vocab_size()]) is None
    assert OURS.bytes_of([]) == b""


@pytest.mark.parametrize("ids", [[1], [1, 1], [0, 1, 2], [3], [0, 3]])
def test_an_id_in_a_gap_or_beyond_the_end_is_told(ids: list[int]) -> None:
    gapped = detokenizer.of_vocabulary({0: b"a", 2: b"c"}, {})
    assert gapped.bytes_of(ids) is None
    assert gapped.text_of(ids) is None
    assert gapped.prompt_of(ids) is None
    assert (gapped.bytes_of([2]), gapped.bytes_of([0, 2])) == (b"c", b"ac")


BPE = b'{"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":%s},"added_tokens":[]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        DATA.replace(b'"ByteLevel"', b'"Metaspace"'),
        BPE % b'{" ":1}',
        BPE % '{"\u20ac":1}'.encode(),
        BPE % b"[]",
        BPE % b'{"a":-1}',
        BPE % b'{"a":1000000000000}',
    ],
)
def test_what_is_no_byte_level_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"cannot use the tokenizer x\.json"):
        detokenizer.parse(data, "x.json")
