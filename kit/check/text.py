"""The arithmetic tier's look at the text of responses: it is what their token ids say.

Who writes another text beside real ids, or other ids beside a real text, is found out wherever the
model's tokenizer is at hand.
"""

from collections.abc import Iterator, Mapping

from kit.check.codes import Code
from kit.check.evidence import Evidence, Shipped, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, unchecked
from kit.detokenizer import Detokenizer
from kit.models import HubModel, Model, Twin
from kit.record import Record

TOKENIZER = "tokenizer.json"

_INCOMPLETE = "\ufffd"
"""A response may end amid a character: vLLM then holds back the bytes that are there."""


def check(evidence: Evidence, shipped: Shipped) -> Iterator[Finding]:
    """Yield whether each response's text is that of its token ids."""
    yield from findings(Code.ARITHMETIC_TEXT, _texts(evidence, shipped))


def _texts(evidence: Evidence, shipped: Shipped) -> Iterator[Problem]:
    counted = [record for record in evidence.answered if record.token_ids is not None]
    if len(counted) < len(evidence.answered):
        missing = len(evidence.answered) - len(counted)
        yield unchecked(BUNDLE, f"{missing} responses have no token ids", "token ids")
    digest = _digest(evidence, shipped.models)
    tokenizer = None if digest is None else shipped.tokenizers.get(digest)
    if tokenizer is None:
        why = "its digest is not known" if digest is None else f"sha256 {digest}"
        yield unchecked(BUNDLE, f"the model's tokenizer is not at hand: {why}", TOKENIZER)
        return
    for record in counted:
        yield from _text(record, tokenizer)


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


def _text(record: Record, tokenizer: Detokenizer) -> Iterator[Problem]:
    spelled = tokenizer.bytes_of(record.token_ids or ())
    if spelled is None:
        yield fail(subject_of(record), "a token id that the tokenizer has not", "its own ids")
        return
    said, told = spelled.decode("utf-8", "replace").rstrip(_INCOMPLETE), record.text or ""
    if said != told.rstrip(_INCOMPLETE):
        pairs = enumerate(zip(said, told, strict=False))
        first = next((position for position, (one, other) in pairs if one != other), len(said))
        around = slice(max(0, first - 10), first + 30)
        yield fail(subject_of(record), clip(told[around]), clip(f"{said[around]}, by its ids"))
