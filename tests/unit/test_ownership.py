"""What root makes in a user's checkout is the user's."""

import os
from pathlib import Path

import pytest

from kit.ownership import give_to_owner

USER, GROUP = 12345, 12346


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")
def test_the_checkouts_owner_gets_what_root_made(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    root = tmp_path / "checkout"
    (root / ".kit/venv").mkdir(parents=True)
    (root / ".kit/venv/python").symlink_to(elsewhere)
    (root / "docs").mkdir()
    (root / ".kit/venv/of-another").write_text("")
    os.chown(root, USER, GROUP)
    os.chown(root / ".kit/venv/of-another", 7, 7)
    give_to_owner(root, ".kit", "results")
    owners = {
        path.name: path.lstat().st_uid for path in (*root.rglob("*"), root / ".kit", elsewhere)
    }
    assert owners == {
        ".kit": USER,
        "venv": USER,
        "python": USER,
        "of-another": 7,
        "docs": 0,
        "elsewhere": 0,
    }


def test_in_a_checkout_of_ones_own_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    before = (tmp_path / "results").stat()
    give_to_owner(tmp_path, "results")
    assert (tmp_path / "results").stat() == before
