"""Several bundles in a folder: a damaged one is not skipped, and a copy names the original."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.edge.files import disk
from kit.edge.verify_paths import verdicts, verify_paths
from kit.errors import ExitCode
from tests.factory import Draft, Settings, draft

INVALID, VALID = ExitCode.BUNDLE_INVALID, ExitCode.DONE


def write(made: Draft, folder: Path) -> Path:
    return disk.write_folder(folder, made.seal())


def answers(folder: Path) -> list[tuple[str, ExitCode]]:
    """Return each bundle's name and exit code, which both ways of judging must agree on."""
    found = [(Path(one.path).name, one.exit_code) for one in verdicts([folder])]
    assert found == [(Path(one.path).name, one.exit_code) for one, _ in verify_paths([folder])]
    return found


def endpoint(seed: int) -> Draft:
    return draft(Settings(runtime=Runtime.ENDPOINT, seed=seed))


def without_bagit(path: Path) -> None:
    (path / bag.BAGIT).unlink()


def without_data(path: Path) -> None:
    shutil.rmtree(path / "data")


def with_a_link_for_data(path: Path) -> None:
    shutil.rmtree(path / "data")
    without_bagit(path)
    (path / "data").symlink_to("nowhere")


@pytest.mark.parametrize("damage", [without_bagit, without_data, with_a_link_for_data])
def test_a_damaged_bundle_is_invalid_and_not_unseen(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    write(endpoint(1), tmp_path / "1-good")
    damage(write(endpoint(2), tmp_path / "2-damaged"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no bundle")
    assert answers(tmp_path) == [("1-good", VALID), ("2-damaged", INVALID)]


def test_an_invalid_copy_that_sorts_first_spoils_nothing(tmp_path: Path) -> None:
    write(endpoint(1), tmp_path / "2-honest")
    copy = endpoint(1)
    copy.metrics["measured-9-after"] = copy.metrics["measured-1-after"]
    write(copy, tmp_path / "1-copy")
    assert answers(tmp_path) == [("1-copy", INVALID), ("2-honest", VALID)]


def test_of_two_that_hold_the_later_is_named_with_the_earlier(tmp_path: Path) -> None:
    write(endpoint(1), tmp_path / "1")
    copy = endpoint(1)
    copy.document = replace(copy.document, host_id="f" * 32)
    write(copy, tmp_path / "2")
    assert answers(tmp_path) == [("1", VALID), ("2", INVALID)]
    *_, second = verdicts([tmp_path])
    (found,) = [one for one in second.findings if one.code == "integrity-copy"]
    assert f"at {tmp_path / '1'}" in found.observed
    assert f"at {tmp_path / '2'}" in found.expected
