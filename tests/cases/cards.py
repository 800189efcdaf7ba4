"""Ways to tamper with what the GPUs tell of themselves, each with the code that must name it.

As `topologies.py`. No GPU was seen: see `tests/gpu_evidence.py`.
"""

from collections.abc import Callable

from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, GpuSample, Telemetry
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


def each_sample(made: Draft, change: Callable[[GpuSample], GpuSample]) -> None:
    """Change every sample."""
    made.telemetry = replace(told(made), samples=tuple(map(change, told(made).samples)))


def _renamed(made: Draft, name: str) -> None:
    """Sixty times as fast, on a card that only looks like one that is known."""
    faster(made, 60)
    each_card(made, name=name)


def _each_reading(made: Draft, **values: object) -> None:
    each_sample(
        made, lambda one: replace(one, gpus=tuple(replace(gpu, **values) for gpu in one.gpus))
    )


def hotter_than_any_card(made: Draft) -> None:
    _each_reading(made, temperature_c=400)


def clocks_that_stand_still(made: Draft) -> None:
    _each_reading(made, sm_clock_mhz=0)


def a_power_limit_without_limit(made: Draft) -> None:
    each_card(made, power_limit_w=9999.0)


def counters_of_nvlink_that_run_backwards(made: Draft) -> None:
    samples = told(made).samples
    each_sample(
        made,
        lambda one: replace(
            one,
            gpus=tuple(
                replace(
                    gpu,
                    nvlink_received_bytes=2**40 - 2**30 * samples.index(one),
                    nvlink_sent_bytes=2**40,
                )
                for gpu in one.gpus
            ),
        ),
    )


def processors_that_run_at_any_speed(made: Draft) -> None:
    each_card(made, sm_clock_max_mhz=2100)
    _one_reading(made, sm_clock_mhz=9999)


def memory_that_runs_at_any_speed(made: Draft) -> None:
    each_card(made, memory_clock_max_mhz=9751)
    _one_reading(made, memory_clock_mhz=99_999)


def more_bandwidth_than_the_links_have(made: Draft) -> None:
    """Four links of 14.06 GB/s, for which NCCL never writes more than 48.0."""
    made.nccl_log = (made.nccl_log or b"") + b"n [0] NCCL INFO + NVL[240.0] - GPU/0-b3000\n"


def nvlink_in_nccls_log_alone(made: Draft) -> None:
    """No link is up, by the driver: so that nothing can be asked of the links."""
    each_card(made, nvlink_links_active=0, nvlink_link_gb_s=None)
    made.nccl_log = (made.nccl_log or b"") + b"n [0] NCCL INFO + NVL[48.0] - GPU/0-b3000\n"


def links_of_another_generation(made: Draft) -> None:
    """Faster by four than those that NCCL found."""
    each_card(made, nvlink_link_gb_s=53.125)
    made.nccl_log = (made.nccl_log or b"") + b"n [0] NCCL INFO + NVL[24.0] - GPU/0-b3000\n"


def cards_that_are_not_linked_to_each_other(made: Draft) -> None:
    """Their links are up, and lead to other cards."""
    assert made.host_facts is not None
    assert made.host_facts.topology_matrix is not None
    matrix = made.host_facts.topology_matrix.replace("NV4", "PHB")
    made.host_facts = replace(made.host_facts, topology_matrix=matrix)


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

    def more(one: GpuSample) -> GpuSample:
        return replace(one, gpus=(*one.gpus, replace(one.gpus[0], index=2, utilization_percent=0)))

    each_sample(made, more)


def readings_of_cards_that_are_not_there(made: Draft) -> None:
    def others(one: GpuSample) -> GpuSample:
        return replace(one, gpus=tuple(replace(gpu, index=gpu.index + 7) for gpu in one.gpus))

    each_sample(made, others)


def readings_of_one_card_twice(made: Draft) -> None:
    each_sample(made, lambda one: replace(one, gpus=(one.gpus[0], one.gpus[0])))


def one_card_listed_twice(made: Draft) -> None:
    first = told(made).header.inventory.gpus[0]
    with_cards(made, first, first)
    each_sample(made, lambda one: replace(one, gpus=one.gpus[:1]))


def power_that_is_given_back(made: Draft) -> None:
    def negative(one: GpuSample) -> GpuSample:
        return replace(one, gpus=(replace(one.gpus[0], power_w=-5.0), *one.gpus[1:]))

    each_sample(made, negative)


def an_interval_that_allows_any_gap(made: Draft) -> None:
    """Two samples in all, one before the first request and one after the last."""
    samples = told(made).samples
    header = replace(told(made).header, interval_s=1e8)
    made.telemetry = replace(told(made), header=header, samples=(samples[0], samples[-1]))


def at_work_more_than_all_the_time(made: Draft) -> None:
    _one_reading(made, utilization_percent=101)


def more_memory_in_use_than_there_is(made: Draft) -> None:
    _one_reading(made, memory_used_bytes=25 * 2**30)


def a_link_of_a_later_generation_than_the_slot(made: Draft) -> None:
    _one_reading(made, pcie_generation=5)


def a_link_of_more_lanes_than_the_slot(made: Draft) -> None:
    _one_reading(made, pcie_width=32)


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


def reasons_left_out_of_half_the_samples(made: Draft) -> None:
    samples = told(made).samples
    each_sample(
        made,
        lambda one: (
            replace(one, gpus=tuple(replace(gpu, clock_reasons=None) for gpu in one.gpus))
            if samples.index(one) % 2
            else one
        ),
    )


def a_card_of_another_generation(made: Draft) -> None:
    each_card(made, compute_capability="9.0")


def a_sample_from_after_the_end(made: Draft) -> None:
    samples = told(made).samples
    late = replace(samples[-1], t_s=samples[-1].t_s + 60)
    made.telemetry = replace(told(made), samples=(*samples, late))


def cards_without_the_weights(made: Draft) -> None:
    """The log says that 8.4 GiB were loaded; in use is what a desktop takes."""
    _with_memory_in_use(made, 2**30)


def cards_without_the_cache(made: Draft) -> None:
    """The weights, and not one of the 5.65 GiB of the cache, by the log."""
    _with_memory_in_use(made, int(8.5 * 2**30))


def _with_memory_in_use(made: Draft, used: int) -> None:
    each_sample(
        made,
        lambda one: replace(
            one, gpus=tuple(replace(gpu, memory_used_bytes=used) for gpu in one.gpus)
        ),
    )


def _one_reading(made: Draft, **values: object) -> None:
    """Set one figure of one card in the middle of the run."""
    samples = [*told(made).samples]
    middle = len(samples) // 2
    first, *rest = samples[middle].gpus
    samples[middle] = replace(samples[middle], gpus=(replace(first, **values), *rest))
    made.telemetry = replace(told(made), samples=tuple(samples))
