"""Whether an environment is current."""

from pathlib import Path

import pytest

from kit.bootstrap import stamp


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    directory = tmp_path / "environment"
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").touch()
    return directory


def test_an_environment_with_its_stamp_is_current(environment: Path) -> None:
    stamp.write(environment, "abc")

    assert stamp.is_current(environment, "abc")
    assert not stamp.is_current(environment, "abd")


def test_one_without_a_stamp_is_not(environment: Path) -> None:
    assert not stamp.is_current(environment, "")


def test_one_that_is_not_there_is_not(tmp_path: Path) -> None:
    assert not stamp.is_current(tmp_path / "none", "abc")


def test_one_whose_stamp_is_garbage_is_not(environment: Path) -> None:
    (environment / stamp.STAMP).write_bytes(b"\xff\xfe")

    assert not stamp.is_current(environment, "abc")


def test_one_whose_python_was_removed_is_not(environment: Path, tmp_path: Path) -> None:
    stamp.write(environment, "abc")
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to(tmp_path / "removed")

    assert not stamp.is_current(environment, "abc")


def test_the_digest_changes_with_content_and_name_and_not_with_order(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    a.write_text("1")
    b.write_text("2")
    c.write_text("1")
    before = stamp.digest([a, b])

    assert stamp.digest([b, a]) == before
    assert stamp.digest([c, b]) != before
    a.write_text("12")
    b.write_text("")
    assert stamp.digest([a, b]) != before
