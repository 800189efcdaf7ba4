"""What `docker inspect` and a listing show; tests/e2e asks a real engine."""

import subprocess
import sys
from pathlib import Path

import pytest

from kit.bundle.host_facts import ModelSource
from kit.edge.docker import inspected
from kit.plan.models import ListedBy

DIGEST = "sha256:" + "ab" * 32
LABELS = {
    "llm-serving-kit.model.repository": "owner/model",
    "llm-serving-kit.model.revision": "ab" * 20,
}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        ([f"llm-serving-kit/cpu@{DIGEST}"], None),
        ([f"ghcr.io/somebody/cpu@{DIGEST}"], DIGEST),
        ([f"localhost:5000/cpu@{DIGEST}"], DIGEST),
        ([f"llm-serving-kit/cpu@sha256:{'0' * 64}", f"127.0.0.1:5000/cpu@{DIGEST}"], DIGEST),
    ],
)
def test_only_a_registrys_digest_counts(names: list[str], expected: str | None) -> None:
    assert inspected.registry_digest(names) == expected


@pytest.mark.parametrize(
    ("listed_by", "expected"),
    [("hub", ListedBy.HUB), ("mirror", ListedBy.MIRROR), ("me", ListedBy.NOBODY)],
)
def test_an_images_labels_say_where_a_models_files_are_from(
    listed_by: str, expected: ListedBy
) -> None:
    labels = {**LABELS, "llm-serving-kit.model.listed-by": listed_by}
    assert inspected.model_source(labels) == ModelSource(
        repository="owner/model", revision="ab" * 20, listed_by=expected
    )


def test_a_twins_image_names_no_source() -> None:
    assert inspected.model_source({}) is None
    assert inspected.model_source({"llm-serving-kit.model": "moe"}) is None


def test_every_file_of_a_folder_is_listed_with_its_place_in_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "sub" / "a b.json").write_bytes(b"[]\n")
    command = [sys.executable, "-c", inspected.LIST_FILES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    files = list(inspected.files_in(done.stdout))
    assert [(file.name, file.size_bytes) for file in files] == [
        ("config.json", 2),
        ("sub/a b.json", 3),
    ]
