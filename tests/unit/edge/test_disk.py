"""Folders that bite: links, pipes, devices, depths, odd names; and writing all or nothing."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kit.check.codes import Code
from kit.check.refusal import Refusal
from kit.edge import disk
from kit.errors import BundleError, MachineError

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


def reasons(folder: Path) -> dict[str, str]:
    return {one.name: one.reason for one in disk.read_folder(folder).refused}


def test_regular_files_are_read_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "data" / "metrics").mkdir(parents=True)
    (tmp_path / "bagit.txt").write_bytes(b"1")
    (tmp_path / "data" / "metrics" / "a").write_bytes(b"")
    assert disk.read_folder(tmp_path) == disk.Folder(
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
    found = disk.read_folder(bag)
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


def as_nobody(code: str, path: Path) -> str:
    """Run code as a user who owns nothing; from root, no file is withheld."""
    leave = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    lines = (
        "import os, sys; from pathlib import Path; from kit.edge import disk",
        "from kit.errors import BundleError, MachineError",
        leave if os.geteuid() == 0 else "",
        "path = Path(sys.argv[1])",
        code,
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    return done.stdout.strip()


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """Return a folder to which other users find their way."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    return tmp_path


def test_what_cannot_be_read_is_refused_and_the_rest_is_read(open_path: Path) -> None:
    (open_path / "good").write_bytes(b"1")
    (open_path / "file").write_bytes(b"1")
    (open_path / "folder").mkdir()
    (open_path / "file").chmod(0)
    (open_path / "folder").chmod(0)
    code = "folder = disk.read_folder(path)\n"
    code += "print(sorted(folder.files), sorted((one.name, one.reason) for one in folder.refused))"
    refused = [(name, "cannot be read: Permission denied") for name in ("file", "folder")]
    assert as_nobody(code, open_path) == f"['good'] {refused}"


def test_a_folder_that_may_not_be_entered_is_no_bundle(open_path: Path) -> None:
    (open_path / "closed" / "bag").mkdir(parents=True)
    (open_path / "closed").chmod(0)
    code = "try: disk.read_folder(path)\nexcept BundleError as error: print(error.what)"
    assert "Permission denied" in as_nobody(code, open_path / "closed" / "bag")
    (open_path / "closed").chmod(0o755)


def test_ten_thousand_entries_are_not_all_read(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / str(number)).touch()
    found = disk.read_folder(tmp_path)
    assert len(found.files) == disk.ENTRY_LIMIT
    reason = f"holds more than {disk.ENTRY_LIMIT} entries"
    assert found.refused == (Refusal(name=".", reason=reason, code=Code.INTEGRITY_COUNT),)


def test_empty_folders_count_as_entries(tmp_path: Path) -> None:
    for number in range(disk.ENTRY_LIMIT + 1):
        (tmp_path / str(number)).mkdir()
    assert reasons(tmp_path)["."] == f"holds more than {disk.ENTRY_LIMIT} entries"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "fetch.txt").mkdir(parents=True)
    assert reasons(tmp_path) == {"data/fetch.txt": "an empty folder"}


def test_as_many_entries_as_may_be_are_read(tmp_path: Path) -> None:
    for number in range(disk.ENTRY_LIMIT):
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
    found = disk.read_folder(tmp_path)
    assert found.files == {"file": b"1"}
    deepest = "/".join("d" * disk.DEPTH_LIMIT)
    reason = f"a folder more than {disk.DEPTH_LIMIT} levels deep"
    assert found.refused == (Refusal(name=deepest, reason=reason, code=Code.INTEGRITY_DEPTH),)
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own gives up


def test_odd_names_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "two\nlines").write_bytes(b"1")
    (tmp_path / "é\x1b[2J").write_bytes(b"2")
    (tmp_path / r"\xff").write_bytes(b"3")
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"4")
    found = disk.read_folder(tmp_path)
    assert found.files == {"two\nlines": b"1", "é\x1b[2J": b"2", r"\xff": b"3"}
    assert found.refused == (Refusal(name=r"\xff", reason="its name is not UTF-8"),)


def test_a_folder_whose_name_is_not_text_is_not_entered(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"data\xff")
    folder.mkdir()
    (folder / "file").write_bytes(b"1")
    assert disk.read_folder(tmp_path).files == {}
    assert reasons(tmp_path) == {r"data\xff": "its name is not UTF-8"}


def test_files_larger_than_the_limit_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(disk.FILE_LIMIT_BYTES + 1)
    reason = f"larger than {disk.FILE_LIMIT_BYTES} bytes"
    refusal = Refusal(name="sparse", reason=reason, code=Code.INTEGRITY_SIZE)
    assert disk.read_folder(tmp_path).refused == (refusal,)


def test_many_large_files_are_not_all_read(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).write_bytes(bytes(100))
    found = disk.read_folder(tmp_path, total_limit_bytes=400)
    assert len(found.files) == 5
    reason = "holds more than 400 bytes"
    assert found.refused == (Refusal(name=".", reason=reason, code=Code.INTEGRITY_SIZE),)


def test_a_file_that_is_not_as_long_as_it_says_is_refused() -> None:
    """A file of /proc says 0 bytes and holds more, as one does that grows while it is read."""
    found = disk.read_folder(Path("/proc/self/net/stat"))
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
        read = [data for _ in range(300) for data in disk.read_folder(bag).files.values()]
    finally:
        done.set()
        thread.join(10)
    assert b"secret" not in read


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, "it is not there"),
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
        disk.read_folder(tmp_path / "bag")


def test_a_path_through_a_link_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "real" / "bag").mkdir(parents=True)
    (tmp_path / "real" / "bag" / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    assert disk.read_folder(tmp_path / "link" / "bag").files == {"file": b"1"}


def test_a_path_too_long_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="File name too long"):
        disk.read_folder(tmp_path / ("x" * 5000))


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    files = {"bagit.txt": b"1", "data/metrics/a": b"2"}
    path = disk.write_folder(tmp_path / "new" / "bag", files)
    assert path == tmp_path / "new" / "bag"
    assert disk.read_folder(path) == disk.Folder(files=files, refused=())
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
