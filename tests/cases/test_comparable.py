"""Bundles of another machine, or of a changed one, are not compared; the reason is given."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from kit.claims.eligible import EligibleBundle
from kit.claims.judge import judge
from kit.claims.noise import noise_of
from kit.claims.verdict import ClaimOutcome, Excluded, JudgedSet
from tests.factory import Draft, change_record
from tests.six_cells import CELLS, Shape, cell_draft, eligible, load_draft, references, six

REFERENCES = references()
PART_1 = REFERENCES["article-part-1"]
NOISE = noise_of(REFERENCES.values(), PART_1.author)

Change = Callable[[Draft], None]


def judged(*bundles: EligibleBundle | Excluded) -> tuple[JudgedSet, ...]:
    return judge(PART_1, NOISE, {}, bundles)


def of_host(**changes: object) -> Change:
    def change(made: Draft) -> None:
        made.document = replace(made.document, host=replace(made.document.host, **changes))

    return change


def at_power(*limits_w: float, default_w: float | None = None) -> Change:
    """Set the limits in force of the two cards, and what they come with."""

    def change(made: Draft) -> None:
        assert made.telemetry is not None
        header = made.telemetry.header
        gpus = tuple(
            replace(gpu, power_limit_w=limit_w, power_default_limit_w=default_w)
            for gpu, limit_w in zip(header.inventory.gpus, limits_w, strict=True)
        )
        samples = tuple(
            replace(sample, gpus=tuple(
                replace(reading, power_w=limits_w[reading.index] - 1) for reading in sample.gpus
            ))
            for sample in made.telemetry.samples
        )  # fmt: skip
        inventory = replace(header.inventory, gpus=gpus)
        header = replace(header, inventory=inventory)
        made.telemetry = replace(made.telemetry, header=header, samples=samples)

    return change


def with_defaults(*defaults_w: float) -> Change:
    """Two makers' cards, each at its own default."""

    def change(made: Draft) -> None:
        at_power(*defaults_w)(made)
        assert made.telemetry is not None
        header = made.telemetry.header
        gpus = tuple(
            replace(gpu, power_default_limit_w=default_w)
            for gpu, default_w in zip(header.inventory.gpus, defaults_w, strict=True)
        )
        header = replace(header, inventory=replace(header.inventory, gpus=gpus))
        made.telemetry = replace(made.telemetry, header=header)

    return change


def changed(cell: str, change: Change) -> EligibleBundle | Excluded:
    made = cell_draft(Shape(cell=cell))
    change(made)
    return load_draft(f"{cell} changed", made)


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
def test_another_machine_under_one_id_is_judged_by_itself(change: Change, reason: str) -> None:
    here, there = judged(eligible(Shape(cell="moe@tp1")), changed("dense@tp1", change))
    assert (here.bundles, there.bundles) == (("moe@tp1",), ("dense@tp1 changed",))
    (left_out,) = here.excluded
    assert left_out.bundle == "dense@tp1 changed"
    assert reason in left_out.reason
    outcomes = {judgement.claim: judgement.outcome for judgement in here.claims}
    assert outcomes["moe-advantage-tp1"] is ClaimOutcome.NOT_TESTABLE


def test_cells_of_another_host_are_not_listed_with_each_set() -> None:
    sets = judged(eligible(Shape(cell="moe@tp1")), eligible(Shape(cell="dense@tp1", host=2)))
    assert [set_.excluded for set_ in sets] == [(), ()]


@pytest.mark.parametrize(
    "change",
    [
        of_host(memory_bytes=8 * 2**30 - 300 * 2**20),
        of_host(kernel="6.12.9", governor="performance"),
        at_power(350.2, 349.8, default_w=350.0),
    ],
)
def test_one_machine_after_a_new_kernel_is_the_same(change: Change) -> None:
    (result,) = judged(eligible(Shape(cell="moe@tp1")), changed("dense@tp1", change))
    assert len(result.bundles) == 2


def test_cards_of_two_makers_at_their_defaults_are_as_one_of_them() -> None:
    first = changed("moe@tp1", at_power(350.0, 350.0, default_w=350.0))
    other = changed("dense@tp2-nvlink", with_defaults(350.0, 370.0))
    (result,) = judged(first, other)
    assert len(result.bundles) == 2


def test_shaken_copies_are_no_further_starts() -> None:
    def shaken(made: Draft) -> None:
        for position, record in enumerate(made.records):
            moved_s = round(record.wall_s + 1e-6 * (1 + position % 8), 6)
            change_record(made, position, wall_s=moved_s)

    (alone,) = judged(*six())
    (result,) = judged(*six(), *(changed(cell, shaken) for cell in CELLS))
    assert result.bundles == alone.bundles
    assert result.claims == alone.claims
