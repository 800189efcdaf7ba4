"""A model's image, really built: from the shipped Dockerfile, of a twin, from a stand-in hub.

The base is any image with a Python 3.11 or newer, which KIT_TEST_BASE names (`.ci/base-image` makes
one without a registry); it also takes the server's place. Builds reach the hub on loopback, so they
use the host's network.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kit.bootstrap.hub import Hub
from kit.edge.docker import model_dockerfile
from kit.edge.files import model_pins
from kit.edge.files.twin_files import ensure_twin
from kit.plan.models import HubModel, render_pin
from tests.e2e.engine_room import BASE, docker, require
from tests.factory import ROOT
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub
from tests.unit.edge.files.test_twin_files import TWIN

pytestmark = pytest.mark.docker

LARGE = "model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    require(BASE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return a twin's files, its weights cut in two as a large model's are.

    And some bytes that no build before this run has seen: what it left must not help.
    """
    folder = ensure_twin(TWIN, tmp_path_factory.mktemp("models"))
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
def served(files: Mapping[str, bytes]) -> Iterator[StandInHub]:
    with StandInHub(files).serving() as serving:
        yield serving


@pytest.fixture
def model(served: StandInHub) -> HubModel:
    unpinned = HubModel(id="stand-in", repository=REPOSITORY, licence="Apache-2.0")
    return model_pins.lock(unpinned, Hub(endpoint=served.endpoint))


@pytest.fixture
def context(model: HubModel, tmp_path: Path) -> Path:
    """Return a copy of what the build needs of the checkout, with the model's pin."""
    for name in ("kit/errors.py", "kit/bootstrap", "docker/models", "docker/model.Dockerfile"):
        place = tmp_path / "context" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place)
    shutil.copy(ROOT / ".dockerignore", tmp_path / "context")
    pin = tmp_path / "context" / "docker" / "models" / f"{model.id}.json"
    pin.write_bytes(render_pin(model))
    return tmp_path / "context"


@pytest.fixture
def image(tmp_path: Path) -> Iterator[str]:
    name = f"kit-test-model:{os.getpid()}"
    yield name
    docker("image", "rm", "--force", name)


def build(
    context: Path, image: str, dockerfile: str, endpoint: str, *options: str
) -> subprocess.CompletedProcess[str]:
    return docker(
        "build",
        "--network=host",
        "--file=-",
        f"--build-arg=BASE={BASE}",
        f"--build-arg=SERVER={BASE}",
        f"--build-arg=HF_ENDPOINT={endpoint}",
        f"--tag={image}",
        *options,
        str(context),
        input=dockerfile,
    )


def dockerfile_of(model: HubModel) -> str:
    return model_dockerfile.dockerfile((ROOT / "docker" / "model.Dockerfile").read_text(), model)


def in_image(image: str) -> dict[str, tuple[str, str]]:
    """Return mode and SHA-256 of every file of the model, as another user reads them."""
    script = "cd /models/stand-in; for f in $(find . -type f); do stat -c %a $f; sha256sum $f; done"
    done = docker("run", "--rm", "--network=none", "--user=65532:65532", image, "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    lines = iter(done.stdout.split("\n"))
    found = {}
    for mode in lines:
        if mode:
            digest, name = next(lines).split()
            found[name.removeprefix("./")] = (mode, digest)
    return found


def wanted(model: HubModel) -> dict[str, tuple[str, str]]:
    return {file.name: ("644", file.sha256) for file in model.files}


def inspected(image: str) -> dict[str, object]:
    (found,) = json.loads(docker("image", "inspect", image).stdout)
    return dict(found)


def test_an_image_holds_the_pinned_bytes_a_layer_for_each_weight_file(
    context: Path, image: str, model: HubModel, served: StandInHub
) -> None:
    done = build(context, image, dockerfile_of(model), served.endpoint)
    assert done.returncode == 0, done.stderr
    assert in_image(image) == wanted(model)
    config = inspected(image)["Config"]
    labels = config["Labels"]
    assert labels["llm-serving-kit.model"] == "stand-in"
    assert labels["llm-serving-kit.model.repository"] == REPOSITORY
    assert labels["llm-serving-kit.model.revision"] == REVISION
    assert labels["llm-serving-kit.model.licence"] == "Apache-2.0"
    base_layers = len(inspected(BASE)["RootFS"]["Layers"])
    assert len(inspected(image)["RootFS"]["Layers"]) == base_layers + 4
    assert "hf_token" not in json.dumps(inspected(image))


def test_the_file_as_it_stands_builds_too(
    context: Path, image: str, model: HubModel, served: StandInHub
) -> None:
    plain = (context / "docker" / "model.Dockerfile").read_text()
    done = build(context, image, plain, served.endpoint, f"--build-arg=MODEL={model.id}")
    assert done.returncode == 0, done.stderr
    assert in_image(image) == wanted(model)


def test_a_folder_serves_in_place_of_the_hub(
    context: Path, image: str, model: HubModel, files: Mapping[str, bytes], tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name, data in files.items():
        (weights / name).write_bytes(data)
    nowhere, options = "http://127.0.0.1:9", (f"--build-context=weights={weights}",)
    done = build(context, image, dockerfile_of(model), nowhere, *options)
    assert done.returncode == 0, done.stderr
    assert in_image(image) == wanted(model)
    name = model.files[-1].name
    (weights / name).write_bytes(bytes(model.files[-1].size_bytes))
    done = build(context, image, dockerfile_of(model), nowhere, *options)
    assert done.returncode != 0
    assert f"error: {name} is not the pinned file" in done.stderr


def test_a_wrong_byte_ends_the_build_and_the_next_one_goes_on(
    context: Path, image: str, model: HubModel, served: StandInHub
) -> None:
    served.faults = [None] * (len(model.files) - 1) + [Fault.CORRUPT]
    done = build(context, image, dockerfile_of(model), served.endpoint)
    assert done.returncode != 0
    assert "is not the pinned file" in done.stderr
    assert docker("image", "inspect", image).returncode != 0
    served.faults, served.seen = [Fault.NO_RANGES], []
    done = build(context, image, dockerfile_of(model), served.endpoint)
    assert done.returncode == 0, done.stderr
    assert in_image(image) == wanted(model)
    asked = {seen.path.rpartition("/")[2] for seen in served.seen if seen.place == "hub"}
    assert asked == {model.files[-1].name}, "the others were kept from the build before"


def test_a_token_reaches_the_hub_and_stays_out_of_the_image(
    context: Path, image: str, model: HubModel, served: StandInHub, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("hf_secret\n")
    option = f"--secret=id=hf_token,src={secret}"
    done = build(context, image, dockerfile_of(model), served.endpoint, option)
    assert done.returncode == 0, done.stderr
    assert {(seen.place, seen.authorization) for seen in served.seen} >= {
        ("hub", "Bearer hf_secret"),
        ("storage", None),
    }
    history = docker("history", "--no-trunc", image).stdout
    assert "hf_secret" not in json.dumps(inspected(image)) + history + done.stderr


def test_a_model_that_is_not_pinned_does_not_build(
    context: Path, image: str, served: StandInHub
) -> None:
    plain = (context / "docker" / "model.Dockerfile").read_text()
    done = build(context, image, plain, served.endpoint, "--build-arg=MODEL=moe")
    assert done.returncode != 0
    assert "error: the model moe is not pinned yet" in done.stderr
    assert "next: kit lock-models moe" in done.stderr
    assert docker("image", "inspect", image).returncode != 0
