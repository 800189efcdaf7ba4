"""A response's text must be what its token ids say, and a prompt's token ids must ask it.

Edited text beside real ids, or the other way round, shows where the model's tokenizer is at hand:
always for the twins, with `--tokenizer` for a model of the hub.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from kit.bundle.record import Record
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked
from kit.check.evidence import Evidence, pinned_digests, subject_of
from kit.parse.detokenizer import Detokenizer

TOKENIZER = "tokenizer.json"

_INCOMPLETE = "\ufffd"
"""Stands for the bytes of an unfinished character, where a server sends them."""


def _texts(evidence: Evidence) -> Iterator[Problem]:
    with_ids = [record for record in evidence.answered if record.token_ids is not None]
    if len(with_ids) < len(evidence.answered):
        missing = len(evidence.answered) - len(with_ids)
        yield unchecked(BUNDLE, f"{missing} responses have no token ids", "token ids")
    digest = _tokenizer_digest(evidence)
    tokenizer = None if digest is None else evidence.catalog.tokenizers.get(digest)
    if tokenizer is None:
        why = "its digest is not known" if digest is None else f"sha256 {digest}"
        yield unchecked(BUNDLE, f"the model's tokenizer is not at hand: {why}", TOKENIZER)
        return
    for record in with_ids:
        yield from _text(record, tokenizer)
    yield from _prompts(evidence, tokenizer)


def _tokenizer_digest(evidence: Evidence) -> str | None:
    """Return the SHA-256 of the served model's tokenizer: as listed, or as pinned."""
    if not evidence.is_own_engine or evidence.document.plan.rehearsal:
        return None
    listed = {file.name: file.sha256 for file in evidence.document.engine.model_files or ()}
    return listed.get(TOKENIZER) or pinned_digests(evidence.model).get(TOKENIZER)


def _text(record: Record, tokenizer: Detokenizer) -> Iterator[Problem]:
    """Compare a text with its ids; a last character that is unfinished may be missing or U+FFFD."""
    ids, text = record.token_ids or (), record.text or ""
    spelled = tokenizer.bytes_of(ids)
    if spelled is None:
        yield fail(subject_of(record), "a token id that the tokenizer does not have", "its own ids")
        return
    expected = spelled.decode("utf-8", "replace").rstrip(_INCOMPLETE)
    if text.rstrip(_INCOMPLETE) != expected and text != tokenizer.text_of(ids):
        pairs = enumerate(zip(expected, text, strict=False))
        first = next((position for position, (a, b) in pairs if a != b), len(expected))
        around = slice(max(0, first - 10), first + 30)
        yield fail(subject_of(record), text[around], f"{expected[around]}, by its token ids")


def _prompts(evidence: Evidence, tokenizer: Detokenizer) -> Iterator[Problem]:
    """Find system message and prompt in what was asked; a chat template may strip them."""
    plan = evidence.document.plan
    texts = {prompt.id: prompt.text for prompt in plan.prompts}
    for prompt_id, ids in {
        (record.prompt_id, record.prompt_token_ids): None for record in evidence.answered
    }:
        if ids is None or prompt_id not in texts:
            continue
        asked = tokenizer.prompt_of(ids)
        if asked is None:
            yield fail(prompt_id, "a prompt id that the tokenizer does not have", "its own")
        elif not _in_order(asked, (plan.system, texts[prompt_id])):
            observed = f"asked, by its token ids: {asked}"
            yield fail(prompt_id, observed, "the plan's system message and prompt")


def _in_order(text: str, parts: Sequence[str]) -> bool:
    """Tell whether all parts are in a text, each after the one before.

    A tokenizer may compose characters (NFC, as Qwen's does).
    """
    text, position = unicodedata.normalize("NFC", text), 0
    for part in (unicodedata.normalize("NFC", part.strip()) for part in parts):
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="arithmetic-text",
        holds="token ids decode to the response's text, and prompt token ids to the planned prompt",
        hint="ask for the original; for a model of the hub give its tokenizer with --tokenizer",
        look=_texts,
    ),
)
