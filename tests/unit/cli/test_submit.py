"""Handing in: what is refused, and what is packed for a pull request."""

from pathlib import Path

import pytest

from benchmarks.corpus import Size, bundles
from kit.cli.submit import submit
from kit.edge.files import checkout, disk
from kit.edge.verify_paths import verify_paths
from kit.errors import BundleError, UsageError
from tests.factory import Settings, draft


@pytest.fixture
def community(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "community"
    folder.mkdir()
    monkeypatch.setattr(checkout, "COMMUNITY", folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (files,) = bundles(Size.CPU, 1)
    return disk.write_folder(tmp_path / "bundle", files)


def test_a_reportable_bundle_is_packed_and_the_commands_are_printed(
    community: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(bundle) == 0
    (packed,) = community.iterdir()
    (verified,) = verify_paths([packed])
    assert verified.verdict.is_reportable
    shown = capsys.readouterr()
    assert "data/records.jsonl" in shown.err
    assert verified.bundle is not None
    assert f"host id  {verified.bundle.document.host_id}" in shown.err
    assert packed.name in shown.out
    assert shown.out.startswith(f"git switch -c {packed.name.removesuffix('.tar.zst')}\n")


def test_a_copy_of_an_accepted_bundle_is_refused(community: Path, bundle: Path) -> None:
    submit(bundle)
    with pytest.raises(BundleError, match="is accepted already"):
        submit(bundle)
    assert len(list(community.iterdir())) == 1


def test_what_would_be_refused_later_is_refused(community: Path, tmp_path: Path) -> None:
    partial = disk.write_folder(tmp_path / "partial", draft(Settings(stop_after=3)).seal())
    damaged = disk.write_folder(
        tmp_path / "damaged", {**draft().seal(), "data/records.jsonl": b"{}\n"}
    )
    for path in (partial, damaged, tmp_path / "nothing.txt"):
        if path.suffix:
            path.write_text("no bundle")
        with pytest.raises(BundleError):
            submit(path)
    with pytest.raises(UsageError, match="several bundles"):
        submit(tmp_path)
    assert list(community.iterdir()) == []
