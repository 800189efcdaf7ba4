"""Texts against token ids: where a tokenizer is at hand, and where none is."""

import pytest
from msgspec.structs import replace

from kit.bundle import Runtime
from kit.check.finding import Finding, Outcome
from kit.plan import Dialect
from tests.factory import Draft, Settings, change_record, draft, judge


def found(made: Draft) -> list[Finding]:
    return [one for one in judge(made.seal()).findings if one.code == "arithmetic-text"]


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


def test_a_difference_is_shown_where_it_begins() -> None:
    made = draft()
    text = made.records[4].text or ""
    change_record(made, 4, text=text[:12] + "X" + text[13:])
    (one,) = found(made)
    assert one.subject == "measured-1/debug"
    assert "X" in one.observed
    assert one.expected.endswith(", by its ids")


def test_responses_without_ids_cannot_be_held() -> None:
    other = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
    assert {one.outcome for one in found(draft(other))} == {Outcome.COULD_NOT_CHECK}
