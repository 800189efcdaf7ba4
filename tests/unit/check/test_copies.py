"""A run counts once, whatever it is called."""

from msgspec.structs import replace

from kit.check.copies import Copies
from kit.check.finding import Outcome, Verdict
from tests.factory import Draft, Settings, change_record, draft, judge


def admitted(*drafts: Draft) -> list[Outcome]:
    """Return what is found of each bundle, one after the other."""
    copies = Copies()
    verdicts = [copies.admit(judge(one.seal())) for one in drafts]
    return [
        next(one.outcome for one in verdict.findings if one.code == "integrity-copy")
        for verdict in verdicts
    ]


def renamed(made: Draft) -> Draft:
    """Make another host of it, and so another id."""
    made.document = replace(made.document, host_id="f" * 32)
    return made


PASS, FAIL = Outcome.PASS, Outcome.FAIL


def test_starts_of_one_cell_are_runs_of_their_own() -> None:
    assert admitted(*(draft(Settings(seed=seed)) for seed in range(1, 9))) == [PASS] * 8


def test_the_same_bundle_may_be_named_twice() -> None:
    assert admitted(draft(), draft()) == [PASS, PASS]


def test_a_copy_that_was_sealed_again_is_found_out() -> None:
    assert admitted(draft(), renamed(draft())) == [PASS, FAIL]
    first, second = draft(), renamed(draft())
    assert Copies().admit(judge(first.seal())).exit_code == 0
    copies = Copies()
    copies.admit(judge(first.seal()))
    assert copies.admit(judge(second.seal())).exit_code == 6


def test_half_of_another_run_is_too_much_of_it() -> None:
    def with_foreign(count: int) -> Draft:
        made, other = draft(Settings(seed=2)), draft()
        measured = [
            place for place, one in enumerate(made.records) if one.phase.value == "measured"
        ]
        for place in measured[:count]:
            foreign = other.records[place]
            change_record(made, place, wall_s=foreign.wall_s,
                          completion_tokens=foreign.completion_tokens)  # fmt: skip
        return made

    measured = sum(one.phase.value == "measured" for one in draft().records)
    assert admitted(draft(), with_foreign((measured + 1) // 2)) == [PASS, FAIL]
    assert admitted(draft(), with_foreign(2)) == [PASS, PASS]


def test_what_is_no_bundle_is_let_through() -> None:
    nothing: Verdict = judge({})
    assert Copies().admit(nothing) == nothing
