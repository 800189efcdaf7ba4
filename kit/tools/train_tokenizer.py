"""Make `tokenizer.json`: a byte-level BPE trained on the Python standard library.

Run once, with CPython 3.13.0 and `tokenizers` 0.23.3 (a development dependency only):

    python -m kit.tools.train_tokenizer

The result is checked in; a twin is only the same twin with the same tokenizer, so it is never
made on a user's machine. Training text is every `.py` file of the running interpreter's standard
library except its tests, IDLE, what pip installed, and what the build of the interpreter wrote.
CPython is under the PSF License Version 2; the tokenizer holds none of its files, only a list of
short byte sequences ranked by how often they occur there. Code and English comments are what the
prompts of this project are made of, hence the choice.

There is no normaliser and the alphabet is all 256 bytes: any text can be encoded, and decoding
gives it back unchanged.
"""

import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from kit.twins.vocabulary import TEXT_TOKENS, SpecialToken

_LEFT_OUT = frozenset({"site-packages", "test", "tests", "idlelib"})
_WRITTEN_BY_BUILD = "_sysconfigdata"
"""Prefix of the module that holds compiler flags and paths: other bytes on every machine."""


def train(texts: Iterable[str], text_tokens: int) -> Tokenizer:
    """Return a tokenizer of `text_tokens` entries learnt from `texts`, and the special tokens.

    `text_tokens` is at least 256, one for each byte. The special tokens get the ids after the
    last entry, in the order of `SpecialToken`.
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
    """Yield the source files under `root` that the tokenizer learns from, in a fixed order."""
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
