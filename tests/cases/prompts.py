"""Cases that tamper with the prompts in the records, and with what of them was cached."""

from msgspec.structs import replace

from kit.bundle.record import Record
from kit.plan.plan import CachePolicy, Choices, plan_engine
from tests.cases.case import edit, forged, group
from tests.cases.runs import COLD, CPU, NVLINK
from tests.catalog import ENGINE, SUITE, TWIN
from tests.edits.document import set_document
from tests.edits.metrics import append_metrics, recount_cache_hits
from tests.edits.records import each_record, edit_record, set_records
from tests.factory import Draft, change_record

HITS = b'vllm:prefix_cache_hits_total{engine="1"} 8.0\n'
"""Eight more cache hits, as of a second engine."""


def with_prompt_ids(record: Record, *ids: int) -> Record:
    """Return a record whose prompt ends in other token ids."""
    return replace(record, prompt_token_ids=(*(record.prompt_token_ids or ())[: -len(ids)], *ids))


def padded_question(record: Record) -> Record:
    """Return a record that asks the same token again and again, as often as was planned."""
    return replace(record, prompt_token_ids=(7,) * (record.prompt_tokens or 0))


def shorter_prompt(record: Record) -> Record:
    """Return a record with the last token of its prompt left out, and the count to match."""
    ids = (record.prompt_token_ids or ())[:-1]
    return replace(record, prompt_token_ids=ids, prompt_tokens=len(ids))


def ask_one_prompt_for_another(draft: Draft, asked: str, instead_of: str) -> None:
    """Ask the same prompt under two names, in every pass."""
    ids = {record.prompt_id: record.prompt_token_ids for record in draft.records}
    for position, record in enumerate(draft.records):
        if record.prompt_id == instead_of:
            change_record(draft, position, prompt_token_ids=ids[asked])


def cache_whole_prompts(draft: Draft) -> None:
    """Call every token of a repeated prompt cached: then no first token can come too soon."""
    for position, record in enumerate(draft.records):
        if record.cached_tokens:
            change_record(draft, position, cached_tokens=record.prompt_tokens)
    recount_cache_hits(draft)


def call_warm(draft: Draft) -> None:
    """Replace the plan of a cold run by one with a warm cache."""
    plan = plan_engine(TWIN, ENGINE, "cpu-tp1", SUITE, Choices(passes=3, cache=CachePolicy.WARM))
    draft.document = replace(draft.document, plan=plan, plan_digest=plan.digest(), run_salt=None)


PROMPTS = group(
    "Prompts and the prefix cache",
    forged("The prompt of one request has more tokens than token ids", "arithmetic-prompt-tokens",
           edit(change_record, 4, prompt_tokens=99)),
    forged("Every prompt loses its last token id, and its count is lowered to match",
           "arithmetic-server-counter",
           edit(each_record, shorter_prompt)),
    forged("One prompt differs from the same prompt in other passes by its last token id",
           "protocol-prompt-token-ids",
           edit(edit_record, 4, lambda record: with_prompt_ids(record, 3))),
    forged("A token id of a prompt is larger than 64 bits", "schema-arrays",
           edit(edit_record, 4, lambda record: with_prompt_ids(record, 2**70))),
    forged("Every request asks something short, padded to the planned prompt's length",
           "arithmetic-text",
           edit(each_record, padded_question)),
    forged("One prompt is asked in place of another in every pass", "arithmetic-text",
           edit(ask_one_prompt_for_another, "impl", "test")),
    forged("Cached tokens are left out of all records", "protocol-cache",
           edit(set_records, cached_tokens=None)),
    forged("One response of a run with a cold cache has cached tokens", "protocol-cache",
           edit(change_record, 4, cached_tokens=4), runs=(COLD,)),
    forged("Every prompt has ten million cached tokens, and so has the server's counter",
           "protocol-cache",
           edit(set_records, cached_tokens=10_000_000), recount_cache_hits),
    forged("All tokens of repeated prompts are cached, and counted so by the server",
           "protocol-cache",
           cache_whole_prompts, runs=(CPU, NVLINK)),
    forged("The server counts cache hits in a run with a cold cache", "protocol-cache",
           edit(append_metrics, HITS, since="measured-2-after"), runs=(COLD,)),
    forged("The server counts cache hits that no response reports", "protocol-cache",
           edit(append_metrics, HITS, since="measured-2-after")),
    forged("A run with a cold cache is planned as one with a warm cache", "protocol-cache",
           call_warm, runs=(COLD,)),
    forged("A run with a cold cache has no salt", "protocol-cache",
           edit(set_document, "run_salt", None), runs=(COLD,)),
)  # fmt: skip
