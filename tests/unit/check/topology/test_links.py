"""How GPUs are linked. No GPU was seen: see `tests/fake_telemetry.py`."""

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from tests.edits.telemetry import (
    each_card,
    each_reading,
    set_readings,
    telemetry_in,
    with_samples,
)
from tests.factory import Draft, Settings, draft, outcomes_of

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
NVLINK = Settings(topology="tp2-nvlink", model="moe")
PCIE = Settings(topology="tp2-pcie", model="moe")


def outcomes(made: Draft, name: str) -> set[Outcome]:
    return outcomes_of(made, f"topology-{name}")


def with_values(settings: Settings, **values: object) -> Draft:
    made = draft(settings)
    set_readings(made, **values)
    return made


FOUR = """\tGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tCPU Affinity
GPU0\t X \tNV4\tPHB\tSYS\tPIX\t0-15
GPU1\tNV4\t X \tPHB\tSYS\tPHB\t0-15
GPU2\tPHB\tPHB\t X \tNV12\tPHB\t0-15
GPU3\tSYS\tSYS\tNV12\t X \tPHB\t0-15
NIC0\tPIX\tPHB\tPHB\tPHB\t X \t
"""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"pcie_generation": 4}, PASS),
        ({"pcie_generation": 3}, WARN),
        ({"pcie_width": 8}, WARN),
        ({"pcie_generation": None}, UNCHECKED),
        ({"pcie_width": None}, UNCHECKED),
    ],
)
def test_the_link_under_load(values: dict[str, object], expected: Outcome) -> None:
    assert outcomes(with_values(PCIE, **values), "pcie") == {expected}


def test_an_idle_card_may_lower_its_link() -> None:
    made = with_values(PCIE, pcie_generation=1)
    busy = telemetry_in(draft(PCIE)).samples
    half = len(busy) // 2
    with_samples(made, lambda samples: (*samples[:half], *busy[half:]))
    assert outcomes(made, "pcie") == {PASS}


def test_nvlink_that_is_down_cannot_carry_anything() -> None:
    made = draft(PCIE)
    assert outcomes(made, "nvlink") == {UNCHECKED}  # up, and a GeForce card does not count
    each_card(made, nvlink_links_active=0)
    assert outcomes(made, "nvlink") == {PASS}


@pytest.mark.parametrize(("moved", "pcie", "nvlink"), [(0, PASS, WARN), (2**20, WARN, PASS)])
def test_counters_of_a_card_that_has_them(moved: int, pcie: Outcome, nvlink: Outcome) -> None:
    for settings, expected in ((PCIE, pcie), (NVLINK, nvlink)):
        made = draft(settings)
        each_reading(
            made,
            lambda n, gpu: replace(
                gpu, nvlink_received_bytes=moved * n, nvlink_sent_bytes=moved * n
            ),
        )
        assert outcomes(made, "nvlink") == {expected}


def test_links_are_told_by_nccls_graph_and_the_driver_need_not() -> None:
    made = draft(NVLINK)
    each_card(made, nvlink_links_active=None)
    assert outcomes(made, "nvlink") == {PASS}
    made.nccl_log = (made.nccl_log or b"").replace(b"NVL[48.0]", b"PCI[24.0]")
    assert outcomes(made, "nvlink") == {UNCHECKED}


@pytest.mark.parametrize(
    ("ids", "matrix", "expected"),
    [
        (("0", "1"), FOUR, PASS),
        (("2", "3"), FOUR, PASS),
        (("1", "2"), FOUR, FAIL),
        (("0", "3"), FOUR, FAIL),
        (("0", "7"), FOUR, UNCHECKED),  # of which it does not tell
        (("GPU-1", "GPU-2"), FOUR, UNCHECKED),
        (("1", "2"), FOUR.replace(" X ", "PIX"), UNCHECKED),  # not read
        (("0", "1"), "", UNCHECKED),
        (("1", "2"), None, UNCHECKED),
    ],
)
def test_the_cards_that_serve_are_linked_to_each_other(
    ids: tuple[str, ...], matrix: str | None, expected: Outcome
) -> None:
    made = draft(NVLINK)
    assert made.host_facts is not None
    client, engine, telemetry = made.host_facts.containers
    (request,) = engine.device_requests
    engine = replace(engine, device_requests=(replace(request, device_ids=ids),))
    containers = (client, engine, telemetry)
    made.host_facts = replace(made.host_facts, containers=containers, topology_matrix=matrix)
    assert outcomes(made, "nvlink") == {expected}


def test_other_topologies_may_be_of_cards_with_a_bridge_or_none() -> None:
    for settings in (PCIE, Settings(topology="tp1", model="moe")):
        made = draft(settings)
        each_card(made, nvlink_links_active=0)
        for matrix in (FOUR, FOUR.replace("NV4", "PHB")):
            assert made.host_facts is not None
            made.host_facts = replace(made.host_facts, topology_matrix=matrix)
            assert outcomes(made, "nvlink") == {PASS}
