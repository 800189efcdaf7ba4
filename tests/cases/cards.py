"""Ways to tamper with what the GPUs tell of themselves, each with the code that must name it.

As `topologies.py`. No GPU was seen: see `tests/gpu_evidence.py`.
"""

from collections.abc import Callable

from msgspec.structs import replace

from kit.telemetry import GpuFacts, Sample, Telemetry
from tests.cases.physics import faster
from tests.factory import Draft


def told(made: Draft) -> Telemetry:
    """Return the telemetry of a draft that has some."""
    assert made.telemetry is not None
    return made.telemetry


def with_cards(made: Draft, *gpus: GpuFacts) -> None:
    """Replace the cards of the inventory, and leave the samples alone."""
    header = told(made).header
    inventory = replace(header.inventory, gpus=gpus)
    made.telemetry = replace(told(made), header=replace(header, inventory=inventory))


def each_card(made: Draft, **facts: object) -> None:
    """Change what every card of the inventory is."""
    with_cards(made, *(replace(gpu, **facts) for gpu in told(made).header.inventory.gpus))


def each_sample(made: Draft, change: Callable[[Sample], Sample]) -> None:
    """Change every sample."""
    made.telemetry = replace(told(made), samples=tuple(map(change, told(made).samples)))


def _renamed(made: Draft, name: str) -> None:
    """Sixty times as fast, on a card that only looks like one that is known."""
    faster(made, 60)
    each_card(made, name=name)


def a_name_with_a_zero_width_space(made: Draft) -> None:
    _renamed(made, "NVIDIA GeForce RTX 3090\u200b")


def a_name_with_a_cyrillic_letter(made: Draft) -> None:
    _renamed(made, "NVIDIA GeF\u043erce RTX 3090")


def a_name_with_a_space_that_does_not_break(made: Draft) -> None:
    _renamed(made, "NVIDIA\u00a0GeForce RTX 3090")


def an_idle_card_that_nobody_knows(made: Draft) -> None:
    """Ten times as fast, and a third card that might explain it if it had done anything."""
    faster(made, 10)
    first, *rest = told(made).header.inventory.gpus
    with_cards(made, first, *rest, replace(first, index=2, name="NVIDIA T400 4GB"))

    def more(one: Sample) -> Sample:
        return replace(one, gpus=(*one.gpus, replace(one.gpus[0], index=2, utilization_percent=0)))

    each_sample(made, more)


def readings_of_cards_that_are_not_there(made: Draft) -> None:
    def others(one: Sample) -> Sample:
        return replace(one, gpus=tuple(replace(gpu, index=gpu.index + 7) for gpu in one.gpus))

    each_sample(made, others)


def readings_of_one_card_twice(made: Draft) -> None:
    each_sample(made, lambda one: replace(one, gpus=(one.gpus[0], one.gpus[0])))


def one_card_listed_twice(made: Draft) -> None:
    first = told(made).header.inventory.gpus[0]
    with_cards(made, first, first)
    each_sample(made, lambda one: replace(one, gpus=one.gpus[:1]))


def power_that_is_given_back(made: Draft) -> None:
    def negative(one: Sample) -> Sample:
        return replace(one, gpus=(replace(one.gpus[0], power_w=-5.0), *one.gpus[1:]))

    each_sample(made, negative)


def an_interval_that_allows_any_gap(made: Draft) -> None:
    """Two samples in all, one before the first request and one after the last."""
    samples = told(made).samples
    header = replace(told(made).header, interval_s=1e8)
    made.telemetry = replace(told(made), header=header, samples=(samples[0], samples[-1]))
