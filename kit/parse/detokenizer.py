"""From token ids to text, for byte-level BPE tokenizers such as those of the Qwen family.

Pure, and decoding only: a token stands for fixed bytes, spelled in the vocabulary with one
printable character a byte (Radford et al., "Language Models are Unsupervised Multitask Learners",
2019, and the code published with it). No library is needed to hold a text against its ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec

from kit.errors import SpecError

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
"""Bytes that stand for themselves; the others are U+0100 and up, in their order."""

_OTHERS = tuple(byte for byte in range(0x100) if byte not in _PRINTABLE)
_SPELLED = {0x100 + position: byte for position, byte in enumerate(_OTHERS)}
_SPELLED |= dict.fromkeys(_OTHERS, 0x100)  # no character of a vocabulary, and in no latin-1

_LONGEST = 4
"""Bytes of the longest character in UTF-8. Each byte tells whether it begins one, so the end of
a text follows from its last four bytes."""


ID_LIMIT = 2**22
"""Ids of tokens are below; the largest vocabularies have some 260,000."""

Pieces: TypeAlias = tuple[bytes | None, ...]
"""What each token id stands for, None for an id that no token has."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detokenizer:
    """`pieces` are the bytes of each token; empty for a special one, which a server leaves out.

    In `prompt_pieces` the text of a special token is its name.
    """

    pieces: Pieces
    prompt_pieces: Pieces

    def bytes_of(self, token_ids: Sequence[int]) -> bytes | None:
        """Return the bytes that these tokens stand for; None if an id is not in the vocabulary."""
        return _joined(self.pieces, token_ids)

    def text_of(self, token_ids: Sequence[int]) -> str | None:
        """Return the text that a server sends for these tokens; None for an id that is not there.

        vLLM 0.17 sends the text of a token when what it has not sent yet ends in a whole character,
        streaming or not (`DecodeStream` of the library tokenizers; vllm/v1/engine/detokenizer.py).
        Tokens at the end that never come to that are left out whole, even of a space and half a
        character the space.
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
        """Return these tokens as they stood in a prompt, special ones by their names."""
        spelled = _joined(self.prompt_pieces, token_ids)
        return None if spelled is None else spelled.decode("utf-8", "replace")


def of_vocabulary(pieces: Mapping[int, bytes], specials: Mapping[int, str]) -> Detokenizer:
    """Return what spells these tokens by their ids; raise ValueError for an id out of range."""
    named = {token_id: name.encode() for token_id, name in specials.items()}
    return Detokenizer(
        pieces=_by_id({**pieces, **dict.fromkeys(specials, b"")}),
        prompt_pieces=_by_id({**pieces, **named}),
    )


def _by_id(pieces: Mapping[int, bytes]) -> Pieces:
    if pieces and not 0 <= min(pieces) <= max(pieces) < ID_LIMIT:
        raise ValueError(f"a token's id is not from 0 to {ID_LIMIT - 1}")
    return tuple(map(pieces.get, range(max(pieces, default=-1) + 1)))


def _joined(pieces: Pieces, token_ids: Sequence[int]) -> bytes | None:
    """Join the pieces of these ids, none of which is negative; None if one is not there."""
    try:
        match token_ids:
            case ():
                return b""
            case (one,):
                return pieces[one]
            case _:
                return b"".join(itemgetter(*token_ids)(pieces))
    except (IndexError, TypeError):  # beyond the vocabulary, or a gap in it
        return None


def _ends_in_replacement(tail: bytes) -> bool:
    return tail.decode("utf-8", "replace").endswith("\ufffd")


def parse(data: bytes, name: str) -> Detokenizer:
    """Read a `tokenizer.json`; `SpecError` for one that is not byte-level BPE."""
    try:
        document = msgspec.json.decode(data)
        if document["decoder"]["type"] != "ByteLevel" or document["model"]["type"] != "BPE":
            raise ValueError("its decoder is not that of byte-level BPE")
        added = document["added_tokens"]
        specials = {one["id"]: str(one["content"]) for one in added if one["special"]}
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
            "sha256sum, and compare it with the model's repository",
        ) from error


def _pieces(document: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    for token, token_id in document["model"]["vocab"].items():
        yield token_id, token.translate(_SPELLED).encode("latin-1")
    for added in document["added_tokens"]:
        yield added["id"], added["content"].encode()
