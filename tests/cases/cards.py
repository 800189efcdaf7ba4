"""Ways to tamper with what the GPUs tell of themselves, each with the code that must name it.

As `topologies.py`. No GPU was seen: see `tests/gpu_evidence.py`.
"""

from collections.abc import Callable

from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, Sample, Telemetry
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


def memory_that_runs_at_any_speed(made: Draft) -> None:
    each_card(made, memory_clock_max_mhz=9751)
    _one_reading(made, memory_clock_mhz=99_999)


def cards_that_are_not_linked_to_each_other(made: Draft) -> None:
    """Their links are up, and lead to other cards."""
    assert made.host_facts is not None
    assert made.host_facts.topology_matrix is not None
    matrix = made.host_facts.topology_matrix.replace("NV4", "PHB")
    made.host_facts = replace(made.host_facts, topology_matrix=matrix)


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


def a_slower_card_under_a_faster_ones_name(made: Draft) -> None:
    """An A10, as its driver tells it, but for the name."""
    each_card(made, memory_clock_max_mhz=6251, power_limit_w=150.0, power_default_limit_w=150.0)


def as_fast_with_memory_that_crawls(made: Draft) -> None:
    """Of cards that were idle, say: at 405 MHz the memory has a twentieth of its bandwidth."""
    each_sample(
        made,
        lambda one: replace(
            one, gpus=tuple(replace(gpu, memory_clock_mhz=405) for gpu in one.gpus)
        ),
    )


def a_sample_from_after_the_end(made: Draft) -> None:
    samples = told(made).samples
    late = replace(samples[-1], t_s=samples[-1].t_s + 60)
    made.telemetry = replace(told(made), samples=(*samples, late))


def _one_reading(made: Draft, **values: object) -> None:
    """Set one figure of one card in the middle of the run."""
    samples = [*told(made).samples]
    middle = len(samples) // 2
    first, *rest = samples[middle].gpus
    samples[middle] = replace(samples[middle], gpus=(replace(first, **values), *rest))
    made.telemetry = replace(told(made), samples=tuple(samples))
