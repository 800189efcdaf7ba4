"""The Dockerfile of a model's image: a layer for each weight file, all arguments filled in."""

import re
from pathlib import Path

import pytest

from kit.edge.docker.model_dockerfile import dockerfile
from kit.errors import SpecError
from kit.plan.models import FileList, HubFile, HubModel, ListedBy

ROOT = Path(__file__).parents[4]
TEMPLATE = (ROOT / "docker" / "model.Dockerfile").read_text()
NAMES = (
    "LICENSE",
    "a/config.json",
    "config.json",
    "model-00001-of-00002.safetensors",
    "a/model-00002-of-00002.safetensors",
)
MODEL = HubModel(id="tiny", repository="owner/model", licence="Apache-2.0", revision="ab" * 20)
LISTED = FileList(
    repository=MODEL.repository,
    revision=MODEL.revision,
    listed_by=ListedBy.HUB,
    files=tuple(HubFile(name=name, size_bytes=1, sha256="0" * 64) for name in NAMES),
)


def copies(text: str) -> list[list[str]]:
    """Return the words of every COPY out of the stage that holds the model."""
    joined = text.replace("\\\n", " ")
    lines = re.findall(r"^COPY --link --from=model (.*)$", joined, re.MULTILINE)
    return [line.split() for line in lines]


def test_the_small_files_of_a_folder_share_a_layer_and_each_weight_file_has_its_own() -> None:
    root = "/models/tiny"
    assert copies(dockerfile(TEMPLATE, MODEL, LISTED)) == [
        [f"{root}/LICENSE", f"{root}/config.json", f"{root}/"],
        [f"{root}/a/config.json", f"{root}/a/"],
        [f"{root}/model-00001-of-00002.safetensors", f"{root}/"],
        [f"{root}/a/model-00002-of-00002.safetensors", f"{root}/a/"],
    ]


def test_every_file_is_copied_once() -> None:
    sources = [
        source for *words, _ in copies(dockerfile(TEMPLATE, MODEL, LISTED)) for source in words
    ]
    assert sorted(sources) == sorted(f"/models/tiny/{name}" for name in NAMES)


def test_the_facts_are_filled_in_wherever_they_are_asked_for() -> None:
    text = dockerfile(TEMPLATE, MODEL, LISTED)
    assert text.count('ARG MODEL="tiny"\n') == TEMPLATE.count("ARG MODEL\n") == 3
    assert 'ARG REPOSITORY="owner/model"\n' in text
    assert f'ARG REVISION="{"ab" * 20}"\n' in text
    assert 'ARG LICENCE="Apache-2.0"\n' in text
    assert 'ARG LISTED_BY="hub"\n' in text
    assert (
        "ARG SERVER=scratch\n" in text
    )  # left to the caller: which server is no fact of the model


def test_nothing_else_is_changed() -> None:
    kept = [line for line in TEMPLATE.splitlines() if not line.startswith(("ARG", "COPY --link"))]
    made = dockerfile(TEMPLATE, MODEL, LISTED).splitlines()
    assert [line for line in made if line in kept] == kept


@pytest.mark.parametrize("line", ["ARG MODEL\n", "ARG LICENCE\n", "COPY --link --from=model"])
def test_a_template_without_its_places_is_refused(line: str) -> None:
    with pytest.raises(SpecError, match=r"model\.Dockerfile has no line"):
        dockerfile(TEMPLATE.replace(line, "#"), MODEL, LISTED)
