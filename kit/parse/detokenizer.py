"""Decodes token ids of byte-level BPE tokenizers, such as those of the Qwen family.

Each token stands for fixed bytes, which the vocabulary spells with one printable character per byte
(Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, and its code). So
decoding, unlike encoding, needs no library.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from kit.errors import SpecError

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes spelled as themselves; the others are spelled U+0100 and up, in order."""

_OTHERS = tuple(byte for byte in range(0x100) if byte not in _PRINTABLE)
_SPELLED = {0x100 + position: byte for position, byte in enumerate(_OTHERS)}
_SPELLED |= dict.fromkeys(_OTHERS, 0x100)  # not in any vocabulary; fails to encode as latin-1

_LONGEST = 4
"""Bytes of the longest UTF-8 character: the last four show whether a text ends in a whole one."""


ID_LIMIT = 2**22
"""Exclusive; the largest vocabularies have about 260,000 tokens."""

Pieces: TypeAlias = tuple[bytes | None, ...]
"""The bytes of each token by its id; None for an unused id."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detokenizer:
    """A vocabulary for decoding.

    Special tokens, which a server leaves out of its text, are empty in `pieces` and have their
    names in `prompt_pieces`; `specials` maps their ids to their names.
    """

    pieces: Pieces
    prompt_pieces: Pieces
    specials: Mapping[int, str]

    def bytes_of(self, token_ids: Sequence[int]) -> bytes | None:
        """Return the bytes of these tokens; None if an id is not in the vocabulary."""
        return _joined(self.pieces, token_ids)

    def text_of(self, token_ids: Sequence[int]) -> str | None:
        """Return the text that vLLM sends for these tokens; None if an id is not in the vocabulary.

        vLLM 0.17 sends pending text once it ends in a whole character, streaming or not
        (`DecodeStream` of the library tokenizers; vllm/v1/engine/detokenizer.py). Last tokens that
        do not complete a character are left out entirely, with any whole characters in them.
        """
        spelled = self.bytes_of(token_ids)
        if spelled is None:
            return None
        end = len(spelled)
        for token_id in reversed(token_ids):
            if not _ends_in_replacement(spelled[max(0, end - _LONGEST) : end]):
                break
            end -= len(self.pieces[token_id] or b"")
        return spelled[:end].decode("utf-8", "replace")

    def prompt_of(self, token_ids: Sequence[int]) -> str | None:
        """Return the text of a prompt's tokens, special tokens by name."""
        spelled = _joined(self.prompt_pieces, token_ids)
        return None if spelled is None else spelled.decode("utf-8", "replace")


def of_vocabulary(pieces: Mapping[int, bytes], specials: Mapping[int, str]) -> Detokenizer:
    """Return the decoder of a vocabulary; raise ValueError for an id out of range."""
    named = {token_id: name.encode() for token_id, name in specials.items()}
    return Detokenizer(
        pieces=_by_id({**pieces, **dict.fromkeys(specials, b"")}),
        prompt_pieces=_by_id({**pieces, **named}),
        specials=specials,
    )


def _by_id(pieces: Mapping[int, bytes]) -> Pieces:
    if pieces and not 0 <= min(pieces) <= max(pieces) < ID_LIMIT:
        raise ValueError(f"a token id is not from 0 to {ID_LIMIT - 1}")
    return tuple(map(pieces.get, range(max(pieces, default=-1) + 1)))


def _joined(pieces: Pieces, token_ids: Sequence[int]) -> bytes | None:
    """Join the pieces of these ids, which are not negative; None if one is not in use."""
    try:
        return b"".join(map(pieces.__getitem__, token_ids))  # type: ignore[arg-type]  # see below
    except (IndexError, TypeError):  # an id beyond the vocabulary; None, of an unused one
        return None


def _ends_in_replacement(tail: bytes) -> bool:
    return tail.decode("utf-8", "replace").endswith("\ufffd")


def parse(data: bytes, name: str) -> Detokenizer:
    """Read a `tokenizer.json`; raise `SpecError` if it is not byte-level BPE."""
    try:
        document = msgspec.json.decode(data)
        if document["decoder"]["type"] != "ByteLevel" or document["model"]["type"] != "BPE":
            raise ValueError("not a byte-level BPE tokenizer")
        added = document["added_tokens"]
        specials = {token["id"]: str(token["content"]) for token in added if token["special"]}
        return of_vocabulary(dict(_pieces(document)), specials)
    except (
        msgspec.MsgspecError,
        RecursionError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ) as error:
        raise SpecError(
            f"cannot use the tokenizer {name}: {error}",
            "expected the tokenizer.json of a model of the Qwen family",
            f"sha256sum {name}, and compare it with the model's repository",
        ) from error


def _pieces(document: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    for token, token_id in document["model"]["vocab"].items():
        yield token_id, token.translate(_SPELLED).encode("latin-1")
    for added in document["added_tokens"]:
        yield added["id"], added["content"].encode()
