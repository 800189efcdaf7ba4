"""What must be known of a run before its figures may be quoted."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.bundle.host_facts import BASE_LABEL
from kit.check.finding import Outcome, Verdict
from kit.errors import ExitCode
from tests.catalog import TRANSPORTS
from tests.edits.telemetry import each_card
from tests.factory import BASE_IMAGE, Draft, Settings, draft, judge

DOCKER = Settings(runtime=Runtime.DOCKER)


def based_on(name: str | None) -> Draft:
    """Return a run in containers whose images say that they stand on `name`."""
    made = draft(DOCKER)
    assert made.host_facts is not None
    labels = {} if name is None else {BASE_LABEL: name}
    containers = tuple(replace(one, image_labels=labels) for one in made.host_facts.containers)
    made.host_facts = replace(made.host_facts, containers=containers)
    return made


def outcomes(verdict: Verdict) -> set[Outcome]:
    return {one.outcome for one in verdict.findings if one.code == "protocol-base-image"}


@pytest.mark.parametrize("settings", [Settings(), DOCKER])
def test_a_twin_whose_every_part_is_pinned_is_reportable(settings: Settings) -> None:
    verdict = judge(draft(settings).seal())
    assert (verdict.is_reportable, verdict.not_shown) == (True, ())


def test_a_model_whose_files_nobody_looked_at_is_not() -> None:
    made = draft(Settings(topology="tp2-pcie", model="moe"))
    made.document = replace(made.document, engine=replace(made.document.engine, model_files=None))
    verdict = judge(made.seal())
    assert verdict.not_shown == ("protocol-model-files",)
    assert not verdict.is_reportable


def test_a_server_of_somebody_elses_is_not() -> None:
    verdict = judge(draft(Settings(runtime=Runtime.ENDPOINT)).seal())
    assert {"topology-tier", "protocol-model-files"} <= set(verdict.not_shown)
    assert not verdict.is_reportable


def test_a_run_that_broke_off_is_not_though_its_parts_are_known() -> None:
    verdict = judge(draft(Settings(stop_after=3)).seal())
    assert (verdict.not_shown, verdict.is_reportable) == ((), False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (BASE_IMAGE, Outcome.PASS),
        ("mirror.example/python@" + BASE_IMAGE.partition("@")[2], Outcome.PASS),
        ("docker.io/library/python:3.12@sha256:" + "0" * 64, Outcome.FAIL),
        ("docker.io/library/python:3.12", Outcome.COULD_NOT_CHECK),
        (None, Outcome.COULD_NOT_CHECK),
    ],
)
def test_images_are_held_against_the_pinned_base(name: str | None, expected: Outcome) -> None:
    verdict = judge(based_on(name).seal())
    assert outcomes(verdict) == {expected}
    assert verdict.is_reportable is (expected is Outcome.PASS)


def on_gpus(topology: str) -> Draft:
    return draft(Settings(runtime=Runtime.DOCKER, topology=topology, model="moe"))


def without_telemetry(made: Draft) -> None:
    made.telemetry = None
    made.document.absent["telemetry"] = "the driver's library could not be loaded"


def a_card_that_nobody_knows(made: Draft) -> None:
    each_card(made, name="NVIDIA GeForce RTX 3090 D")


def links_that_nobody_tells_of(made: Draft) -> None:
    assert made.host_facts is not None
    made.host_facts = replace(made.host_facts, topology_matrix=None)


@pytest.mark.parametrize("topology", TRANSPORTS)
def test_a_gpu_topology_whose_cards_are_known_is_reportable(topology: str) -> None:
    """GeForce cards with NVLink that count no bytes, and do not use it, among them."""
    verdict = judge(on_gpus(topology).seal())
    assert (verdict.is_reportable, verdict.not_shown) == (True, ())


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (
            without_telemetry,
            {"topology-telemetry", "topology-slowdown", "physics-tier"},
        ),
        (a_card_that_nobody_knows, {"physics-tier"}),
    ],
)
@pytest.mark.parametrize("topology", TRANSPORTS)
def test_gpus_that_nobody_saw_are_valid_and_not_reportable(
    topology: str, change: Callable[[Draft], None], missing: set[str]
) -> None:
    made = on_gpus(topology)
    change(made)
    verdict = judge(made.seal())
    assert verdict.exit_code is ExitCode.DONE
    assert set(verdict.not_shown) - {"topology-nvlink"} == missing
    assert not verdict.is_reportable


def test_links_must_be_known_where_they_are_promised() -> None:
    for topology, missing in (("tp2-nvlink", ("topology-nvlink",)), ("tp2-pcie", ())):
        made = on_gpus(topology)
        links_that_nobody_tells_of(made)
        assert judge(made.seal()).not_shown == missing
