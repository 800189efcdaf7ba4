"""The suites in `prompts/`: complete, alike, and without a shared beginning."""

from collections.abc import Sequence
from itertools import combinations, takewhile
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from kit.plan.suite import Suite, SuiteMode, parse_suite

REPOSITORY = Path(__file__).parents[3]
FOLDER = REPOSITORY / "prompts" / "single"
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
TOKENIZER = Tokenizer.from_file(str(REPOSITORY / "kit" / "twins" / "tokenizer.json"))

CACHE_BLOCK_TOKENS = 128
"""The block size of vLLM's prefix cache on CPU."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    return parse_suite(FILES, "prompts/single")


def tokens(text: str) -> list[int]:
    return TOKENIZER.encode(text).ids


def shared_start(one: Sequence[object], other: Sequence[object]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def test_suite_is_the_articles_five_tasks_in_order(suite: Suite) -> None:
    assert suite.id == "single"
    assert suite.mode is SuiteMode.SERIAL
    assert [prompt.id for prompt in suite.prompts] == [
        "impl",
        "debug",
        "test",
        "refactor",
        "design",
    ]


def test_every_file_is_used(suite: Suite) -> None:
    used = {f"{prompt.id}.md" for prompt in suite.prompts} | {"suite.toml", "system.md"}
    assert used == set(FILES)


def test_prompts_fill_two_cache_blocks(suite: Suite) -> None:
    assert all(len(tokens(prompt.text)) > 2 * CACHE_BLOCK_TOKENS for prompt in suite.prompts)


def test_prompts_are_of_like_length(suite: Suite) -> None:
    lengths = [len(tokens(prompt.text)) for prompt in suite.prompts]
    assert max(lengths) <= 1.15 * min(lengths)


def test_no_two_prompts_share_a_cache_block(suite: Suite) -> None:
    """The system message is common to all, and must not reach the end of the first block."""
    whole = [tokens(f"{suite.system}\n{prompt.text}") for prompt in suite.prompts]
    assert max(shared_start(a, b) for a, b in combinations(whole, 2)) < CACHE_BLOCK_TOKENS
    texts = [prompt.text for prompt in suite.prompts]
    assert max(shared_start(a, b) for a, b in combinations(texts, 2)) < 16  # characters


def test_prompts_are_plain_text(suite: Suite) -> None:
    for name, data in FILES.items():
        assert data.isascii(), name
        assert data == data.rstrip() + b"\n", name
        assert set(b"\r\t").isdisjoint(data), name
        assert not data.startswith(b"---"), name
    for prompt in suite.prompts:
        assert prompt.text == prompt.text.strip()
        assert prompt.text.count("```") % 2 == 0


def test_the_function_to_debug_has_the_bugs_that_the_prompt_tells_of(suite: Suite) -> None:
    text = next(prompt.text for prompt in suite.prompts if prompt.id == "debug")
    namespace: dict[str, object] = {}
    exec(text.split("```python\n")[1].split("```")[0], namespace)
    merge_sort = namespace["merge_sort"]
    assert callable(merge_sort)
    assert merge_sort([1, 2]) == [1]
    assert merge_sort([2, 1]) == [1, 1]
    with pytest.raises(RecursionError):
        merge_sort([])
