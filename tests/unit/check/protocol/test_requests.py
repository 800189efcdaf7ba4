"""Records beside the plan's requests."""

from kit.check.finding import Finding
from tests.factory import Draft, change_record, draft, judge


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def test_missing_and_added_requests_are_named() -> None:
    made = draft()
    change_record(made, 4, prompt_id="review")
    found = _findings("requests", made)
    assert [(one.subject, one.observed) for one in found] == [
        ("measured-1/debug", "no record"),
        ("measured-1/review", "a record too many"),
    ]


def test_swapped_requests_are_named_with_their_places() -> None:
    made = draft()
    change_record(made, 3, prompt_id="debug")
    change_record(made, 4, prompt_id="impl")
    found = _findings("requests", made)
    assert [one.observed for one in found] == ["at position 4", "at position 5"]
    assert found[0].expected == "measured-1/impl there"
