"""The one command of a GPU host, from a checkout without images: `make bench TOPOLOGY=tp2-pcie`.

No flag and no variable of a rehearsal. Replaced are, in a copy of the checkout, the server's image
(the CPU engine's, on which the models are baked) and the models (small twins, from a stand-in hub),
and on the machine the device driver. So the bundles are complete, and the verdict says what they
are: not of this engine, these models, these cards.
"""

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kit.bundle import bag
from kit.bundle.document import Document, Status
from kit.bundle.host_facts import HostFacts, ModelSource
from kit.check.finding import Outcome
from kit.edge.docker import images
from kit.edge.files import checkout, safe_read
from kit.edge.files.twin_files import ensure_twin
from kit.format import canonical
from kit.plan.models import ListedBy, Twin
from tests.e2e.engine_room import BASE, docker, require
from tests.stand_in_hub import StandInHub

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

DRIVER = checkout.ROOT / "tests" / "stand_in_gpu" / "driver"
VERSION = "0.0.0"
"""Of the copy, so that its images are not taken for newer ones of this checkout."""

SERVER = f"""
ARG BASE
FROM {images.rehearsal(BASE).reference}
LABEL org.opencontainers.image.version="{VERSION}"
"""
REPLACED = {
    "arithmetic-text",  # a twin's stop tokens have a text
    "topology-device",
    "topology-transport",  # ranks on CPU talk by Gloo
    "topology-arguments",  # a twin has no quantization
}
OF_THE_HOST = {"arithmetic-time-witness", "arithmetic-idle"}
"""What a busy host makes of a CPU engine's passes."""

MODELS = {"moe": "moe-rehearsal", "dense": "dense-rehearsal"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a copy of the checkout, with what this machine cannot have replaced."""
    require(BASE)
    for image in images.missing([images.cpu(BASE), images.rehearsal(BASE)]):
        images.build(image, print)
    folder = tmp_path_factory.mktemp("a path with spaces") / "kit"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(
        listed, cwd=checkout.ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, names.split("\0")):
        if (source := checkout.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    _replace(folder / "kit/__init__.py", r'__version__ = ".*"', f'__version__ = "{VERSION}"')
    models = folder / "docker/models.toml"
    _replace(models, r"(?s)\[dense\.sha256\]\n.*?\n\n", "")
    for model in MODELS:
        _replace(models, rf"(\[{model}\]\nrepository = ).*", rf'\1"stand-in/{model}"')
        _replace(models, rf"(\[{model}\]\n.*\nrevision = ).*", rf'\1"{revision(model)}"')
        _replace(models, rf"(?s)(\[{model}\.config\].*?num_hidden_layers = )\d+", r"\g<1>1")
    (folder / "docker/server.Dockerfile").write_text(SERVER)
    _replace(folder / "kit/edge/docker/images.py", r"size_bytes=10_900", "size_bytes=100")
    yield folder
    made = docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    docker("image", "rm", "--force", *(name for name in made if f":{VERSION}" in name))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    moe, dense = (
        StandInHub(
            _files(twin, tmp_path_factory.mktemp(model)), f"stand-in/{model}", revision(model)
        )
        for model, twin in MODELS.items()
    )
    with moe.serving(dense):
        yield moe.endpoint


def revision(model: str) -> str:
    return model.encode().hex().ljust(40, "0")


def _files(twin: str, folder: Path) -> Mapping[str, bytes]:
    model = checkout.models()[twin]
    assert isinstance(model, Twin)
    return {path.name: path.read_bytes() for path in ensure_twin(model, folder).iterdir()}


def _replace(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"{path} has no {pattern}"
    path.write_text(text)


def make(copy: Path, hub: str, *words: str) -> subprocess.CompletedProcess[str]:
    # Where this engine may not raise limits, that is told, with this variable.
    _, memlock_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return subprocess.run(
        ["make", *words],
        cwd=copy,
        env={
            **os.environ,
            "BASE": BASE,
            "HF_ENDPOINT": hub,
            "KIT_MEMLOCK": str(memlock_bytes),
            "PATH": f"{DRIVER.parent}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(DRIVER),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_builds_measures_both_models_and_judges_them(copy: Path, hub: str) -> None:
    done = make(copy, hub, "bench", "TOPOLOGY=tp2-pcie", "PROTOCOL=article")
    for name in ("client", "server", *MODELS):
        assert f"  to build: image {name}: " in done.stderr, done.stderr
    folders = sorted((copy / "results/local").glob("2*"))
    assert len(folders) == len(MODELS), done.stderr
    for folder, model in zip(folders, MODELS, strict=True):
        _look_at(folder, model)
        assert f"INVALID  {folder}" in done.stderr
    again = make(copy, hub, "images", "TOPOLOGY=tp2-pcie")
    assert again.returncode == 0, again.stderr
    assert "to build" not in again.stderr


def _look_at(folder: Path, model: str) -> None:
    """Hold what a GPU run would hold too; the verdict fails for what was replaced alone."""
    files = safe_read.read_folder(folder).files
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert (document.plan.cell.model, document.status) == (model, Status.COMPLETE)
    assert not document.plan.rehearsal
    facts = canonical.decode(files[bag.HOST_FACTS], HostFacts)
    assert facts.model_source == ModelSource(
        repository=f"stand-in/{model}", revision=revision(model), listed_by=ListedBy.MIRROR
    )
    served = {one.service: one.image.partition(":")[0] for one in facts.containers}
    assert served[model] == f"{images.NAMESPACE}/{model}"
    assert REPLACED <= failed_codes(folder) <= REPLACED | OF_THE_HOST


def failed_codes(bundle: Path) -> set[str]:
    """Return what the copy's own verdict fails for."""
    copy = bundle.parents[2]
    command = [str(copy / ".kit/venv/bin/kit"), "verify", str(bundle), "--format", "json"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)["findings"]
    return {one["code"] for one in findings if one["outcome"] == Outcome.FAIL.value}
