"""A run counts once, whatever it is called."""

import random
from itertools import combinations
from pathlib import Path

from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.check.duplicates import Duplicates, distinct
from kit.check.finding import Finding, Outcome, Verdict
from kit.plan.plan import ProtocolName
from tests.factory import ROOT, Draft, Settings, change_record, draft, judge


def admitted(*drafts: Draft) -> list[Outcome]:
    """Return what is found of each bundle, one after the other."""
    duplicates = Duplicates()
    verdicts = [duplicates.admit(judge(one.seal())) for one in drafts]
    return [
        next(one.outcome for one in verdict.findings if one.code == "integrity-copy")
        for verdict in verdicts
    ]


def renamed(made: Draft, digit: str = "f") -> Draft:
    """Make another host of it, and so another id."""
    made.document = replace(made.document, host_id=digit * 32)
    return made


PASS, FAIL = Outcome.PASS, Outcome.FAIL


def test_starts_of_one_cell_are_runs_of_their_own() -> None:
    assert admitted(*(draft(Settings(seed=seed)) for seed in range(1, 9))) == [PASS] * 8


def test_the_same_bundle_may_be_named_twice() -> None:
    assert admitted(draft(), draft()) == [PASS, PASS]


def test_a_copy_that_was_sealed_again_is_found_out() -> None:
    assert admitted(draft(), renamed(draft())) == [PASS, FAIL]
    first, second = draft(), renamed(draft())
    assert Duplicates().admit(judge(first.seal())).exit_code == 0
    duplicates = Duplicates()
    duplicates.admit(judge(first.seal()))
    assert duplicates.admit(judge(second.seal())).exit_code == 6


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


def test_moments_of_sending_alone_give_a_copy_away() -> None:
    endpoint = Settings(runtime=Runtime.ENDPOINT, protocol=ProtocolName.ARTICLE, passes=3)
    made, noise = draft(endpoint), random.Random(1)
    made.records = [
        replace(one, wall_s=round(one.wall_s + noise.randrange(1, 9) * 1e-6, 6))
        for one in made.records
    ]
    assert admitted(draft(endpoint), made) == [PASS, FAIL]


def test_two_starts_of_a_cell_may_answer_alike() -> None:
    """The plan seeds its requests, so that an engine may say the same at every start."""
    one, other = draft(), draft(Settings(seed=2))
    for position, record in enumerate(one.records):
        change_record(other, position, token_ids=record.token_ids, text=record.text)
    assert admitted(one, other) == [PASS, PASS]


def test_the_bundles_that_were_handed_in_are_runs_of_their_own() -> None:
    folders = sorted((ROOT / "results" / "community").glob("2*"))
    verdicts = [judge(files_of(folder)) for folder in folders]
    assert len(verdicts) >= 2
    for one, other in combinations(verdicts, 2):
        assert len(one.fingerprint) > 10
        assert not {*one.fingerprint} & {*other.fingerprint}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def invalid(made: Draft) -> dict[str, bytes]:
    files = made.seal()
    files["data/metrics/measured-1-after.prom.gz"] += b"x"
    return files


def test_an_invalid_copy_that_is_read_first_spoils_nothing() -> None:
    duplicates = Duplicates()
    assert duplicates.admit(judge(invalid(renamed(draft())))).exit_code == 6
    assert duplicates.admit(judge(draft().seal())).exit_code == 0


def test_an_invalid_copy_that_is_read_later_is_a_copy_too() -> None:
    duplicates = Duplicates()
    duplicates.admit(judge(draft().seal()))
    assert finding_of(duplicates.admit(judge(invalid(renamed(draft()))))).outcome is FAIL


def test_a_copy_of_a_copy_is_one_of_the_first() -> None:
    assert admitted(draft(), renamed(draft()), renamed(draft(), "e")) == [PASS, FAIL, FAIL]


def finding_of(verdict: Verdict) -> Finding:
    return next(one for one in verdict.findings if one.code == "integrity-copy")


def test_the_finding_names_both_and_blames_neither() -> None:
    duplicates = Duplicates()
    first, second = judge(draft().seal()), judge(renamed(draft()).seal())
    duplicates.admit(replace(first, path="first"))
    found = finding_of(duplicates.admit(replace(second, path="second")))
    assert f"bundle {first.id[:12] if first.id else None} at first" in found.observed
    assert f"bundle {second.id[:12] if second.id else None} at second" in found.expected
    assert "either may be the original" in found.hint


def test_distinct_runs_are_neither_named_twice_nor_copied() -> None:
    one, copy, other = (
        judge(made.seal()) for made in (draft(), renamed(draft()), draft(Settings(seed=2)))
    )
    assert [*distinct([one, one, copy, other])] == [one, other]


def test_what_cannot_be_read_has_no_prints() -> None:
    files = draft().seal()
    files[bag.DOCUMENT] = files[bag.RECORDS] = b"{"
    assert judge(files).fingerprint == frozenset()


def test_what_is_no_bundle_is_let_through() -> None:
    nothing: Verdict = judge({})
    assert Duplicates().admit(nothing) == nothing
