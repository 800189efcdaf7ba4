"""The shipped tokenizer and chat template, as an engine uses them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from kit.tools.train_tokenizer import standard_library, train
from kit.twins.vocabulary import TEXT_TOKENS, SpecialToken

TWINS = Path(__file__).parents[3] / "kit" / "twins"
TOKENIZER = Tokenizer.from_file(str(TWINS / "tokenizer.json"))


def render(messages: Sequence[Mapping[str, object]], *, add_generation_prompt: bool) -> str:
    """Render as `transformers.utils.chat_template_utils` does."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TWINS.joinpath("chat_template.jinja").read_text())
    return template.render(messages=messages, add_generation_prompt=add_generation_prompt)


@settings(deadline=None)  # the first example of a busy machine is slow
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text


@settings(deadline=None)  # the first example of a busy machine is slow
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_ascii_text_needs_no_more_tokens_than_characters(text: str) -> None:
    assert len(TOKENIZER.encode(text).ids) <= len(text)


def test_every_byte_can_be_encoded() -> None:
    # The characters of two bytes cover 0x80 to 0xBF and 0xC2 to 0xDF, ASCII the lower half; the
    # rest of the leading bytes are those of three and four. 0xC0, 0xC1, 0xF5 to 0xFF are never
    # in valid UTF-8 but are in the alphabet all the same.
    three_bytes, four_bytes = range(0x800, 0xD800, 0x100), range(0x10000, 0x110000, 0x400)
    for code_point in (*range(0x800), *three_bytes, 0xE000, *four_bytes):
        text = chr(code_point)
        assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text
    one_byte = [token for token in TOKENIZER.get_vocab() if len(token) == 1]
    assert len(one_byte) == 256


def test_ids_are_dense_and_special_ones_come_last() -> None:
    assert sorted(TOKENIZER.get_vocab().values()) == list(range(TEXT_TOKENS + len(SpecialToken)))
    assert min(SpecialToken) == TEXT_TOKENS


@pytest.mark.parametrize("token", SpecialToken, ids=lambda token: token.name)
def test_special_tokens_have_their_ids(token: SpecialToken) -> None:
    assert TOKENIZER.token_to_id(token.text) == token
    assert TOKENIZER.encode(f"a{token.text}b").ids.count(token) == 1
    shown = TOKENIZER.decode([token], skip_special_tokens=True)
    assert shown == ("" if token.is_control else token.text)


def test_code_is_compressed() -> None:
    code = TWINS.joinpath("weights.py").read_text()
    assert len(TOKENIZER.encode(code).ids) < len(code) / 3


def test_training_gives_every_byte_then_merges_then_special_tokens() -> None:
    tokenizer = train(["def the_same(the_same): return the_same"] * 9, text_tokens=270)
    assert tokenizer.get_vocab_size() == 270 + len(SpecialToken)
    assert tokenizer.token_to_id("<|endoftext|>") == 270
    text = "ünseen \x00 text\r\n"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_training_twice_gives_the_same_tokenizer() -> None:
    texts = ["for each in range(10): yield each", "while True: yield each"]
    assert train(texts, 280).to_str() == train(texts, 280).to_str()


def test_training_text_is_the_library_without_what_is_not_its_own(tmp_path: Path) -> None:
    for name in (
        "ast.py",
        "json/decoder.py",
        "test/test_ast.py",
        "unittest/tests/x.py",
        "site-packages/pip/x.py",
        "_sysconfigdata__linux.py",
        "ast.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in standard_library(tmp_path)]
    assert found == ["ast.py", "json/decoder.py"]


def test_chat_template_renders_chatml() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One\n\ntwo "},
    ]
    assert render(messages, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nOne\n\ntwo <|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_chat_template_without_a_generation_prompt_ends_with_the_last_message() -> None:
    messages: list[dict[str, object]] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None},
    ]
    assert render(messages, add_generation_prompt=False) == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n"
    )


def test_chat_template_does_not_interpret_a_message() -> None:
    messages = [{"role": "user", "content": "{{ 7 * 7 }} {% raw %}"}]
    assert "{{ 7 * 7 }} {% raw %}" in render(messages, add_generation_prompt=True)
