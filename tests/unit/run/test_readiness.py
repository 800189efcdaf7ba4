"""Readiness of machines that have everything, and of machines that lack one thing each."""

import json
from dataclasses import replace as with_fields

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from kit.bundle.telemetry import GpuFacts, GpuProcesses, Inventory, Source
from kit.cli import commands
from kit.edge.files import checkout
from kit.plan.models import HubFile, HubModel, Model
from kit.run.readiness import DockerFacts, MachineFacts, Readiness, examine

TOPOLOGIES = {path.stem: checkout.topology(path.stem) for path in checkout.compose_files()}
FILE = HubFile(name="model.safetensors", size_bytes=1, sha256="ab" * 32)
MODELS: dict[str, Model] = {
    name: with_fields(model, revision="ab" * 20, files=(FILE,))
    if isinstance(model, HubModel)
    else model
    for name, model in checkout.models().items()
}
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
IMAGES = tuple(f"llm-serving-kit/{name}:1" for name in ("client", "cpu", *MODELS))
DOCKER = DockerFacts(
    version="26.1.5",
    compose_version="2.26.1",
    has_nvidia_runtime=True,
    free_bytes=10**12,
    images=IMAGES,
)
GOOD = MachineFacts(
    system="Linux 6.1",
    machine="x86_64",
    has_avx2=True,
    cores=16,
    memory_bytes=64 * 10**9,
    free_bytes=10**12,
    has_engine=True,
    docker=DOCKER,
    gpus=GPUS,
)


def cells(
    facts: MachineFacts, models: dict[str, Model] = MODELS, **variables: str
) -> dict[str, Readiness]:
    found = examine(facts, TOPOLOGIES, models, "1", variables)
    return {f"{one.model} {one.topology} {one.runtime}": one for one in found}


def lacking(facts: MachineFacts, models: dict[str, Model] = MODELS) -> set[str]:
    return {name for name, one in cells(facts, models).items() if one.lacks}


def test_a_machine_with_everything_runs_everything() -> None:
    assert len(cells(GOOD)) == 2 * 2 * 2 + 2 + 3 * 3
    assert lacking(GOOD) == set()


def named(part: str) -> set[str]:
    return {name for name in cells(GOOD) if part in name}


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
        (replace(GOOD, docker=replace(DOCKER, images=IMAGES[1:])), named("docker")),
        (replace(GOOD, has_engine=False), named("process")),
        (replace(GOOD, has_avx2=False), named("cpu-")),
        (replace(GOOD, cores=1), named("cpu-tp2")),
        (replace(GOOD, memory_bytes=4 * 10**9), named("cpu-")),
    ],
)
def test_one_thing_lacking_holds_back_what_needs_it(
    facts: MachineFacts, expected: set[str]
) -> None:
    assert lacking(facts) == expected
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
    assert lacking(facts) == named(" tp2-")


def test_cards_of_two_kinds_are_no_pair() -> None:
    cards = (CARD, replace(CARD, index=1, name="NVIDIA RTX A6000"))
    assert lacking(replace(GOOD, gpus=replace(GPUS, gpus=cards))) == named(" tp2-")


def test_somebody_elses_work_on_a_card_holds_it_back() -> None:
    busy = replace(GOOD, gpu_processes=(GpuProcesses(index=1, compute_count=2, graphics_count=1),))
    assert lacking(busy) == named(" tp2-")
    drawn_on = replace(GOOD, gpu_processes=(GpuProcesses(index=0, compute_count=0),))
    assert lacking(drawn_on) == set()


def test_other_cards_may_be_chosen() -> None:
    cards = (replace(CARD, name="Quadro K600", memory_bytes=2**30), *GPUS.gpus[1:])
    three = replace(GOOD, gpus=replace(GPUS, gpus=(*cards, replace(CARD, index=2))))
    assert lacking(three) == ON_GPU
    chosen = cells(three, KIT_GPU_0="1", KIT_GPU_1="2")
    assert not any(one.lacks for one in chosen.values())
    by_uuid = cells(GOOD, KIT_GPU_0="GPU-0f", KIT_GPU_1="GPU-1f")
    assert not any(one.lacks for one in by_uuid.values())


def test_links_that_are_down_hold_back_nvlink_alone() -> None:
    cards = tuple(replace(gpu, nvlink_links_active=0) for gpu in GPUS.gpus)
    assert lacking(replace(GOOD, gpus=replace(GPUS, gpus=cards))) == named("tp2-nvlink")


def test_a_model_that_is_not_pinned_holds_back_its_own_cells() -> None:
    (moe,) = (model for name, model in checkout.models().items() if name == "moe")
    assert lacking(GOOD, MODELS | {"moe": moe}) == {
        name for name in named("moe ") if name in ON_GPU
    }


def test_the_command_tells_a_person_and_a_program() -> None:
    told = CliRunner().invoke(commands, ["doctor"], standalone_mode=False).output
    assert "x cpu-tp1 (process)" in told
    document = json.loads(CliRunner().invoke(commands, ["doctor", "--json"]).output)
    assert {cell["topology"] for cell in document["cells"]} == set(TOPOLOGIES)
    assert document["machine"]["cores"] >= 1
