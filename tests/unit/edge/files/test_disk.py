"""Complete files and folders or none, and logs."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kit.edge.files import disk, safe_read
from kit.errors import MachineError
from tests.unit.edge.conftest import as_nobody

Mount = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    """Return a context manager that puts a small file system of its own over `tmp_path`."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small file system")

    @contextmanager
    def mounted(options: str) -> Iterator[None]:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("NOT TESTED: this root may not mount")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(tmp_path)], check=True)

    return mounted


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    files = {"bagit.txt": b"1", "data/metrics/a": b"2"}
    path = disk.write_folder(tmp_path / "new" / "bag", files)
    assert path == tmp_path / "new" / "bag"
    assert safe_read.read_folder(path) == safe_read.Folder(files=files, refused=())
    assert names_in(tmp_path / "new") == ["bag"]


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "bag"
    (tmp_path / "bag-2").mkdir()  # empty: rename(2) would replace it
    (tmp_path / "bag-3").write_bytes(b"")
    (tmp_path / "bag-4").symlink_to("nowhere")
    paths = [disk.write_folder(target, {"file": text}) for text in (b"1", b"2")]
    assert [path.name for path in paths] == ["bag", "bag-5"]
    assert [(path / "file").read_bytes() for path in paths] == [b"1", b"2"]


def test_many_at_once_get_a_folder_each(tmp_path: Path) -> None:
    def write(number: int) -> None:
        disk.write_folder(tmp_path / "bag", {"file": str(number).encode()})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    written = {path.read_bytes() for path in tmp_path.glob("bag*/file")}
    assert written == {str(number).encode() for number in range(8)}
    assert len(names_in(tmp_path)) == 8


@pytest.mark.parametrize(("mask", "folder", "file"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
def test_modes_are_the_umasks(mask: int, folder: int, file: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        path = disk.write_folder(tmp_path / "bag", {"data/file": b""})
    finally:
        os.umask(before)
    modes = [(path / name).stat().st_mode & 0o777 for name in (".", "data", "data/file")]
    assert modes == [folder, folder, file]


def test_a_full_disk_leaves_nothing_behind(mount: Mount, tmp_path: Path) -> None:
    with mount("size=1m"):
        with pytest.raises(MachineError, match="No space left") as caught:
            disk.write_folder(tmp_path / "bag", {"a": b"1", "b": bytes(2**21)})
        assert names_in(tmp_path) == []
        assert "df -h" in caught.value.next_step
        with pytest.raises(MachineError, match="MiB are free"):
            disk.require_writable(tmp_path, 64 * 2**20)


def test_a_read_only_file_system_is_said_at_once(mount: Mount, tmp_path: Path) -> None:
    with mount("ro"):
        for attempt in (
            lambda: disk.require_writable(tmp_path / "results", 1),
            lambda: disk.write_folder(tmp_path / "bag", {"a": b""}),
            lambda: disk.new_log(tmp_path / "logs", "log"),
        ):
            with pytest.raises(MachineError, match="Read-only"):
                attempt()


def test_a_read_only_folder_is_said_at_once(open_path: Path) -> None:
    (open_path / "results").mkdir()
    (open_path / "results").chmod(0o555)
    code = "try: disk.require_writable(path, 1)\nexcept MachineError as error: print(error.what)"
    assert "Permission denied" in as_nobody(code, open_path / "results")


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_results_that_are_a_file_are_said(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError):
        disk.require_writable(tmp_path / name, 1)


def test_room_enough_is_no_error(tmp_path: Path) -> None:
    disk.require_writable(tmp_path / "new" / "results", 1)
    assert names_in(tmp_path / "new" / "results") == []


def test_each_run_has_a_log_of_its_own(tmp_path: Path) -> None:
    first = disk.new_log(tmp_path, "run")
    first.write_bytes(b"lines")
    second = disk.new_log(tmp_path, "run")
    assert (first.name, second.name) == ("run.log", "run-2.log")
    assert first.read_bytes() == b"lines"


def test_a_log_is_cut_at_what_a_bundle_holds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"all")
    assert disk.read_log(log) == b"all"
    os.truncate(log, disk.LOG_LIMIT_BYTES + 5)
    text = disk.read_log(log)
    assert text.startswith(b"all")
    assert text.endswith(b"\n[cut here by the kit: 5 more bytes]\n")


def test_the_output_of_a_container_is_cut_as_a_log_is() -> None:
    output = bytes(disk.LOG_LIMIT_BYTES + 5)
    assert disk.cut_log(output[:3], 3) == output[:3]
    assert disk.cut_log(output, len(output)).endswith(b"\0\n[cut here by the kit: 5 more bytes]\n")
