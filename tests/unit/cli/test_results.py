"""Accepted bundles, judged again: the verdict on them is the committed one, byte for byte."""

from pathlib import Path

import pytest

from kit.bundle.document import Runtime
from kit.cli.results import results
from kit.edge.files import archive, checkout, disk
from tests.factory import Settings, draft

RENDERED = ("README.md", "index.html", "verdict.json")


@pytest.fixture
def community(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for `results/community`: one bundle, of an endpoint that served whatever model."""
    folder = tmp_path / "community"
    folder.mkdir()
    monkeypatch.setattr(checkout, "COMMUNITY", folder)
    monkeypatch.setattr(checkout, "VERDICT", tmp_path / "verdict")
    monkeypatch.chdir(tmp_path)  # and back again at the end: the command goes to the checkout
    disk.write_folder(folder / "one", draft(Settings(runtime=Runtime.ENDPOINT)).seal())
    return folder


@pytest.mark.usefixtures("community")
def test_what_was_written_is_the_same_when_judged_again() -> None:
    assert results(update=False) == 1
    assert results(update=True) == 0
    assert {path.name for path in checkout.VERDICT.iterdir()} == set(RENDERED)
    assert all((checkout.VERDICT / name).stat().st_size for name in RENDERED)
    assert results(update=False) == 0


@pytest.mark.usefixtures("community")
def test_an_edited_verdict_is_found_out() -> None:
    results(update=True)
    page = checkout.VERDICT / "README.md"
    page.write_text(page.read_text().replace("VALID", "REPRODUCED"))
    assert results(update=False) == 1


def test_an_invalid_bundle_is_no_result(community: Path) -> None:
    (community / "one" / "data" / "records.jsonl").write_bytes(b"{}\n")
    assert results(update=True) == 6
    assert results(update=False) == 6


def test_no_bundle_is_nothing_to_judge(community: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((community / "one").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (community / "one").rmdir()
    assert results(update=False) == 7
    assert "no bundle" in capsys.readouterr().err


def test_the_committed_verdict_is_the_one_that_is_rendered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert results(update=False) == 0


def test_what_is_in_community_is_bundles_alone() -> None:
    """So that `kit verify results/community/*` judges them and stumbles over nothing."""
    paths = list(checkout.COMMUNITY.iterdir())
    assert all((path / "bagit.txt").is_file() or archive.compression_of(path) for path in paths)
