"""Weights that are on this host: where they are looked for, and what is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from kit.edge.weights import Weights, verified
from kit.errors import MachineError, UsageError
from kit.plan.models import FileList, HubFile, HubModel, ListedBy

MODEL = HubModel(id="moe-fp8", repository="owner/Model", revision="ab" * 20, licence="Apache-2.0")
FILES = {"config.json": b"{}", "model.safetensors": bytes(5000), "sub/vocab.json": b"[]"}
LISTED = FileList(
    repository=MODEL.repository,
    revision=MODEL.revision,
    listed_by=ListedBy.HUB,
    files=tuple(
        HubFile(name=name, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in FILES.items()
    ),
)
SHA256 = {file.name: file.sha256 for file in LISTED.files}


def write(folder: Path) -> Path:
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def cached(root: Path) -> Path:
    """Lay the files out as the hub's own cache does: links to blobs, two folders up."""
    repository = root / "models--owner--Model"
    snapshot = repository / "snapshots" / MODEL.revision
    (repository / "blobs").mkdir(parents=True)
    for name, data in FILES.items():
        blob = repository / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot


def hashes(found: Weights) -> dict[str, str]:
    return {file.name: file.sha256 for file in found.files}


def test_a_folder_of_the_model_or_one_with_a_folder_of_its_id(tmp_path: Path) -> None:
    for root, folder in (
        (tmp_path / "a", tmp_path / "a"),
        (tmp_path / "b", tmp_path / "b/moe-fp8"),
    ):
        write(folder)
        found = verified(root, MODEL, LISTED)
        assert (found.folder, found.blobs, hashes(found)) == (folder, None, SHA256)
        assert found.source.listed_by is ListedBy.HUB
        assert found.variables(MODEL.id) == {"KIT_WEIGHTS_MOE_FP8": str(folder)}


@pytest.mark.parametrize("below", ["", "hub"])
def test_the_hubs_own_cache_is_read_through_its_links(tmp_path: Path, below: str) -> None:
    snapshot = cached(tmp_path / below)
    found = verified(tmp_path, MODEL, LISTED)
    assert (found.folder, hashes(found)) == (snapshot, SHA256)
    assert found.blobs == snapshot.parents[1] / "blobs"
    assert set(found.variables(MODEL.id)) == {"KIT_WEIGHTS_MOE_FP8", "KIT_BLOBS_MOE_FP8"}


def test_without_a_list_nobody_has_listed_the_files(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x").write_text("not the model's")
    found = verified(tmp_path, MODEL, None)
    assert (hashes(found), found.source.listed_by) == (SHA256, ListedBy.NOBODY)


def test_other_bytes_than_listed_or_shipped_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    shipped = replace(MODEL, sha256={"config.json": "00" * 32})
    with pytest.raises(MachineError, match=r"config.json is not the model's file"):
        verified(tmp_path, shipped, None)
    (tmp_path / "model.safetensors").write_bytes(bytes(4999))
    with pytest.raises(MachineError, match=r"model.safetensors is not the model's file"):
        verified(tmp_path, MODEL, LISTED)


def test_a_missing_file_and_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "sub" / "vocab.json").unlink()
    with pytest.raises(MachineError, match=r"cannot read .*vocab.json"):
        verified(tmp_path, MODEL, LISTED)
    (tmp_path / "more.safetensors").write_bytes(b"x")
    with pytest.raises(MachineError, match=r"holds more.safetensors"):
        verified(tmp_path, MODEL, LISTED)


def test_a_folder_without_the_model_is_told_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no files of moe-fp8") as caught:
        verified(tmp_path, MODEL, LISTED)
    assert "models--owner--Model/snapshots" in caught.value.why
