"""Edits of a draft's telemetry. Each takes the draft first and changes it in place."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, GpuSample, Reading, Telemetry
from tests.factory import Draft


def telemetry_in(draft: Draft) -> Telemetry:
    """Return the telemetry of a draft that has some."""
    assert draft.telemetry is not None
    return draft.telemetry


def set_header(draft: Draft, **fields: object) -> None:
    """Set fields of the header."""
    telemetry = telemetry_in(draft)
    draft.telemetry = replace(telemetry, header=replace(telemetry.header, **fields))


def with_cards(draft: Draft, *gpus: GpuFacts) -> None:
    """Replace the cards of the inventory; the samples stay."""
    set_header(draft, inventory=replace(telemetry_in(draft).header.inventory, gpus=gpus))


def each_card(draft: Draft, **facts: object) -> None:
    """Set fields of every card in the inventory."""
    gpus = telemetry_in(draft).header.inventory.gpus
    with_cards(draft, *(replace(gpu, **facts) for gpu in gpus))


def with_samples(
    draft: Draft, choose: Callable[[Sequence[GpuSample]], Sequence[GpuSample]]
) -> None:
    """Replace the samples by others made from them."""
    telemetry = telemetry_in(draft)
    draft.telemetry = replace(telemetry, samples=tuple(choose(telemetry.samples)))


def each_sample(draft: Draft, change: Callable[[GpuSample], GpuSample]) -> None:
    """Change every sample."""
    with_samples(draft, lambda samples: [change(sample) for sample in samples])


def each_reading(draft: Draft, change: Callable[[int, Reading], Reading]) -> None:
    """Change every reading of every card; `change` is given the sample's number too."""
    with_samples(
        draft,
        lambda samples: [
            replace(sample, gpus=tuple(change(number, gpu) for gpu in sample.gpus))
            for number, sample in enumerate(samples)
        ],
    )


def set_readings(draft: Draft, **values: object) -> None:
    """Set values in every reading of every card."""
    each_reading(draft, lambda _, gpu: replace(gpu, **values))


def set_one_reading(draft: Draft, **values: object) -> None:
    """Set values in the first card's reading in the middle of the run."""
    middle = len(telemetry_in(draft).samples) // 2
    each_reading(
        draft,
        lambda number, gpu: replace(gpu, **values) if (number, gpu.index) == (middle, 0) else gpu,
    )
