"""Which cards serve a topology: any number and kind of them in a machine."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, GpuProcesses
from kit.edge.files import checkout
from kit.roofline.model import shape_of
from kit.run.cards import Cards, choose, memory_needed_bytes, misfits

CARD = GpuFacts(
    index=0,
    name="NVIDIA GeForce RTX 3090",
    memory_bytes=24576 * 2**20,
    compute_capability="8.6",
    nvlink_links_active=0,
)
NEEDED = 20 * 2**30


def cards(*gpus: GpuFacts, between: Mapping[tuple[str, str], str] | None = None) -> Cards:
    numbered = tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
    return Cards(gpus=numbered, connections=between or {})


def chosen(topology: str, machine: Cards, *named: str) -> list[int]:
    found = choose(machine, checkout.topology(topology), NEEDED, named)
    return [gpu.index for gpu in found]


@pytest.mark.parametrize(
    ("model", "topology", "mib", "fits"),
    [
        ("moe", "tp1", 24576, True),
        ("dense", "tp1", 24576, True),
        ("moe", "tp2-pcie", 23028, True),  # A10, L4 and A5000 with ECC
        ("dense", "tp2-pcie", 23028, True),
        ("moe-fp8", "tp2-pcie", 24576, True),
        ("moe", "tp1", 16376, False),
        ("moe-fp8", "tp1", 24576, False),
        ("moe-fp8", "tp1", 40960, True),
    ],
)
def test_what_a_card_must_have_follows_from_model_and_topology(
    model: str, topology: str, mib: int, *, fits: bool
) -> None:
    chosen_topology = checkout.topology(topology)
    shape = shape_of(checkout.models()[model].config)
    assert shape is not None
    ranks = chosen_topology.tensor_parallel_size
    needed = memory_needed_bytes(shape, chosen_topology.services[model], ranks)
    assert (list(misfits(replace(CARD, memory_bytes=mib * 2**20), needed)) == []) is fits


def test_cards_of_one_kind_are_chosen_of_four_mixed_ones() -> None:
    old = replace(CARD, name="NVIDIA GeForce GTX 1080", compute_capability="6.1")
    other = replace(CARD, name="NVIDIA GeForce RTX 4090")
    machine = cards(old, CARD, other, CARD)
    assert chosen("tp2-pcie", machine) == [1, 3]
    assert chosen("tp1", machine) == [1]
    assert chosen("tp2-pcie", cards(CARD, other)) == []
    assert chosen("tp2-pcie", machine, "2", "3") == []


def test_idle_cards_are_chosen_before_busy_ones() -> None:
    busy = Cards(
        gpus=cards(CARD, CARD, CARD).gpus,
        processes=(GpuProcesses(index=0, compute_count=1), GpuProcesses(index=1, compute_count=0)),
        connections={},
    )
    assert chosen("tp1", busy) == [1]
    assert chosen("tp2-pcie", busy) == [1, 2]


def test_nvlink_takes_a_linked_pair() -> None:
    linked = replace(CARD, nvlink_links_active=4)
    between = {("0", "1"): "SYS", ("0", "2"): "NV4", ("1", "2"): "SYS"}
    assert chosen("tp2-nvlink", cards(linked, linked, linked, between=between)) == [0, 2]
    assert chosen("tp2-nvlink", cards(linked, linked)) == [0, 1]
    assert chosen("tp2-nvlink", cards(CARD, linked)) == []
    assert chosen("tp2-nvlink", cards(linked, linked, between={("0", "1"): "PHB"})) == []


def test_a_card_that_does_not_fit_says_why() -> None:
    small = replace(CARD, compute_capability=None, memory_bytes=8 * 2**30)
    assert list(misfits(small, NEEDED)) == [
        "compute capability unknown, needs 8.0",
        "8.0 GiB of memory, needs 20.0",
    ]
