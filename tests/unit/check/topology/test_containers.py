"""Tests of the topology tier's look at containers: what an honest host may have, and what not."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.bundle.host_facts import BASE_LABEL, Container
from kit.check.finding import Outcome
from tests.factory import BASE_IMAGE, Draft, Settings, draft, outcomes_of

PASS, FAIL, UNCHECKED, WARN = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK, Outcome.WARN
GPU = Settings(topology="tp2-pcie", model="moe")
CPU = Settings(runtime=Runtime.DOCKER)


def changed(settings: Settings, *services: str, **changes: object) -> Draft:
    """Return a draft whose containers of these services are otherwise."""
    made = draft(settings)
    assert made.host_facts is not None

    def change(one: Container) -> Container:
        return replace(one, **changes) if one.service in services else one

    containers = tuple(map(change, made.host_facts.containers))
    made.host_facts = replace(made.host_facts, containers=containers)
    return made


def outcomes(made: Draft) -> set[Outcome]:
    return outcomes_of(made, "topology-containers")


def test_images_may_be_of_any_name_and_of_this_machine_alone() -> None:
    made = changed(GPU, "client-moe", "telemetry-moe", image="ghcr.io/somebody/client@sha256:0")
    assert outcomes(made) == {PASS}
    made = changed(GPU, "moe", image="localhost:5000/moe:mine", image_digest=None)
    assert outcomes(made) == {UNCHECKED}


@pytest.mark.parametrize(
    ("label", "told", "expected"),
    [
        ("llm-serving-kit.model", "moe", PASS),
        ("llm-serving-kit.model", "dense", FAIL),
        ("llm-serving-kit.vllm", "0.17.0", PASS),
        ("llm-serving-kit.vllm", "0.18.0", FAIL),
        ("llm-serving-kit.version", "9", PASS),
    ],
)
def test_an_image_that_says_what_it_holds_is_held_to_it(
    label: str, told: str, expected: Outcome
) -> None:
    made = changed(GPU, "moe", image_labels={BASE_LABEL: BASE_IMAGE, label: told})
    assert outcomes(made) == {expected}


def test_a_cpu_topology_has_nobody_who_looks_at_gpus() -> None:
    made, on_gpus = draft(CPU), draft(GPU)
    assert made.host_facts is not None
    assert on_gpus.host_facts is not None
    looking = replace(on_gpus.host_facts.containers[-1], service="telemetry-tiny")
    containers = (*made.host_facts.containers, looking)
    made.host_facts = replace(made.host_facts, containers=containers)
    assert outcomes(made) == {FAIL}


@pytest.mark.parametrize(("topology", "expected"), [("tp1", WARN), ("tp2-pcie", PASS)])
def test_more_cards_seen_than_were_asked_for_are_said(topology: str, expected: Outcome) -> None:
    """On WSL2 a container sees them all."""
    made = draft(Settings(topology=topology, model="moe"))
    assert made.telemetry is not None
    cards = made.telemetry.header.inventory.gpus
    assert len(cards) == 2
    assert outcomes(made) == {expected}
