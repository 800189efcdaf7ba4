"""From paths to verdicts: folders, archives, many at once, without side effects."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.bundle.document import Runtime
from kit.edge.files import disk, safe_read
from tests.archives import HOSTILE, LARGE
from tests.command_line import kit
from tests.factory import ROOT, Settings, draft

ENDINGS = (".tar.zst", ".tar.gz")

WATCHED = """
import sys
events = []

def watch(event, details):
    if event.startswith(("open", "os.", "shutil.", "socket.", "subprocess.", "tempfile.")):
        events.append((event, [str(detail) for detail in details]))

from kit.cli import main
sys.addaudithook(watch)
try:
    main()
finally:
    for event, details in list(events):
        print("EVENT", event, *details, sep="\\t", file=sys.stderr)
"""
"""The command, and every file, program and connection that it opens (Python's audit events)."""

READING = ("open", "os.listdir", "os.scandir", "os.putenv", "os.unsetenv")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = draft(Settings(runtime=Runtime.ENDPOINT, passes=1)).seal()
    return disk.write_folder(tmp_path_factory.mktemp("good") / "bundle", files)


def changed(good: Path, target: Path) -> Path:
    path = disk.write_folder(target, safe_read.read_folder(good).files)
    (path / "data" / "records.jsonl").write_bytes(b"{}\n")
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_packed_bundle_is_judged_and_reported_as_the_folder_is(
    ending: str, good: Path, tmp_path: Path
) -> None:
    packed = tmp_path / f"x{ending}"
    done = kit("pack", good, "-o", packed)
    assert (done.returncode, done.stdout) == (0, f"{packed}\n")
    again = tmp_path / f"again{ending}"
    assert kit("pack", packed, "-o", again).returncode == 0
    assert again.read_bytes() == packed.read_bytes()
    told = kit("verify", "--format", "json", packed).stdout.replace(str(packed), str(good))
    assert json.loads(told) == json.loads(kit("verify", "--format", "json", good).stdout)
    csv = ("--format", "csv")
    assert kit("report", packed, *csv).stdout == kit("report", good, *csv).stdout != ""


def test_what_is_invalid_is_not_packed(good: Path, tmp_path: Path) -> None:
    done = kit("pack", changed(good, tmp_path / "changed"), "-o", tmp_path / "x.tar.zst")
    assert done.returncode == 6
    assert "integrity-digest" in done.stderr
    assert "was not packed" in done.stderr
    assert not (tmp_path / "x.tar.zst").exists()


def test_a_note_in_the_folder_is_not_packed_by_accident(good: Path, tmp_path: Path) -> None:
    path = disk.write_folder(tmp_path / "bundle", safe_read.read_folder(good).files)
    (path / "private.txt").write_text("secret")
    done = kit("pack", path, "-o", tmp_path / "x.tar.zst")
    assert done.returncode == 6
    assert "integrity-unknown-file" in done.stderr


@pytest.mark.parametrize("name", ["x", "x.zip", "x.tar", "x.zst"])
def test_an_archive_is_told_by_its_ending(name: str, good: Path, tmp_path: Path) -> None:
    done = kit("pack", good, "-o", tmp_path / name)
    assert done.returncode == 2
    assert ".tar.zst or .tar.gz" in done.stderr


def test_many_are_judged_in_order_and_counted(good: Path, tmp_path: Path) -> None:
    """More than one process takes at a time: folders, archives, and one that is invalid."""
    files = safe_read.read_folder(good).files
    for number in range(18):
        disk.write_folder(tmp_path / "all" / f"{number:02}", files)
    changed(good, tmp_path / "all" / "18")
    kit("pack", good, "-o", tmp_path / "all" / "19.tar.gz")
    done = kit("verify", tmp_path / "all")
    assert done.returncode == 6
    answers = [line.split() for line in done.stdout.splitlines() if str(tmp_path) in line]
    assert [Path(words[1]).name[:2] for words in answers] == [f"{n:02}" for n in range(20)]
    assert [words[0] for words in answers].index("INVALID") == 18
    assert done.stdout.splitlines()[-1] == "20 bundles: 19 VALID, 1 INVALID"
    assert kit("verify", tmp_path / "all", "-j", "1").stdout == done.stdout
    assert kit("verify", tmp_path / "all", "-q").stdout == ""


def test_nothing_is_opened_but_the_bundle_and_the_kit(good: Path, tmp_path: Path) -> None:
    for one in HOSTILE:
        if one.name not in LARGE:
            (tmp_path / f"{one.name}.tar.zst").write_bytes(one.make())
    linked = disk.write_folder(tmp_path / "linked", safe_read.read_folder(good).files)
    (linked / "data" / "server.log.gz").symlink_to("/etc/passwd")
    (linked / "outside").symlink_to("/etc")
    kit("pack", good, "-o", tmp_path / "good.tar.zst")
    for path in (good, linked, tmp_path):
        command = [sys.executable, "-c", WATCHED, "verify", "-j", "1", str(path)]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=environment
        )
        assert done.returncode == (0 if path == good else 6), done.stderr
        events = [line.split("\t")[1:] for line in done.stderr.splitlines() if "EVENT" in line]
        assert any(str(path) in details for _, *details in events)
        for event, *details in events:
            assert event in READING, (event, details)
            if event == "open":
                _assert_within(path, details)


def _assert_within(path: Path, details: list[str]) -> None:
    """Names without a slash are opened within a folder that is already open."""
    name, mode, flags = details
    assert not set(mode) & set("wax+"), details
    assert not int(flags) & 3, details  # O_WRONLY and O_RDWR of open(2)
    places = (path, ROOT, sys.prefix, sys.base_prefix, Path(sys.prefix).resolve())
    is_name = "/" not in name
    assert is_name or any(Path(name).is_relative_to(place) for place in places), details
