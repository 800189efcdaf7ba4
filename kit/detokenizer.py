"""From token ids to text, for byte-level BPE tokenizers such as those of the Qwen family.

Pure, and decoding only: a token stands for fixed bytes, spelled in the vocabulary with one
printable character a byte (Radford et al., "Language Models are Unsupervised Multitask Learners",
2019, and the code published with it). No library is needed to hold a text against its ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kit.errors import SpecError

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that stand for themselves; the others are U+0100 and up, in their order."""

_OTHERS = tuple(byte for byte in range(0x100) if byte not in _PRINTABLE)
_SPELLED = {0x100 + position: byte for position, byte in enumerate(_OTHERS)}
_SPELLED |= dict.fromkeys(_OTHERS, 0x100)  # no character of a vocabulary, and in no latin-1


@dataclass(frozen=True, kw_only=True, slots=True)
class Detokenizer:
    """`pieces` maps a token id to its bytes; empty for one that a server leaves out of the text."""

    pieces: Mapping[int, bytes]

    def bytes_of(self, token_ids: Sequence[int]) -> bytes | None:
        """Return the bytes that these tokens stand for; None if an id is not in the vocabulary."""
        try:
            return b"".join(map(self.pieces.__getitem__, token_ids))
        except KeyError:
            return None


def parse(data: bytes, name: str) -> Detokenizer:
    """Read a `tokenizer.json`; `SpecError` for one that is not byte-level BPE."""
    try:
        document = msgspec.json.decode(data)
        if document["decoder"]["type"] != "ByteLevel" or document["model"]["type"] != "BPE":
            raise ValueError("its decoder is not that of byte-level BPE")
        return Detokenizer(pieces=dict(_pieces(document)))
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise SpecError(
            f"cannot use the tokenizer {name}: {error}",
            "expected the tokenizer.json of a model of the Qwen family",
            "sha256sum, and compare it with the model's repository",
        ) from error


def _pieces(document: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    for token, token_id in document["model"]["vocab"].items():
        yield token_id, token.translate(_SPELLED).encode("latin-1")
    for added in document["added_tokens"]:
        yield added["id"], b"" if added["special"] else added["content"].encode()
