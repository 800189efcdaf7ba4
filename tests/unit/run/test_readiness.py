"""Readiness of machines that have everything, and of machines that lack one thing each."""

import json

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, GpuProcesses, Inventory, Source
from kit.cli import commands
from kit.edge.files import checkout
from kit.run.readiness import DockerFacts, MachineFacts, Readiness, examine

TOPOLOGIES = {path.stem: checkout.topology(path.stem) for path in checkout.compose_files()}
FP8_ON_ONE = "moe-fp8 tp1 docker"
SHAPES = checkout.yardsticks().shapes
CARD = GpuFacts(
    index=0,
    name="NVIDIA GeForce RTX 3090",
    memory_bytes=24 * 2**30,
    compute_capability="8.6",
    nvlink_links_active=4,
)
GPUS = Inventory(
    source=Source.NVML,
    driver_version="570.133.20",
    cuda_driver_version="12.8",
    gpus=(CARD, replace(CARD, index=1)),
)
DOCKER = DockerFacts(
    version="26.1.5",
    compose_version="2.26.1",
    has_nvidia_runtime=True,
    free_bytes=10**12,
)
GOOD = MachineFacts(
    system="Linux 6.1",
    machine="x86_64",
    has_avx2=True,
    cores=16,
    memory_bytes=64 * 10**9,
    free_bytes=10**12,
    docker=DOCKER,
    gpus=GPUS,
)


def cells(facts: MachineFacts, **variables: str) -> dict[str, Readiness]:
    found = examine(facts, TOPOLOGIES, SHAPES, variables)
    return {f"{one.model} {one.topology} {one.runtime}": one for one in found}


def lacking(facts: MachineFacts) -> set[str]:
    return {name for name, one in cells(facts).items() if one.lacks}


def held_back(facts: MachineFacts) -> set[str]:
    """Return the cells that lack something, but for the one that no card of 24 GB can run."""
    return lacking(facts) - {FP8_ON_ONE}


def test_a_machine_with_everything_runs_everything() -> None:
    assert len(cells(GOOD)) == 2 * 2 * 2 + 4 * 3
    assert lacking(GOOD) == {FP8_ON_ONE}  # 31 GB of weights do not fit a card of 24 GB


def named(part: str) -> set[str]:
    return {name for name in cells(GOOD) if part in name} - {FP8_ON_ONE}


ON_GPU = named(" tp1 ") | named(" tp2-")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(GOOD, gpus=None), ON_GPU),
        (replace(GOOD, gpus=replace(GPUS, gpus=(CARD,))), named(" tp2-")),
        (replace(GOOD, gpus=replace(GPUS, driver_version="550.90.07")), ON_GPU),
        (replace(GOOD, gpus=replace(GPUS, driver_version="570.124.06")), set()),
        (replace(GOOD, docker=None), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, compose_version=None)), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, version="24.0.9")), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, version="25.0.0")), set()),
        (replace(GOOD, docker=replace(DOCKER, has_nvidia_runtime=False)), ON_GPU),
        (replace(GOOD, docker=replace(DOCKER, compose_version="2.20.2")), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, compose_version="v2.24.0")), set()),
        (replace(GOOD, docker=replace(DOCKER, has_buildx=False)), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, is_podman=True)), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, is_rootless=True)), named("docker")),
        (replace(GOOD, docker=replace(DOCKER, has_selinux=True)), named("docker")),
        (replace(GOOD, system="Linux 5.15.167.4-microsoft-standard-WSL2"), ON_GPU),
        (replace(GOOD, has_avx2=False), named("cpu-")),
        (replace(GOOD, cores=1), named("cpu-tp2")),
        (replace(GOOD, memory_bytes=4 * 10**9), named("cpu-")),
    ],
)
def test_one_thing_lacking_holds_back_what_needs_it(
    facts: MachineFacts, expected: set[str]
) -> None:
    assert held_back(facts) == expected
    for cell in cells(facts).values():
        assert all(lack.what and lack.next_step for lack in cell.lacks)


@pytest.mark.parametrize(
    "card",
    [
        replace(CARD, memory_bytes=12 * 2**30),
        replace(CARD, compute_capability="7.5"),
        replace(CARD, compute_capability=None),
    ],
)
def test_a_card_that_does_not_fit_is_not_counted(card: GpuFacts) -> None:
    facts = replace(GOOD, gpus=replace(GPUS, gpus=(CARD, replace(card, index=1))))
    assert held_back(facts) == named(" tp2-")


def test_cards_of_two_kinds_are_no_pair() -> None:
    cards = (CARD, replace(CARD, index=1, name="NVIDIA RTX A6000"))
    assert held_back(replace(GOOD, gpus=replace(GPUS, gpus=cards))) == named(" tp2-")


def test_somebody_elses_work_on_a_card_holds_it_back() -> None:
    busy = replace(GOOD, gpu_processes=(GpuProcesses(index=1, compute_count=2, graphics_count=1),))
    assert held_back(busy) == named(" tp2-")
    drawn_on = replace(GOOD, gpu_processes=(GpuProcesses(index=0, compute_count=0),))
    assert held_back(drawn_on) == set()


def test_other_cards_may_be_chosen_and_are_by_default() -> None:
    cards = (replace(CARD, name="Quadro K600", memory_bytes=2**30), *GPUS.gpus[1:])
    three = replace(GOOD, gpus=replace(GPUS, gpus=(*cards, replace(CARD, index=2))))
    assert held_back(three) == set()
    chosen = cells(three, KIT_GPU_0="0", KIT_GPU_1="2")
    assert {name for name, one in chosen.items() if one.lacks} >= named(" tp2-")


def test_cards_that_docker_knows_by_cdi_alone_need_the_runtime() -> None:
    cdi = replace(DOCKER, has_nvidia_runtime=False, has_nvidia_devices=True)
    (lack,) = cells(replace(GOOD, docker=cdi))["moe tp1 docker"].lacks
    assert "CDI alone" in lack.what
    assert "nvidia-ctk runtime configure" in lack.next_step


def test_an_engine_that_is_not_yours_is_told_from_one_that_is_not_there() -> None:
    fault = "[Errno 13] Permission denied: it does not run, or this user may not use it"
    theirs = replace(GOOD, docker=None, docker_fault=fault)
    (lack,) = cells(theirs)["moe tp1 docker"].lacks
    assert lack.next_step == "sudo usermod -aG docker $USER, then log in again"
    (lack,) = cells(replace(GOOD, docker=None))["moe tp1 docker"].lacks
    assert lack.next_step == "https://docs.docker.com/engine/install/"


def test_one_card_where_two_are_needed_is_told_of_tp1() -> None:
    one_card = replace(GOOD, gpus=replace(GPUS, gpus=(CARD,)))
    (lack,) = cells(one_card)["moe tp2-pcie docker"].lacks
    assert lack.what.startswith("2 GPUs of compute capability 8.0 and 17.3 GiB, found 1\n  GPU 0 ")
    assert lack.next_step.startswith("make doctor TOPOLOGY=tp1")


def test_links_that_are_down_hold_back_nvlink_alone() -> None:
    cards = tuple(replace(gpu, nvlink_links_active=0) for gpu in GPUS.gpus)
    assert held_back(replace(GOOD, gpus=replace(GPUS, gpus=cards))) == named("tp2-nvlink")


def test_the_command_tells_a_person_and_a_program() -> None:
    told = CliRunner().invoke(commands, ["doctor"], standalone_mode=False).output
    assert "x cpu-tp1 (process)" in told
    document = json.loads(CliRunner().invoke(commands, ["doctor", "--json"]).output)
    assert {cell["topology"] for cell in document["cells"]} == set(TOPOLOGIES)
    assert document["machine"]["cores"] >= 1
