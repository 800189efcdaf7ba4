"""Bundles of machines that differ are judged apart, and the difference is named."""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from kit.check.finding import Verdict
from kit.claims.eligible import EligibleBundle
from kit.claims.judge import judge
from kit.claims.reference import noise_of
from kit.claims.verdict import ClaimOutcome, JudgedSet
from tests.edits.document import set_document
from tests.edits.telemetry import each_reading, telemetry_in, with_cards
from tests.factory import Draft, change_record
from tests.six_cells import CELLS, Shape, cell_draft, eligible, load_draft, references, six

REFERENCES = references()
PART_1 = REFERENCES["article-part-1"]
NOISE = noise_of(REFERENCES.values(), PART_1.author)

Edit = Callable[[Draft], None]


def judged(*bundles: EligibleBundle | Verdict) -> tuple[JudgedSet, ...]:
    return judge(PART_1, NOISE, {}, bundles)


def of_host(**fields: object) -> Edit:
    """Set fields of the host."""

    def change(draft: Draft) -> None:
        set_document(draft, "host", replace(draft.document.host, **fields))

    return change


def at_power(*limits_w: float, default_w: float | None = None) -> Edit:
    """Set the power limits in force on the two cards, and the default of both."""

    def change(draft: Draft) -> None:
        set_power_limits(draft, limits_w, (default_w,) * len(limits_w))
        each_reading(draft, lambda _, gpu: replace(gpu, power_w=limits_w[gpu.index] - 1))

    return change


def at_defaults(*defaults_w: float) -> Edit:
    """Set two vendors' cards, each at its own default."""

    def change(draft: Draft) -> None:
        at_power(*defaults_w)(draft)
        set_power_limits(draft, defaults_w, defaults_w)

    return change


def set_power_limits(
    draft: Draft, limits_w: Sequence[float], defaults_w: Sequence[float | None]
) -> None:
    gpus = telemetry_in(draft).header.inventory.gpus
    pairs = zip(gpus, limits_w, defaults_w, strict=True)
    with_cards(
        draft,
        *(
            replace(gpu, power_limit_w=limit_w, power_default_limit_w=default_w)
            for gpu, limit_w, default_w in pairs
        ),
    )


def edited(cell: str, change: Edit) -> EligibleBundle | Verdict:
    """Return an edited bundle as claims load it."""
    draft = cell_draft(Shape(cell=cell))
    change(draft)
    return load_draft(f"{cell} changed", draft)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_host(machine="aarch64"), "architecture (aarch64, here x86_64)"),
        (of_host(cpu_model="Another"), "processor (Another, here A CPU)"),
        (of_host(cpu_model=None), "processor (not known, here A CPU)"),
        (of_host(cpu_count=64), "cores (64, here 2)"),
        (of_host(memory_bytes=32 * 2**30), "memory (about 32 GiB, here about 8 GiB)"),
        (at_power(250.0, 250.0), "power limits (250 W, here 100% of the default)"),
        (at_power(250.0, 350.0), "power limits (250 W and 350 W, here 100% of the default)"),
        (at_power(250.0, 250.0, default_w=350.0), "(71% of the default, here 100% of the default)"),
    ],
)
def test_another_machine_with_the_same_id_is_judged_apart(change: Edit, reason: str) -> None:
    here, there = judged(eligible(Shape(cell="moe@tp1")), edited("dense@tp1", change))
    assert (here.bundles, there.bundles) == (("moe@tp1",), ("dense@tp1 changed",))
    (left_out,) = here.excluded
    assert left_out.bundle == "dense@tp1 changed"
    assert reason in left_out.reason
    outcomes = {judgement.claim: judgement.outcome for judgement in here.claims}
    assert outcomes["moe-advantage-tp1"] is ClaimOutcome.NOT_TESTABLE


def test_bundles_of_another_host_are_not_listed_as_excluded() -> None:
    sets = judged(eligible(Shape(cell="moe@tp1")), eligible(Shape(cell="dense@tp1", host=2)))
    assert [judged_set.excluded for judged_set in sets] == [(), ()]


@pytest.mark.parametrize(
    "change",
    [
        of_host(memory_bytes=8 * 2**30 - 300 * 2**20),
        of_host(kernel="6.12.9", governor="performance"),
        at_power(350.2, 349.8, default_w=350.0),
    ],
)
def test_small_differences_do_not_make_another_machine(change: Edit) -> None:
    (judged_set,) = judged(eligible(Shape(cell="moe@tp1")), edited("dense@tp1", change))
    assert len(judged_set.bundles) == 2


def test_cards_of_two_vendors_at_their_defaults_are_comparable() -> None:
    one = edited("moe@tp1", at_power(350.0, 350.0, default_w=350.0))
    other = edited("dense@tp2-nvlink", at_defaults(350.0, 370.0))
    (judged_set,) = judged(one, other)
    assert len(judged_set.bundles) == 2


def test_copies_with_jittered_times_are_no_further_starts() -> None:
    def jitter(draft: Draft) -> None:
        for position, record in enumerate(draft.records):
            wall_s = round(record.wall_s + 1e-6 * (1 + position % 8), 6)
            change_record(draft, position, wall_s=wall_s)

    (alone,) = judged(*six())
    (with_copies,) = judged(*six(), *(edited(cell, jitter) for cell in CELLS))
    assert with_copies.bundles == alone.bundles
    assert with_copies.claims == alone.claims
