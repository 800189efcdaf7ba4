"""A model's image, really built: from the shipped Dockerfile, of a twin, from a stand-in hub.

The base is any image with a Python 3.11 or newer, which KIT_TEST_BASE names (`.ci/base-image` makes
one without a registry); under the server's name it also takes the server's place.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kit.edge.docker import images
from kit.edge.files import checkout
from kit.edge.files.twin_files import ensure_twin
from kit.errors import MachineError
from kit.plan.models import FileList, HubModel, ListedBy
from tests.e2e.engine_room import BASE, docker, require
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub
from tests.unit.edge.files.test_twin_files import TWIN

pytestmark = pytest.mark.docker

LARGE = "model.safetensors"
MODEL = HubModel(
    id=f"test-model-{os.getpid()}", repository=REPOSITORY, revision=REVISION, licence="Apache-2.0"
)


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    """Build something small under the name of the server, unless there is one.

    Not a second tag of the base: the builder may look for that in a registry.
    """
    require(BASE)
    server = images.server(BASE)
    is_missing = bool(images.missing([server]))
    if is_missing:
        built = docker(
            "build", "--tag", server.reference, "-", input=f"FROM {BASE}\nLABEL kit=test\n"
        )
        assert built.returncode == 0, built.stderr
    yield
    if is_missing:
        docker("image", "rm", server.reference)


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, bytes]:
    """Return a twin's files, its weights cut in two as a large model's are.

    And some bytes that no build has seen before: what another one left must not help.
    """
    folder = ensure_twin(TWIN, tmp_path)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = found.pop(LARGE)
    middle = len(weights) // 2
    return {
        **found,
        "model-00001-of-00002.safetensors": weights[:middle],
        "model-00002-of-00002.safetensors": weights[middle:],
        "noise.safetensors": os.urandom(5000),
    }


@pytest.fixture
def served(files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    with StandInHub(files).serving() as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield serving


@pytest.fixture
def listed(served: StandInHub) -> Iterator[FileList]:
    yield images.list_files(MODEL, BASE, print)
    checkout.local_file_list(MODEL.id).unlink()


@pytest.fixture
def image(listed: FileList) -> Iterator[str]:
    made = images.with_model(MODEL, listed, BASE)
    yield made.reference
    docker("image", "rm", "--force", made.reference, f"{made.reference.rpartition('-')[0]}")


def in_image(image: str) -> dict[str, tuple[str, str]]:
    """Return mode and SHA-256 of every file of the model, as another user reads them."""
    folder = f"/models/{MODEL.id}"
    script = f"cd {folder}; for f in $(find . -type f); do stat -c %a $f; sha256sum $f; done"
    done = docker("run", "--rm", "--network=none", "--user=65532:65532", image, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    lines = iter(done.stdout.split("\n"))
    found = {}
    for mode in lines:
        if mode:
            digest, name = next(lines).split()
            found[name.removeprefix("./")] = (mode, digest)
    return found


def inspected(image: str) -> dict[str, object]:
    (found,) = json.loads(docker("image", "inspect", image).stdout)
    return dict(found)


def test_the_hubs_list_is_kept_on_this_host(listed: FileList, files: Mapping[str, bytes]) -> None:
    assert {file.name for file in listed.files} == set(files)
    assert listed.listed_by is ListedBy.MIRROR
    assert checkout.file_list(MODEL) == listed


def test_an_image_holds_the_listed_bytes_a_layer_for_each_weight_file(
    image: str, listed: FileList, served: StandInHub
) -> None:
    assert images.missing([images.with_model(MODEL, listed, BASE)])
    images.build_with_model(MODEL, listed, BASE, print)
    assert not images.missing([images.with_model(MODEL, listed, BASE)])
    assert in_image(image) == {file.name: ("644", file.sha256) for file in listed.files}
    labels = inspected(image)["Config"]["Labels"]
    assert labels["llm-serving-kit.model"] == MODEL.id
    assert labels["llm-serving-kit.model.repository"] == REPOSITORY
    assert labels["llm-serving-kit.model.revision"] == REVISION
    assert labels["llm-serving-kit.model.listed-by"] == "mirror"
    base_layers = len(inspected(BASE)["RootFS"]["Layers"])
    assert len(inspected(image)["RootFS"]["Layers"]) == base_layers + 4
    assert {(seen.place, seen.authorization) for seen in served.seen} >= {
        ("hub", "Bearer hf_secret"),
        ("storage", None),
    }
    history = docker("history", "--no-trunc", image).stdout
    assert "hf_secret" not in json.dumps(inspected(image)) + history


def test_a_wrong_byte_ends_the_build_and_the_next_one_goes_on(
    image: str, listed: FileList, served: StandInHub
) -> None:
    served.faults = [None] * 3 + [Fault.CORRUPT]
    with pytest.raises(MachineError, match="is not the listed file") as caught:
        images.build_with_model(MODEL, listed, BASE, print)
    assert caught.value.why.startswith("expected ")
    assert images.missing([images.with_model(MODEL, listed, BASE)])
    served.faults, served.seen = [], []
    images.build_with_model(MODEL, listed, BASE, print)
    assert in_image(image) == {file.name: ("644", file.sha256) for file in listed.files}
    asked = {seen.path.rpartition("/")[2] for seen in served.seen if seen.place == "hub"}
    assert "chat_template.jinja" not in asked, "it was kept from the build before"


def test_a_revision_that_is_gone_is_told_with_what_replaces_it(served: StandInHub) -> None:
    served.revision = "ab" * 20
    with pytest.raises(MachineError, match=f"no revision {REVISION}") as caught:
        images.list_files(MODEL, BASE, print)
    assert f"its newest is {'ab' * 20}" in caught.value.why
