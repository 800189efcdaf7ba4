"""From choices to planned cells."""

from dataclasses import replace

import pytest

from kit.bundle.document import Runtime
from kit.edge.cells import DEFAULT_TOPOLOGY, CellChoices, planned_cells
from kit.errors import UsageError
from kit.plan.plan import CachePolicy, ProtocolName

CHOICES = CellChoices(
    topology=None,
    models=(),
    suite="single",
    agents=(),
    passes=2,
    protocol="kit",
    cache="cold",
    timeout_s=60,
    runtime=None,
)


def test_without_choices_every_model_of_the_default_topology_is_planned() -> None:
    cells = planned_cells(CHOICES)
    assert {cell.plan.cell.topology for cell in cells} == {DEFAULT_TOPOLOGY}
    assert {cell.plan.cell.model for cell in cells} == {"moe-mini", "dense-mini"}
    assert {cell.runtime for cell in cells} == {Runtime.PROCESS}
    plan = cells[0].plan
    assert (plan.protocol, plan.cache, plan.measured_passes) == (
        ProtocolName.KIT,
        CachePolicy.COLD,
        2,
    )


def test_a_time_and_passes_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        planned_cells(replace(CHOICES, suite="swarm", duration_s=60.0))
    cells = planned_cells(replace(CHOICES, suite="swarm", duration_s=60.0, passes=None))
    assert {cell.plan.duration_s for cell in cells} == {60.0}


def test_models_are_planned_in_the_order_of_the_choices() -> None:
    cells = planned_cells(replace(CHOICES, models=("moe-mini", "dense-mini", "moe-mini")))
    assert [cell.plan.cell.model for cell in cells] == ["moe-mini", "dense-mini", "moe-mini"]


def test_gpu_topologies_run_in_containers_only() -> None:
    on_gpu = replace(CHOICES, topology="tp1", models=("moe",))
    assert [cell.runtime for cell in planned_cells(on_gpu)] == [Runtime.DOCKER]
    with pytest.raises(UsageError) as caught:
        planned_cells(replace(on_gpu, runtime="process"))
    assert caught.value.why == "valid: docker"
