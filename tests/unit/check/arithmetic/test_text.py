"""Texts against token ids: where a tokenizer is at hand, and where none is."""

import dataclasses

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.arithmetic import text
from kit.check.evidence import Catalog
from kit.check.finding import Finding, Outcome
from kit.check.verify import verify
from kit.edge.files import checkout
from kit.parse import detokenizer
from kit.plan.plan import Dialect
from tests.catalog import PIECES, SPECIALS
from tests.factory import (
    CATALOG,
    KNOWN,
    TOKENIZER_SHA256,
    Draft,
    Settings,
    change_record,
    draft,
)


def found(made: Draft, catalog: Catalog = CATALOG) -> list[Finding]:
    known = dataclasses.replace(KNOWN, catalog=catalog)
    verdict = verify("case", made.seal(), (), known).verdict
    return [one for one in verdict.findings if one.code == "arithmetic-text"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), Outcome.PASS),
        (Settings(topology="tp2-pcie", model="moe"), Outcome.PASS),
        (Settings(runtime=Runtime.ENDPOINT), Outcome.COULD_NOT_CHECK),
        (Settings(topology="tp2-pcie", model="moe", rehearsal=True), Outcome.COULD_NOT_CHECK),
    ],
)
def test_texts_are_held_against_ids_where_a_tokenizer_is_at_hand(
    settings: Settings, expected: Outcome
) -> None:
    assert {one.outcome for one in found(draft(settings))} == {expected}


def test_another_models_tokenizer_is_not_at_hand() -> None:
    made = draft()
    files = made.document.engine.model_files or ()
    others = tuple(replace(one, sha256="01" * 32) for one in files)
    made.document = replace(made.document, engine=replace(made.document.engine, model_files=others))
    (one,) = found(made)
    assert one.outcome is Outcome.COULD_NOT_CHECK
    assert "01" * 32 in one.observed


def test_without_a_list_of_files_the_pinned_tokenizer_counts() -> None:
    made = draft()
    made.document = replace(made.document, engine=replace(made.document.engine, model_files=None))
    assert [one.outcome for one in found(made)] == [Outcome.PASS]


def test_a_response_may_end_amid_a_character() -> None:
    """vLLM holds back the bytes of a character that never comes to its end."""
    made = draft()
    change_record(made, 4, text=f"{made.records[4].text}\ufffd")
    assert [one.outcome for one in found(made)] == [Outcome.PASS]


def test_the_last_tokens_may_be_held_back_whole() -> None:
    """The text ends before a space that shares its token with half a character."""
    made = draft()
    ids, told = made.records[4].token_ids or (), made.records[4].text or ""
    kept = told.rpartition(" ")[0]
    change_record(made, 4, token_ids=(*ids[:-1], 1102), text=kept)
    assert [one.outcome for one in found(made)] == [Outcome.PASS]
    change_record(made, 4, text=kept[:-1])
    assert [one.outcome for one in found(made)] == [Outcome.FAIL]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("<|im_start|>{system}<|im_end|>{prompt}", Outcome.PASS),
        ("{system}{prompt} ", Outcome.PASS),
        ("{prompt}{system}", Outcome.FAIL),
        ("{prompt}", Outcome.FAIL),
        ("{system}", Outcome.FAIL),
        ("{system}And briefly: {prompt}", Outcome.PASS),  # what a template adds is not known
    ],
)
def test_system_message_and_prompt_are_asked_in_this_order(asked: str, expected: Outcome) -> None:
    made = draft()
    plan = made.document.plan
    whole = asked.format(system=plan.system, prompt=plan.prompts[1].text)
    tokenizer = detokenizer.of_vocabulary({**PIECES, 2000: whole.encode()}, SPECIALS)
    changed = dataclasses.replace(CATALOG, tokenizers={TOKENIZER_SHA256: tokenizer})
    for position, record in enumerate(made.records):
        if record.prompt_id == plan.prompts[1].id:
            change_record(made, position, prompt_token_ids=(2000,))
    assert {one.outcome for one in found(made, changed)} == {expected}


def test_a_tokenizer_may_compose_characters_and_a_template_may_strip() -> None:
    assert text._in_order("a u\u0308ber b", ("\n\u00fcber ", " b\n", ""))
    assert not text._in_order("uber", ("\u00fcber",))


def test_the_prompts_of_the_checkout_say_nothing_special() -> None:
    """A name of a special token in a prompt would be that token."""
    for suite in checkout.catalog().suites.values():
        assert not any("<|" in prompt.text for prompt in suite.prompts)


def test_a_difference_is_shown_where_it_begins() -> None:
    made = draft()
    told = made.records[4].text or ""
    change_record(made, 4, text=told[:12] + "X" + told[13:])
    (one,) = found(made)
    assert one.subject == "measured-1/debug"
    assert "X" in one.observed
    assert one.expected.endswith(", by its token ids")


def test_responses_without_ids_cannot_be_held() -> None:
    other = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
    assert {one.outcome for one in found(draft(other))} == {Outcome.COULD_NOT_CHECK}
