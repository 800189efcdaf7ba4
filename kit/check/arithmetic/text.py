"""The arithmetic tier's look at texts: an answer is what its token ids say, a prompt was asked.

Who writes another text beside real ids, or other ids beside a real text, is found out wherever the
model's tokenizer is at hand. So is who asks for something else, or counts what says nothing.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from kit.bundle.record import FinishReason, Record
from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, unchecked, warn
from kit.parse.detokenizer import Detokenizer
from kit.plan.models import HubModel, Model, Twin

TOKENIZER = "tokenizer.json"

_INCOMPLETE = "\ufffd"
"""Stands for the bytes of a character that never came to its end, where a server sends them."""

_END_OF_TURN = "<|im_end|>"
"""What ends an answer of every model of the Qwen family: the engine generates nothing after it."""


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield whether each text, of a response or of a prompt, is that of its token ids."""
    yield from findings(Code.ARITHMETIC_TEXT, _texts(evidence, catalog))


def _texts(evidence: Evidence, catalog: Catalog) -> Iterator[Problem]:
    counted = [record for record in evidence.answered if record.token_ids is not None]
    if len(counted) < len(evidence.answered):
        missing = len(evidence.answered) - len(counted)
        yield unchecked(BUNDLE, f"{missing} responses have no token ids", "token ids")
    twin = _twin(evidence, catalog.models)
    yield from _stops(evidence, twin)
    digest = _digest(evidence, catalog.models)
    tokenizer = None if digest is None else catalog.tokenizers.get(digest)
    if tokenizer is None:
        why = "its digest is not known" if digest is None else f"sha256 {digest}"
        yield unchecked(BUNDLE, f"the model's tokenizer is not at hand: {why}", TOKENIZER)
        return
    for record in counted:
        yield from _text(record, tokenizer)
        yield from _goes_on(record, tokenizer, twin)
    yield from _prompts(evidence, tokenizer)


def _digest(evidence: Evidence, models: Mapping[str, Model]) -> str | None:
    """Return the SHA-256 of the served model's tokenizer: as listed, or as pinned."""
    if not evidence.is_own_engine or evidence.document.plan.rehearsal:
        return None
    listed = {file.name: file.sha256 for file in evidence.document.engine.model_files or ()}
    return listed.get(TOKENIZER) or _pinned(models.get(evidence.document.plan.cell.model))


def _pinned(model: Model | None) -> str | None:
    match model:
        case Twin():
            return model.files.get(TOKENIZER)
        case HubModel():
            return next((file.sha256 for file in model.files if file.name == TOKENIZER), None)
        case None:
            return None


def _twin(evidence: Evidence, models: Mapping[str, Model]) -> Twin | None:
    """Return the twin that was served, if it is one."""
    if not evidence.is_own_engine or evidence.document.plan.rehearsal:
        return None
    model = models.get(evidence.document.plan.cell.model)
    return model if isinstance(model, Twin) else None


def _stops(evidence: Evidence, twin: Twin | None) -> Iterator[Problem]:
    """Hold a twin to its weights, by which no response ends by itself (`kit.twins.weights`)."""
    if twin is None or twin.stop_every is not None:
        return
    for record in evidence.answered:
        if record.finish_reason is FinishReason.STOP:
            yield fail(subject_of(record), "it ended by itself", "a twin spends its whole budget")


def _text(record: Record, tokenizer: Detokenizer) -> Iterator[Problem]:
    """Hold a text against its ids; one may end amid a character, and lacks then what is held back.

    A server that sends the bytes of such a character all the same writes U+FFFD for them.
    """
    ids = record.token_ids or ()
    spelled = tokenizer.bytes_of(ids)
    if spelled is None:
        yield fail(subject_of(record), "a token id that the tokenizer has not", "its own ids")
        return
    said, told = spelled.decode("utf-8", "replace").rstrip(_INCOMPLETE), record.text or ""
    if told.rstrip(_INCOMPLETE) != said and told != tokenizer.text_of(ids):
        pairs = enumerate(zip(said, told, strict=False))
        first = next((position for position, (one, other) in pairs if one != other), len(said))
        around = slice(max(0, first - 10), first + 30)
        yield fail(subject_of(record), clip(told[around]), clip(f"{said[around]}, by its ids"))


def _goes_on(record: Record, tokenizer: Detokenizer, twin: Twin | None) -> Iterator[Problem]:
    """Hold that nothing comes after the end of an answer: such tokens count, and say nothing.

    A twin generates no special token at all. Another model may, though hardly ever: only the one
    that ends a turn is known to end its answers too.
    """
    names, ids = tokenizer.specials, (record.token_ids or ())[:-1]
    if names.keys().isdisjoint(ids):
        return
    inner = {names[one] for one in ids if one in names}
    subject, observed = subject_of(record), clip(f"amid its tokens: {', '.join(sorted(inner))}")
    if twin is not None or _END_OF_TURN in inner:
        yield fail(subject, observed, "an answer ends there")
    else:
        yield warn(subject, observed, "tokens of text, up to the last")


def _prompts(evidence: Evidence, tokenizer: Detokenizer) -> Iterator[Problem]:
    """Hold that system message and prompt are in what was asked; a chat template wraps them.

    It may strip them, and a tokenizer may compose characters first (NFC, as Qwen's do).
    """
    plan = evidence.document.plan
    texts = {prompt.id: prompt.text for prompt in plan.prompts}
    last: dict[str, tuple[int, ...]] = {}
    for record in evidence.answered:
        ids = record.prompt_token_ids
        if ids is None or record.prompt_id not in texts or last.get(record.prompt_id) == ids:
            continue
        last[record.prompt_id] = ids
        asked = tokenizer.prompt_of(ids)
        if asked is None:
            yield fail(subject_of(record), "a prompt's id that the tokenizer has not", "its own")
        elif not _in_order(asked, (plan.system, texts[record.prompt_id])):
            observed = clip(f"asked, by its ids: {asked}")
            yield fail(subject_of(record), observed, "the plan's system message and prompt")


def _in_order(text: str, parts: Sequence[str]) -> bool:
    """Tell whether all parts are in a text, each after the one before."""
    text, position = unicodedata.normalize("NFC", text), 0
    for part in (unicodedata.normalize("NFC", part.strip()) for part in parts):
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True
