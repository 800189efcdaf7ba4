"""Hostile folders: links, pipes, devices, depth, odd names."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.check.refusal import Refusal
from kit.edge.files import safe_read
from kit.errors import BundleError
from tests.unit.edge.conftest import as_nobody


def reasons(folder: Path) -> dict[str, str]:
    return {one.name: one.reason for one in safe_read.read_folder(folder).refused}


def test_regular_files_are_read_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "data" / "metrics").mkdir(parents=True)
    (tmp_path / "bagit.txt").write_bytes(b"1")
    (tmp_path / "data" / "metrics" / "a").write_bytes(b"")
    assert safe_read.read_folder(tmp_path) == safe_read.Folder(
        files={"bagit.txt": b"1", "data/metrics/a": b""}, refused=()
    )


def test_links_are_refused_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "file").symlink_to(outside / "secret")
    (bag / "folder").symlink_to(outside)
    (bag / "itself").symlink_to(bag)
    (bag / "nowhere").symlink_to("nowhere")
    found = safe_read.read_folder(bag)
    assert found.files == {}
    assert {one.name: one.reason for one in found.refused} == dict.fromkeys(
        ("file", "folder", "itself", "nowhere"), "a link"
    )


def test_pipes_sockets_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    names = {"pipe", "socket"}
    if os.geteuid() == 0:
        os.mknod(tmp_path / "zero", 0o666 | 0o020000, os.makedev(1, 5))
        names.add("zero")
    assert reasons(tmp_path) == dict.fromkeys(names, "not a regular file")


def test_what_cannot_be_read_is_refused_and_the_rest_is_read(open_path: Path) -> None:
    (open_path / "good").write_bytes(b"1")
    (open_path / "file").write_bytes(b"1")
    (open_path / "folder").mkdir()
    (open_path / "file").chmod(0)
    (open_path / "folder").chmod(0)
    code = "folder = safe_read.read_folder(path)\n"
    code += "print(sorted(folder.files), sorted((one.name, one.reason) for one in folder.refused))"
    refused = [(name, "cannot be read: Permission denied") for name in ("file", "folder")]
    assert as_nobody(code, open_path) == f"['good'] {refused}"


def test_a_folder_that_may_not_be_entered_is_no_bundle(open_path: Path) -> None:
    (open_path / "closed" / "bag").mkdir(parents=True)
    (open_path / "closed").chmod(0)
    code = "try: safe_read.read_folder(path)\nexcept BundleError as error: print(error.what)"
    assert "Permission denied" in as_nobody(code, open_path / "closed" / "bag")
    (open_path / "closed").chmod(0o755)


def test_ten_thousand_entries_are_not_all_read(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / str(number)).touch()
    found = safe_read.read_folder(tmp_path)
    assert len(found.files) == safe_read.ENTRY_LIMIT
    reason = f"holds more than {safe_read.ENTRY_LIMIT} entries"
    assert found.refused == (Refusal(name=".", reason=reason, code="integrity-count"),)


def test_empty_folders_count_as_entries(tmp_path: Path) -> None:
    for number in range(safe_read.ENTRY_LIMIT + 1):
        (tmp_path / str(number)).mkdir()
    assert reasons(tmp_path)["."] == f"holds more than {safe_read.ENTRY_LIMIT} entries"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "fetch.txt").mkdir(parents=True)
    assert reasons(tmp_path) == {"data/fetch.txt": "an empty folder"}


def test_as_many_entries_as_may_be_are_read(tmp_path: Path) -> None:
    for number in range(safe_read.ENTRY_LIMIT):
        (tmp_path / str(number)).touch()
    assert reasons(tmp_path) == {}


def test_three_thousand_levels_are_not_descended(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    found = safe_read.read_folder(tmp_path)
    assert found.files == {"file": b"1"}
    deepest = "/".join("d" * safe_read.DEPTH_LIMIT)
    reason = f"a folder more than {safe_read.DEPTH_LIMIT} levels deep"
    assert found.refused == (Refusal(name=deepest, reason=reason, code="integrity-depth"),)
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own gives up


def test_odd_names_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "two\nlines").write_bytes(b"1")
    (tmp_path / "é\x1b[2J").write_bytes(b"2")
    (tmp_path / r"\xff").write_bytes(b"3")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"4")
    found = safe_read.read_folder(tmp_path)
    assert found.files == {"two\nlines": b"1", "é\x1b[2J": b"2", r"\xff": b"3"}
    assert found.refused == (Refusal(name=r"\xff", reason="its name is not UTF-8"),)


def test_a_folder_whose_name_is_not_text_is_not_entered(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"data\xff")
    folder.mkdir()
    (folder / "file").write_bytes(b"1")
    assert safe_read.read_folder(tmp_path).files == {}
    assert reasons(tmp_path) == {r"data\xff": "its name is not UTF-8"}


def test_files_larger_than_the_limit_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(safe_read.FILE_LIMIT_BYTES + 1)
    reason = f"larger than {safe_read.FILE_LIMIT_BYTES} bytes"
    refusal = Refusal(name="sparse", reason=reason, code="integrity-size")
    assert safe_read.read_folder(tmp_path).refused == (refusal,)


def test_many_large_files_are_not_all_read(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).write_bytes(bytes(100))
    found = safe_read.read_folder(tmp_path, total_limit_bytes=400)
    assert len(found.files) == 5
    reason = "holds more than 400 bytes"
    assert found.refused == (Refusal(name=".", reason=reason, code="integrity-size"),)


def test_a_file_that_is_not_as_long_as_it_says_is_refused() -> None:
    """A file of /proc says 0 bytes and holds more, as one does that grows while it is read."""
    found = safe_read.read_folder(Path("/proc/self/net/stat"))
    assert found.files == {}
    assert {one.reason for one in found.refused} == {"changed while it was read"}


def test_entries_replaced_by_links_meanwhile_are_not_followed(tmp_path: Path) -> None:
    """A folder and a file become links and back, as fast as can be: what is outside stays there."""
    outside, bag = tmp_path / "outside", tmp_path / "bag"
    (outside / "data").mkdir(parents=True)
    (outside / "data" / "file").write_bytes(b"secret")
    (bag / "data").mkdir(parents=True)
    (bag / "data" / "file").write_bytes(b"public")
    (bag / "link").symlink_to(outside / "data")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for one, other in (
                ("data", "aside"),
                ("link", "data"),
                ("data", "link"),
                ("aside", "data"),
            ):
                (bag / one).rename(bag / other)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        read = [data for _ in range(300) for data in safe_read.read_folder(bag).files.values()]
    finally:
        done.set()
        thread.join(10)
    assert b"secret" not in read


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, "no such path"),
        (lambda path: path.write_bytes(b""), "it is a file"),
        (lambda path: path.symlink_to(path.parent), "it is a link"),
        (lambda path: path.symlink_to(path), "it is a link"),
        (os.mkfifo, "it is a file"),
    ],
)
def test_what_is_no_folder_is_no_bundle(
    make: Callable[[Path], object], kind: str, tmp_path: Path
) -> None:
    make(tmp_path / "bag")
    with pytest.raises(BundleError, match=kind):
        safe_read.read_folder(tmp_path / "bag")


def test_a_path_through_a_link_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "real" / "bag").mkdir(parents=True)
    (tmp_path / "real" / "bag" / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    assert safe_read.read_folder(tmp_path / "link" / "bag").files == {"file": b"1"}


def test_a_path_too_long_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="File name too long"):
        safe_read.read_folder(tmp_path / ("x" * 5000))
