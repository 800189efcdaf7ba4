"""Cases that tamper with the responses: token ids, texts, counts and why each ended."""

from msgspec.structs import replace

from kit.bundle.record import FinishReason, Record
from tests.cases.case import edit, forged, group
from tests.cases.runs import CPU, CPU_TWO_RANKS, ENDPOINT, OPENAI, PCIE
from tests.edits.document import set_absent, set_plan
from tests.edits.records import copy_fields, each_record, edit_record, set_records
from tests.factory import change_record

FIRST_PASS_INTO_SECOND = ((3, 6), (4, 7), (5, 8))


def with_ids(record: Record, ids: tuple[int, ...]) -> Record:
    """Return a record with other token ids; count and text stay."""
    return replace(record, token_ids=ids)


def shortened(record: Record, tokens: int, **fields: object) -> Record:
    """Return a record that keeps its first token ids, and the count to match."""
    ids = (record.token_ids or ())[:tokens]
    return replace(record, completion_tokens=tokens, token_ids=ids, **fields)


def edited_text(record: Record) -> Record:
    """Return a record with another text beside the same token ids."""
    return replace(record, text=(record.text or "").replace("1", "2", 1) + "!")


def other_first_id(record: Record) -> Record:
    """Return a record with another first token id beside the same text."""
    first, *rest = record.token_ids or ()
    return with_ids(record, ((first + 1) % 1000, *rest))


def other_last_id(record: Record, last: int) -> Record:
    """Return a record with another last token id beside the same text."""
    return with_ids(record, (*(record.token_ids or ())[:-1], last))


def one_more_token(record: Record) -> Record:
    """Return a record with one token more than the plan allows."""
    return replace(record, completion_tokens=9, token_ids=(*(record.token_ids or ()), 1))


def eight_times_the_tokens(record: Record) -> Record:
    """Return a record whose tokens, ids and chunks all agree on eight times as many tokens."""
    ids = (record.token_ids or ()) * 8
    chunks = tuple((at_s, tokens * 8) for at_s, tokens in record.chunks or ())
    return replace(
        record,
        token_ids=ids,
        completion_tokens=len(ids),
        chunks=None if record.chunks is None else chunks,
        finish_reason=FinishReason.STOP,
    )


ANSWERS = group(
    "Responses: token ids, texts, counts, reasons to finish",
    forged("The text of one response is edited beside the same token ids", "arithmetic-text",
           edit(edit_record, 4, edited_text)),
    forged("A token id of one response is changed beside the same text", "arithmetic-text",
           edit(edit_record, 4, other_first_id)),
    forged("One response ends in a token id that the tokenizer does not have", "arithmetic-text",
           edit(edit_record, 4, lambda record: other_last_id(record, 5000))),
    forged("Every response of a twin, which never ends a text, has finish reason `stop`",
           "arithmetic-server-counter",
           edit(set_records, finish_reason=FinishReason.STOP)),
    forged("One response has fewer completion tokens than token ids",
           "arithmetic-completion-tokens arithmetic-server-counter",
           edit(change_record, 4, completion_tokens=7)),
    forged("One response is cut after six tokens: ids, count and finish reason agree",
           "arithmetic-server-counter",
           edit(edit_record, 4,
                lambda record: shortened(record, 6, finish_reason=FinishReason.STOP))),
    forged("All responses of an endpoint have eight times the tokens: ids and chunks agree",
           "arithmetic-server-counter",
           edit(each_record, eight_times_the_tokens), edit(set_plan, "sampling.max_tokens", 4096),
           runs=(ENDPOINT,)),
    forged("One response of `max_tokens` tokens has finish reason `stop`",
           "arithmetic-server-counter",
           edit(change_record, 4, finish_reason=FinishReason.STOP)),
    forged("One response is empty", "protocol-output-length",
           edit(edit_record, 4,
                lambda record: shortened(record, 0, text="", finish_reason=FinishReason.STOP))),
    forged("One response has a token more than `max_tokens` allows", "protocol-output-length",
           edit(edit_record, 4, one_more_token)),
    forged("One response has finish reason `length` before `max_tokens` is reached",
           "protocol-output-length",
           edit(edit_record, 4, lambda record: shortened(record, 5))),
    forged("Token ids are removed from all records and declared absent", "protocol-evidence",
           edit(set_records, token_ids=None, prompt_token_ids=None),
           edit(set_absent, "token_ids", "not returned")),
    forged("Token ids are declared absent, but the records have them", "protocol-evidence",
           edit(set_absent, "token_ids")),
    forged("A token id of one response is negative", "schema-arrays",
           edit(edit_record, 4, lambda record: other_last_id(record, -1))),
    forged("One response has no count of completion tokens", "schema-answer",
           edit(change_record, 4, completion_tokens=None)),
    forged("No response has a text", "schema-answer",
           edit(set_records, text=None), runs=(CPU, OPENAI)),
    forged("The second pass has the first one's times, token ids and texts, with its own seeds",
           "arithmetic-repeats protocol-copies",
           edit(copy_fields, FIRST_PASS_INTO_SECOND, "wall_s", "token_ids", "text"),
           runs=(CPU, PCIE)),
    forged("The second pass has the first one's token ids and texts", "protocol-copies",
           edit(copy_fields, FIRST_PASS_INTO_SECOND, "token_ids", "text"), runs=(CPU_TWO_RANKS,)),
    forged("The third pass has token ids and texts of the first and of the second",
           "protocol-copies",
           edit(copy_fields, ((3, 9), (7, 10), (8, 11)), "token_ids", "text")),
)  # fmt: skip
