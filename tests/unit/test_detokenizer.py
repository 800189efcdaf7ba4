"""Token ids to bytes, against the library whose tokenizers engines use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from kit import detokenizer
from kit.errors import SpecError
from tests.factory import ROOT

PATH = ROOT / "kit" / "twins" / "tokenizer.json"
DATA = PATH.read_bytes()
OURS = detokenizer.parse(DATA, PATH.name)
THEIRS = Tokenizer.from_file(str(PATH))


@given(st.lists(st.integers(0, THEIRS.get_vocab_size() - 1), max_size=80))
def test_ids_are_spelled_as_the_library_spells_them(ids: list[int]) -> None:
    spelled = OURS.bytes_of(ids)
    assert spelled is not None
    assert spelled.decode("utf-8", "replace") == THEIRS.decode(ids, skip_special_tokens=True)


@given(st.text(max_size=80))
def test_any_text_comes_back(text: str) -> None:
    assert OURS.bytes_of(THEIRS.encode(text).ids) == text.encode("utf-8", "replace")


def test_an_id_beyond_the_vocabulary_is_told() -> None:
    assert OURS.bytes_of([THEIRS.get_vocab_size()]) is None
    assert OURS.bytes_of([]) == b""


BPE = b'{"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":%s},"added_tokens":[]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        DATA.replace(b'"ByteLevel"', b'"Metaspace"'),
        BPE % b'{" ":1}',
        BPE % '{"\u20ac":1}'.encode(),
        BPE % b"[]",
    ],
)
def test_what_is_no_byte_level_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"cannot use the tokenizer x\.json"):
        detokenizer.parse(data, "x.json")
