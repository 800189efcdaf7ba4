"""Reading the files of the checkout."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.edge.files import checkout
from kit.errors import UsageError
from kit.plan.topology import Device


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
    assert checkout.catalog().suites["single"] == checkout.suite("single")


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


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(checkout.TOKENIZER_LIMIT_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_pipe, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (_too_large, "larger than"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: None, "No such file"),
    ],
    ids=["pipe", "folder", "too-large", "dangling", "missing"],
)
def test_a_file_of_the_users_own_is_a_regular_one_of_limited_size(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    make(path)
    for read in (lambda: checkout.catalog([path]), lambda: checkout.published(str(path), {})):
        with pytest.raises(UsageError, match="cannot read") as caught:
            read()
        assert said in caught.value.what


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    for read in (lambda: checkout.catalog([Path("\0")]), lambda: checkout.published("\0.toml", {})):
        with pytest.raises(UsageError, match="cannot read"):
            read()


def test_a_tokenizer_may_be_behind_a_link(tmp_path: Path) -> None:
    """As it is in the cache that the hub's own client keeps."""
    path = tmp_path / "tokenizer.json"
    path.symlink_to(checkout.ROOT / "kit" / "twins" / "tokenizer.json")
    assert checkout.catalog([path]).tokenizers.keys() == checkout.catalog().tokenizers.keys()


def test_the_base_image_is_named_by_its_digest() -> None:
    name, _, digest = checkout.base_image().partition("@sha256:")
    assert name == "docker.io/library/python:3.11-slim-bookworm"
    assert len(digest) == 64
