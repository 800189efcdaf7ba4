"""Trains the twins' `tokenizer.json`: a byte-level BPE on the Python standard library.

    python -m kit.tools.train_tokenizer

It was run once, with CPython 3.13.0 and `tokenizers` 0.23.3, and its result is checked in: another
tokenizer would make another twin. Training texts are all `.py` files of the interpreter's standard
library, except tests, IDLE, installed packages and files written by its build: code and English
comments, as the prompts have. CPython is under the PSF License Version 2; the tokenizer contains
none of its files, only a list of frequent byte sequences.

There is no normaliser and the alphabet is all 256 bytes, so every text survives encoding and
decoding.
"""

import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from kit.twins.vocabulary import TEXT_TOKENS, SpecialToken

_LEFT_OUT = frozenset({"site-packages", "test", "tests", "idlelib"})
_WRITTEN_BY_BUILD = "_sysconfigdata"
"""Prefix of a module with compiler flags and paths, which differs on every machine."""


def train(texts: Iterable[str], text_tokens: int) -> Tokenizer:
    """Return a tokenizer of `text_tokens` (256 or more) learnt entries and the special tokens.

    The special tokens get the ids after the last entry, in the order of `SpecialToken`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=text_tokens,
        special_tokens=[],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    for token in SpecialToken:
        added = AddedToken(token.text, special=token.is_control, normalized=False)
        if token.is_control:
            tokenizer.add_special_tokens([added])
        else:
            tokenizer.add_tokens([added])
    return tokenizer


def standard_library(root: Path) -> Iterator[Path]:
    """Yield the training files under `root`, in a fixed order."""
    for path in sorted(root.rglob("*.py")):
        left_out = not _LEFT_OUT.isdisjoint(path.relative_to(root).parts)
        if not left_out and not path.name.startswith(_WRITTEN_BY_BUILD):
            yield path


def main() -> None:
    """Write `tokenizer.json` beside this module."""
    root = Path(sysconfig.get_path("stdlib"))
    texts = (path.read_text("utf-8", "replace") for path in standard_library(root))
    train(texts, TEXT_TOKENS).save(
        str(Path(__file__).parents[1] / "twins" / "tokenizer.json"), pretty=False
    )


if __name__ == "__main__":
    main()
