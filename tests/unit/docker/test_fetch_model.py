"""What a model's image build downloads: listed, verified, continued; from a stand-in hub."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.factory import ROOT
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub

FILES = {
    "config.json": b"{}",
    "model-00001-of-00001.safetensors": bytes(range(256)) * 400,
    "sub/tokenizer.json": b"[1, 2]",
}
NOT_SERVED = {".gitattributes": b"x", "modeling.py": b"x", "pytorch_model.bin": b"x"}


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    with StandInHub({**FILES, **NOT_SERVED}).serving() as serving:
        yield serving


def run(hub: StandInHub, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "docker" / "fetch_model.py"), *arguments],
        env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def listing(files: Mapping[str, bytes]) -> dict[str, object]:
    listed = [
        {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    return {
        "repository": REPOSITORY,
        "revision": REVISION,
        "listed_by": "mirror",
        "files": listed,
    }


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    (tmp_path / "list.json").write_text(json.dumps(listing(FILES)))
    return tmp_path / "list.json"


def fetch(hub: StandInHub, wanted: Path) -> subprocess.CompletedProcess[str]:
    folder = wanted.parent
    places = (str(folder / "target"), "--partial", str(folder / "partial"))
    return run(hub, "fetch", str(wanted), *places)


def test_a_revision_is_listed_without_code_and_gits_own_files(hub: StandInHub) -> None:
    done = run(hub, "list", REPOSITORY, REVISION)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == listing(FILES)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.CORRUPT_LISTED, "the hub lists it with 2 bytes"),
        (Fault.LISTED_SIZE, "the hub lists it with 3 bytes"),
        (Fault.GARBAGE, "does not answer as a hub"),
        (Fault.MOVED, f"answers for revision {'0' * 40}"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(
    hub: StandInHub, fault: Fault, words: str
) -> None:
    hub.faults = [fault]
    done = run(hub, "list", REPOSITORY, REVISION)
    assert (done.returncode, done.stdout) == (4, "")
    assert words in done.stderr


def test_a_revision_that_is_gone_names_what_replaces_it(hub: StandInHub) -> None:
    done = run(hub, "list", REPOSITORY, "ab" * 20)
    assert done.returncode == 4
    assert f"no revision {'ab' * 20} of {REPOSITORY}" in done.stderr
    assert f"its newest is {REVISION}" in done.stderr


def test_every_file_is_downloaded_verified_and_readable_by_all(
    hub: StandInHub, wanted: Path
) -> None:
    done = fetch(hub, wanted)
    assert done.returncode == 0, done.stderr
    target = wanted.parent / "target"
    found = {str(path.relative_to(target)): path for path in target.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o644}
    assert list((wanted.parent / "partial").iterdir()) == []


@pytest.mark.parametrize(
    "fault", [Fault.CORRUPT, Fault.OTHER_FILE, Fault.CUT_UNSEEN, Fault.LONGER_BODY, Fault.SMALLER]
)
def test_other_bytes_never_reach_the_target_and_the_next_run_mends_it(
    hub: StandInHub, wanted: Path, fault: Fault
) -> None:
    hub.faults = [fault]
    done = fetch(hub, wanted)
    assert done.returncode == 4
    assert "is not the listed file: SHA-256" in done.stderr
    assert not (wanted.parent / "target").exists()
    hub.faults = []
    assert fetch(hub, wanted).returncode == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.HTTP_401, "HF_TOKEN is not valid"),
        (Fault.HTTP_404, "404"),
        (Fault.LOOPS, "redirects"),
        (Fault.TO_A_FILE, "cannot get"),
        (Fault.TO_NOWHERE, "cannot get"),
        (Fault.NOT_HTTP, "cannot get"),
        (Fault.SILENT, "cannot get"),
        (Fault.LINKED_SIZE, "contradicts itself"),
    ],
)
def test_what_the_hub_said_is_shown(
    hub: StandInHub, wanted: Path, fault: Fault, words: str
) -> None:
    hub.faults = [fault]
    done = fetch(hub, wanted)
    assert done.returncode == 4
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_whose_connection_was_reset_is_downloaded_anew(
    hub: StandInHub, wanted: Path
) -> None:
    hub.faults = [None, None, Fault.CUT, None]
    done = fetch(hub, wanted)
    assert done.returncode == 0, done.stderr
    assert "attempt 2 of 5" in done.stderr


def test_what_an_earlier_build_downloaded_is_not_downloaded_again(
    hub: StandInHub, wanted: Path
) -> None:
    hub.faults = [None, None, Fault.CORRUPT, None]
    assert fetch(hub, wanted).returncode == 4
    hub.faults, hub.seen = [], []
    assert fetch(hub, wanted).returncode == 0
    assert not [seen for seen in hub.seen if seen.path.endswith("config.json")]


def test_a_token_goes_to_the_hub_and_not_to_its_storage(hub: StandInHub) -> None:
    run(hub, "list", REPOSITORY, REVISION, HF_TOKEN="hf_secret")
    assert {(seen.place, seen.authorization) for seen in hub.seen} == {("hub", "Bearer hf_secret")}


def test_the_hub_that_is_away_is_named() -> None:
    done = run(StandInHub({}, endpoint="http://127.0.0.1:9"), "list", REPOSITORY, REVISION)
    assert done.returncode == 4
    assert "cannot get stand-in/model from http://127.0.0.1:9" in done.stderr
    assert done.stderr.count("\n  next: ") == 1
