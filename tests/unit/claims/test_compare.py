"""What differs between two bundles is named before their numbers are judged."""

from dataclasses import replace as replace_settings

import pytest
from msgspec.structs import replace

from kit.check.verify import Verified, verify
from kit.claims.compare import Comparison, Likeness, compare
from kit.report import comparison
from tests.factory import KNOWN, Draft, Settings, draft, judge

GPU = Settings(topology="tp2-pcie", model="moe")


def verified(made: Draft) -> Verified:
    return verify("bundle", made.seal(), (), KNOWN)


def only(first: Draft, second: Draft) -> Comparison:
    (found,) = compare([verified(first)], [verified(second)])
    return found


def test_two_starts_of_one_cell_are_alike() -> None:
    found = only(draft(Settings(seed=1)), draft(Settings(seed=2)))
    assert found.differences == ()
    assert found.likeness is Likeness.ALIKE
    assert found.contrasts[0].ratio == pytest.approx(1, rel=0.02)


def test_a_hidden_server_flag_is_named() -> None:
    """The server's own log says what it was started with, whatever the plan says."""
    hidden = draft(GPU)
    given = b"'max_num_seqs': 4"
    assert given in (hidden.server_log or b"")
    hidden.server_log = (hidden.server_log or b"").replace(
        given, given + b", 'enforce_eager': True"
    )
    found = only(draft(GPU), hidden)
    assert [(it.aspect, it.fact, it.second) for it in found.differences] == [
        ("server flag", "enforce_eager", "true")
    ]
    assert found.likeness is Likeness.SETTINGS
    assert any("* server flag enforce_eager" in line for line in comparison.lines(found))


def test_another_host_is_named_and_does_not_keep_numbers_from_being_compared() -> None:
    fast, slow = draft(Settings(seed=1)), draft(Settings(seed=2))
    slow.document = replace(slow.document, host_id="f" * 32)
    found = only(fast, slow)
    assert [(it.aspect, it.fact) for it in found.differences] == [("host", "host")]
    assert found.likeness is Likeness.ALIKE


def test_of_folders_the_cells_on_both_sides_are_compared() -> None:
    first = [verified(draft(Settings(seed=seed))) for seed in (1, 2, 3)]
    second = [verified(draft(Settings(seed=4))), verified(draft(GPU))]
    (found,) = compare(first, second)
    assert found.starts == (3, 1)


def test_one_pass_is_too_few_for_a_verdict() -> None:
    one = Settings(passes=1)
    assert only(draft(one), draft(one)).likeness is Likeness.TOO_FEW


@pytest.mark.parametrize(
    ("changed", "fact"),
    [
        (replace_settings(GPU, eager=True), "enforce_eager"),
        (replace_settings(GPU, prefix_caching=False), "enable_prefix_caching"),
    ],
)
def test_an_option_of_the_run_is_a_flag_that_differs(changed: Settings, fact: str) -> None:
    made = draft(changed)
    assert judge(made.seal()).is_reportable
    found = only(draft(GPU), made)
    assert fact in {it.fact for it in found.differences if it.matters}
    assert found.likeness is Likeness.SETTINGS
