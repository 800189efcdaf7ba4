"""The checkout's own files, read into values."""

import pytest

from kit.edge import checkout
from kit.errors import UsageError
from kit.spec import Device


def test_models_of_the_checkout_are_twins_and_models_of_the_hub() -> None:
    models = checkout.models()
    twins = {f"{model}-{use}" for model in ("moe", "dense") for use in ("mini", "rehearsal")}
    assert set(models) == {"moe", "dense", "moe-fp8", *twins}
    assert all(key == model.id for key, model in models.items())


@pytest.mark.parametrize(("name", "size"), [("cpu-tp1", 1), ("cpu-tp2", 2)])
def test_topologies_serve_every_model(name: str, size: int) -> None:
    topology = checkout.topology(name)
    assert (topology.id, topology.device) == (name, Device.CPU)
    assert topology.tensor_parallel_size == size
    assert {"moe-mini", "dense-mini"} <= set(topology.services)


def test_suites_are_known_by_their_folder() -> None:
    assert checkout.shipped().suites["single"] == checkout.suite("single")


def test_schemas_are_known_by_name() -> None:
    assert {"bundle", "record"} <= set(checkout.schemas())


@pytest.mark.parametrize("wanted", ["tp9", "", "../compose/cpu-tp1", "cpu-tp1.yaml", "*"])
def test_an_unknown_topology_names_the_valid_ones(wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        checkout.topology(wanted)
    assert repr(wanted) in caught.value.what
    assert "cpu-tp1, cpu-tp2" in caught.value.why
    assert caught.value.next_step.startswith("make bench TOPOLOGY=")


def test_an_unknown_suite_names_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="unknown suite 'many'") as caught:
        checkout.suite("many")
    assert "single" in caught.value.why


def test_nothing_to_choose_from_is_said() -> None:
    with pytest.raises(UsageError) as caught:
        checkout.choose("model", "moe", {})
    assert caught.value.why == "valid: none"
