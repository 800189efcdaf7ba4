"""Fetching a model: no fault of the hub leads to a wrong byte in the folder."""

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.bootstrap import fetch_model, hub
from kit.bootstrap.fetch_model import Places, fetch
from kit.bootstrap.hub import ATTEMPTS, Hub
from kit.bootstrap.pins import File, Pin, read_pin
from kit.errors import ExitCode, KitError, MachineError, SpecError, UsageError
from kit.plan.models import HubFile, HubModel, parse_pin, render_pin
from tests.stand_in_hub import REPOSITORY, REVISION, Fault, StandInHub, corrupted, is_large, other

ROOT = Path(__file__).parents[3]
noise = random.Random(3)
FILES: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "qwen2"}\n',
    "empty.txt": b"",
    "model-00001-of-00002.safetensors": noise.randbytes(300_000),
    "model-00002-of-00002.safetensors": noise.randbytes(70_001),
    "sub/tokenizer.json": b'{"a": 1}' * 40,
}
LARGE = "model-00001-of-00002.safetensors"
SMALL = "config.json"
SLOW = (Fault.SILENT, Fault.DRIPS)
MENDS_ITSELF = (
    Fault.CUT,
    Fault.CUT_CLEANLY,
    Fault.CUT_UNSEEN,
    Fault.HTTP_429,
    Fault.HTTP_500,
    Fault.NOT_HTTP,
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pin_of(files: Mapping[str, bytes]) -> Pin:
    return Pin(
        model="tiny",
        repository=REPOSITORY,
        revision=REVISION,
        files=tuple(
            File(name=name, size_bytes=len(data), sha256=digest(data))
            for name, data in files.items()
        ),
    )


PIN = pin_of(FILES)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Pauses(list[float]):
    """Records the requested waits without waiting."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandInHub]:
    with StandInHub(FILES).serving() as serving:
        yield serving


@pytest.fixture
def served(stand_in: StandInHub) -> StandInHub:
    stand_in.faults = []
    stand_in.seen = []
    return stand_in


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(target=tmp_path / "models" / "tiny")


def asking(served: StandInHub, token: str | None = None, pauses: Pauses | None = None) -> Hub:
    pause = Pauses() if pauses is None else pauses
    return Hub(endpoint=served.endpoint, token=token, timeout_s=5.0, pause=pause)


# The good way


def test_every_file_is_there_and_nothing_else_and_all_may_read_it(
    served: StandInHub, places: Places
) -> None:
    os.umask(old := os.umask(0o077))
    try:
        os.umask(0o077)
        fetch(PIN, places, asking(served))
    finally:
        os.umask(old)
    assert contents(places.target) == FILES
    assert not places.partial.exists()
    for path in (places.target, *places.target.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644)
        assert path.stat().st_mtime == 0


def test_what_is_there_already_is_not_asked_for_again(served: StandInHub, places: Places) -> None:
    fetch(PIN, places, asking(served))
    (places.target / SMALL).write_bytes(other(FILES[SMALL]))
    served.seen = []
    fetch(PIN, places, asking(served))
    assert contents(places.target) == FILES
    assert [seen.path for seen in served.seen] == [f"/{REPOSITORY}/resolve/{REVISION}/{SMALL}"]
    served.seen = []
    fetch(PIN, places, asking(served))
    assert served.seen == []


def test_large_files_come_from_the_storage_and_small_ones_may_come_from_a_cache(
    served: StandInHub, places: Places
) -> None:
    served.faults = [Fault.SMALL_FROM_CACHE]
    fetch(PIN, places, asking(served))
    assert contents(places.target) == FILES
    stored = [seen for seen in served.seen if seen.place == "storage"]
    assert len(stored) == sum(map(is_large, FILES.values())) == 2
    assert any(seen.path.startswith("/api/resolve-cache/") for seen in served.seen)


def test_an_empty_file_needs_no_hub(places: Places) -> None:
    nobody = Hub(endpoint="http://127.0.0.1:9", pause=Pauses())
    fetch(pin_of({"empty.txt": b""}), places, nobody)
    assert contents(places.target) == {"empty.txt": b""}


# Whatever it does


@pytest.mark.parametrize("name", [LARGE, SMALL])
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in SLOW])
def test_one_fault_that_stays(served: StandInHub, places: Places, fault: Fault, name: str) -> None:
    """The file is correct or absent, and the error has three parts."""
    served.faults = [fault]
    wanted = {name: FILES[name]}
    refused: KitError | None = None
    try:
        fetch(pin_of(wanted), places, asking(served))
    except KitError as error:
        refused = error
    assert contents(places.target) == (wanted if refused is None else {})
    if refused is not None:
        assert all((refused.what, refused.why, refused.next_step))
        assert refused.exit_code in (ExitCode.BAD_SPEC, ExitCode.MACHINE_LACKS)
    assert len(served.seen) <= 2 * ATTEMPTS + 8


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    faults=st.lists(
        st.sampled_from([None, *(fault for fault in Fault if fault not in SLOW)]), max_size=14
    ),
    left=st.sampled_from([b"", b"x" * 10, FILES[LARGE][:1000], corrupted(FILES[LARGE])]),
)
def test_a_wrong_byte_never_ends_in_the_folder(
    served: StandInHub, tmp_path: Path, faults: list[Fault | None], left: bytes
) -> None:
    served.faults = [*faults, None]
    shutil.rmtree(tmp_path / "w", ignore_errors=True)
    places = Places(target=tmp_path / "w" / "t", kept=tmp_path / "w" / "p")
    started = places.partial / digest(FILES[LARGE]) / LARGE
    started.parent.mkdir(parents=True)
    started.write_bytes(left)
    is_whole = False
    try:
        fetch(PIN, places, asking(served))
        is_whole = True
    except KitError:
        assert faults
    found = contents(places.target)
    assert all(FILES[name] == data for name, data in found.items())
    if is_whole:
        assert found == FILES
    served.faults = []
    fetch(PIN, places, asking(served))  # once the hub has mended itself, it goes on
    assert contents(places.target) == FILES


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_CLEANLY, Fault.CUT_UNSEEN])
def test_a_download_that_is_cut_goes_on_where_it_stopped(
    served: StandInHub, places: Places, fault: Fault
) -> None:
    served.faults = [fault, fault, None]
    fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    ranges = [seen.range for seen in served.seen if seen.place == "storage"]
    size = len(FILES[LARGE])
    assert contents(places.target) == {LARGE: FILES[LARGE]}
    assert ranges[0] is None
    if fault is not Fault.CUT:  # a reset may take bytes with it that were on the way
        assert ranges[1:] == [f"bytes={size // 2}-", f"bytes={size * 3 // 4}-"]


def test_a_run_that_was_ended_goes_on_where_it_stopped(served: StandInHub, places: Places) -> None:
    served.faults = [Fault.CUT_CLEANLY, Fault.HTTP_404]
    with pytest.raises(SpecError):
        fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    served.faults, served.seen = [], []
    fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    assert served.seen[-1].range == f"bytes={len(FILES[LARGE]) // 2}-"
    assert contents(places.target) == {LARGE: FILES[LARGE]}


@pytest.mark.parametrize("fault", [Fault.NO_RANGES, Fault.LYING_RANGE, Fault.WRONG_RANGE])
def test_a_hub_that_cannot_go_on_begins_anew(
    served: StandInHub, places: Places, fault: Fault
) -> None:
    waiting = places.partial / digest(FILES[LARGE]) / LARGE
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(FILES[LARGE][:7])
    served.faults = [fault, None] if fault is Fault.WRONG_RANGE else [fault]
    fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    assert contents(places.target) == {LARGE: FILES[LARGE]}


@pytest.mark.parametrize("fault", MENDS_ITSELF)
def test_what_mends_itself_is_waited_for(served: StandInHub, places: Places, fault: Fault) -> None:
    served.faults = [fault, fault, None]
    pauses = Pauses()
    fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served, pauses=pauses))
    assert contents(places.target) == {LARGE: FILES[LARGE]}
    assert pauses == ([7.0, 7.0] if fault is Fault.HTTP_429 else [1.0, 2.0])


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.NO_RANGES])
def test_attempts_have_an_end(served: StandInHub, places: Places, fault: Fault) -> None:
    pauses = Pauses()
    served.faults = [fault]
    if fault is Fault.NO_RANGES:
        served.faults = [Fault.CUT_CLEANLY] + [Fault.HTTP_500, Fault.CUT_UNSEEN] * ATTEMPTS
    with pytest.raises(MachineError, match="cannot download") as caught:
        fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served, pauses=pauses))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert "goes on where this one stopped" in caught.value.next_step


def test_progress_earns_new_attempts(
    served: StandInHub, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PROGRESS_BYTES", 1)
    served.faults = [*[Fault.CUT_CLEANLY] * (ATTEMPTS + 3), None]
    fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    assert contents(places.target) == {LARGE: FILES[LARGE]}


def test_a_server_that_is_silent_is_given_up(served: StandInHub, places: Places) -> None:
    served.faults = [Fault.SILENT, None]
    impatient = Hub(endpoint=served.endpoint, timeout_s=0.1, pause=Pauses())
    fetch(pin_of({LARGE: FILES[LARGE]}), places, impatient)
    assert contents(places.target) == {LARGE: FILES[LARGE]}


def test_a_server_that_drips_is_given_up(
    served: StandInHub, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.1)
    served.faults = [Fault.DRIPS]
    with pytest.raises(MachineError, match=r"bytes in 0 s"):
        fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))


def test_a_mismatch_is_refused_removed_and_named(served: StandInHub, places: Places) -> None:
    served.faults = [Fault.CORRUPT]
    with pytest.raises(MachineError) as caught:
        fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    assert digest(corrupted(FILES[LARGE])) in caught.value.what
    assert digest(FILES[LARGE]) in caught.value.why
    assert contents(places.target) == contents(places.partial) == {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.OTHER_FILE, f"has the SHA-256 {digest(other(FILES[LARGE]))}"),
        (Fault.LARGER, f"has the size {len(FILES[LARGE]) + 1}"),
        (Fault.SMALLER, f"has the size {len(FILES[LARGE]) - 1}"),
        (Fault.LINKED_SIZE, f"has the size {len(FILES[LARGE]) + 1}"),
        (Fault.OTHER_COMMIT, f"has the revision {'0' * 40}"),
    ],
)
def test_what_says_that_it_is_another_file_is_not_downloaded(
    served: StandInHub, places: Places, fault: Fault, said: str
) -> None:
    served.faults = [fault]
    with pytest.raises(MachineError, match=said):
        fetch(pin_of({LARGE: FILES[LARGE]}), places, asking(served))
    assert contents(places.partial)[f"{digest(FILES[LARGE])}/{LARGE}"] == b""


@pytest.mark.parametrize(
    ("fault", "exit_code", "said"),
    [
        (Fault.HTTP_401, ExitCode.MACHINE_LACKS, "HF_TOKEN"),
        (Fault.HTTP_404, ExitCode.BAD_SPEC, "git diff"),
        (Fault.HTTP_418, ExitCode.MACHINE_LACKS, "HF_ENDPOINT"),
        (Fault.LOOPS, ExitCode.MACHINE_LACKS, "HF_ENDPOINT"),
        (Fault.TO_A_FILE, ExitCode.MACHINE_LACKS, "HF_ENDPOINT"),
        (Fault.TO_NOWHERE, ExitCode.MACHINE_LACKS, "HF_ENDPOINT"),
    ],
)
def test_what_will_not_mend_itself_is_not_tried_again(
    served: StandInHub, places: Places, fault: Fault, exit_code: ExitCode, said: str
) -> None:
    served.faults = [fault]
    pauses = Pauses()
    with pytest.raises(KitError) as caught:
        fetch(pin_of({SMALL: FILES[SMALL]}), places, asking(served, pauses=pauses))
    assert caught.value.exit_code is exit_code
    assert said in caught.value.next_step
    assert pauses == []


# Tokens


def test_a_token_goes_to_the_hub_and_nowhere_else(served: StandInHub, places: Places) -> None:
    fetch(PIN, places, asking(served, token="hf_secret"))
    sent = {(seen.place, seen.authorization) for seen in served.seen}
    assert sent == {("hub", "Bearer hf_secret"), ("storage", None)}


@pytest.mark.parametrize(
    ("endpoint", "address", "is_sent"),
    [
        ("https://hub.example", "https://hub.example/a/b", True),
        ("https://hub.example/path", "https://hub.example/a/b", True),
        ("https://hub.example", "https://cdn.hub.example/a/b", False),
        ("https://hub.example", "https://hub.example:8443/a/b", False),
        ("https://hub.example", "http://hub.example/a/b", False),
        ("http://hub.example", "http://hub.example/a/b", False),
        ("http://10.0.0.1", "http://10.0.0.1/a/b", False),
        ("http://127.0.0.1:5", "http://127.0.0.1:5/a/b", True),
        ("http://localhost:5", "http://localhost:5/a/b", True),
        ("http://localhost:5", "http://localhost:6/a/b", False),
    ],
)
def test_where_a_token_may_be_sent(endpoint: str, address: str, is_sent: bool) -> None:
    asker = Hub(endpoint=endpoint, token="hf_secret")
    assert bool(asker.authorization(address)) is is_sent


@pytest.mark.parametrize("token", ["a b", "a\nb", "é", ""])
def test_a_token_that_is_none_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        Hub(token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "huggingface.co",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h:0",
        "http://h:x",
        "http://h /",
    ],
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        Hub(endpoint=endpoint)


def test_tls_is_never_left() -> None:
    with pytest.raises(MachineError, match="a redirection to"):
        hub._redirected("https://hub.example/a", "http://hub.example/b")
    assert hub._redirected("https://hub.example/a/b", "/c") == "https://hub.example/c"


# A folder in place of the hub


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "source"


NOBODY = Hub(endpoint="http://127.0.0.1:9", pause=Pauses())


def from_folder(places: Places, source: Path) -> Places:
    return Places(target=places.target, source=source)


def test_a_folder_serves_without_a_network(places: Places, source: Path) -> None:
    (source / "README.md").write_text("more than was asked for")
    fetch(PIN, from_folder(places, source), NOBODY)
    assert contents(places.target) == FILES
    assert not places.partial.exists()


def test_files_of_a_folder_may_be_links(places: Places, source: Path) -> None:
    (source / LARGE).rename(source / "blob")
    (source / LARGE).symlink_to("blob")
    fetch(PIN, from_folder(places, source), NOBODY)
    assert contents(places.target) == FILES
    assert not (places.target / LARGE).is_symlink()


@pytest.mark.parametrize(
    "change", [corrupted, other, lambda data: data[:-1], lambda data: data + b"x"]
)
def test_a_wrong_file_of_a_folder_is_refused_and_left(
    places: Places, source: Path, change: type[bytes]
) -> None:
    wrong = change(FILES[LARGE])
    (source / LARGE).write_bytes(wrong)
    with pytest.raises(MachineError, match=f"{LARGE} is not the pinned file") as caught:
        fetch(PIN, from_folder(places, source), NOBODY)
    assert str(source / LARGE) in caught.value.next_step
    assert (source / LARGE).read_bytes() == wrong
    found = contents(places.target)
    assert LARGE not in found
    assert all(FILES[name] == data for name, data in found.items())


def test_a_missing_file_of_a_folder_is_named(places: Places, source: Path) -> None:
    (source / LARGE).unlink()
    with pytest.raises(MachineError, match=f"{LARGE} is not in the folder"):
        fetch(PIN, from_folder(places, source), NOBODY)


def test_an_empty_folder_counts_as_none(served: StandInHub, places: Places, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    fetch(PIN, from_folder(places, tmp_path / "none"), asking(served))
    assert contents(places.target) == FILES


# The target


def test_nothing_else_may_be_in_the_target(served: StandInHub, places: Places) -> None:
    (places.target / "sub").mkdir(parents=True)
    (places.target / "sub" / "modeling.py").write_text("import os")
    with pytest.raises(MachineError, match=r"holds sub/modeling\.py"):
        fetch(PIN, places, asking(served))


def test_what_a_killed_run_left_in_the_target_goes(places: Places, source: Path) -> None:
    places.target.mkdir(parents=True)
    (places.target / f".{LARGE}.fresh").write_bytes(b"half")
    fetch(PIN, from_folder(places, source), NOBODY)
    assert contents(places.target) == FILES


def test_a_link_in_the_targets_place_is_replaced_and_not_followed(
    served: StandInHub, places: Places, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(FILES[LARGE])
    places.target.mkdir(parents=True)
    (places.target / LARGE).symlink_to(elsewhere)
    fetch(PIN, places, asking(served))
    assert not (places.target / LARGE).is_symlink()
    assert elsewhere.read_bytes() == FILES[LARGE]


def test_another_file_system_gets_verified_copies(served: StandInHub, tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    partial = shm / f"kit-test-{os.getpid()}"
    try:
        fetch(PIN, Places(target=tmp_path / "t", kept=partial), asking(served))
        assert contents(tmp_path / "t") == FILES
        assert list(partial.iterdir()) == []
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(
    served: StandInHub, places: Places
) -> None:
    huge = File(name="a", size_bytes=2**60, sha256="0" * 64)
    pin = Pin(model="tiny", repository=REPOSITORY, revision=REVISION, files=(huge,))
    with pytest.raises(MachineError, match="free") as caught:
        fetch(pin, places, asking(served))
    assert caught.value.next_step.startswith("df -h")
    assert served.seen == []


def test_a_folder_that_cannot_be_made_is_the_machines_fault(
    served: StandInHub, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    places = Places(target=tmp_path / "file" / "t", kept=tmp_path / "p")
    with pytest.raises(MachineError, match=os.strerror(errno.ENOTDIR)):
        fetch(PIN, places, asking(served))


# The command


def written(path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    model = HubModel(
        id=path.stem,
        repository=REPOSITORY,
        licence="Apache-2.0",
        revision=REVISION,
        files=tuple(
            HubFile(name=name, size_bytes=len(data), sha256=digest(data))
            for name, data in files.items()
        ),
    )
    path.write_bytes(render_pin(model))
    return path


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", COMMAND, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


COMMAND = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'fetch_model'; "
    "import runpy; runpy.run_module('kit.bootstrap.fetch_model', run_name='__main__')"
)


def test_the_command_needs_the_standard_library_alone(served: StandInHub, tmp_path: Path) -> None:
    pin = written(tmp_path / "tiny.json")
    token = tmp_path / "token"
    token.write_text("hf_secret\n")
    done = run(pin, tmp_path / "t" / "tiny", HF_ENDPOINT=served.endpoint, HF_TOKEN_PATH=str(token))
    assert (done.returncode, done.stdout) == (0, "")
    assert "5 files" in done.stderr
    assert contents(tmp_path / "t") == {f"tiny/{name}": data for name, data in FILES.items()}
    assert {seen.authorization for seen in served.seen if seen.place == "hub"} == {
        "Bearer hf_secret"
    }
    assert "hf_secret" not in done.stderr


def test_a_model_that_is_not_pinned_is_refused_with_3(tmp_path: Path) -> None:
    done = run(tmp_path / "moe.json", tmp_path / "moe")
    assert done.returncode == ExitCode.BAD_SPEC
    error, why, next_step = done.stderr.splitlines()
    assert error.startswith("error: the model moe is not pinned yet")
    assert why.startswith("  why:  ")
    assert next_step == "  next: kit lock-models moe"
    assert not (tmp_path / "moe").exists()


def test_a_fault_of_the_hub_ends_with_4_and_three_parts(served: StandInHub, tmp_path: Path) -> None:
    served.faults = [Fault.CORRUPT]
    pin = written(tmp_path / "tiny.json")
    done = run(pin, tmp_path / "t", HF_ENDPOINT=served.endpoint)
    assert done.returncode == ExitCode.MACHINE_LACKS
    assert [line[:8] for line in done.stderr.splitlines()[-3:]] == [
        "error: c",
        "  why:  ",
        "  next: ",
    ]
    assert contents(tmp_path / "t") == {}


@pytest.mark.parametrize(
    ("arguments", "environment", "exit_code"),
    [
        ((), {}, ExitCode.USAGE),
        (("tiny.json", "t", "--guess"), {}, ExitCode.USAGE),
        (("tiny.json", "t"), {"HF_ENDPOINT": "nowhere"}, ExitCode.USAGE),
        (("tiny.json", "t"), {"HF_TOKEN": "a b"}, ExitCode.USAGE),
        (("tiny.json", "t", "--from", "none"), {}, ExitCode.MACHINE_LACKS),
        (("tiny.json", "tiny.json/t"), {}, ExitCode.MACHINE_LACKS),
        ((".", "t"), {}, ExitCode.BAD_SPEC),
    ],
)
def test_wrong_usage(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], exit_code: ExitCode
) -> None:
    written(tmp_path / "tiny.json")
    words = [word if word.startswith("--") else tmp_path / word for word in arguments]
    done = run(*words, **environment)
    assert done.returncode == exit_code
    assert "Traceback" not in done.stderr


def test_ctrl_c_keeps_what_is_there(served: StandInHub, tmp_path: Path) -> None:
    served.faults = [None, Fault.CUT_CLEANLY, Fault.SILENT]
    pin = written(tmp_path / "tiny.json")
    process = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            COMMAND,
            pin,
            tmp_path / "t",
            "--partial",
            tmp_path / "p",
        ],
        env={"HF_ENDPOINT": served.endpoint},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    waiting = tmp_path / "p" / digest(FILES[LARGE]) / LARGE
    half = len(FILES[LARGE]) // 2
    while time.monotonic() < deadline:
        if waiting.exists() and waiting.stat().st_size >= half:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "run the same command again to continue" in said
    assert waiting.read_bytes() == FILES[LARGE][:half]
    assert contents(tmp_path / "t") == {}


@pytest.mark.parametrize("targets", [("t", "t", "t"), ("t", "u", "v")])
def test_runs_at_once_do_not_disturb_each_other(
    served: StandInHub, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    shared = None if len(set(targets)) == 1 else tmp_path / "partial"
    failures = []

    def one(name: str) -> None:
        try:
            fetch(PIN, Places(target=tmp_path / name, kept=shared), asking(served))
        except Exception as error:  # noqa: BLE001  # told below
            failures.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in targets:
        assert contents(tmp_path / name) == FILES


# Pins


@pytest.mark.parametrize(
    "change",
    [
        {"repository": "model"},
        {"repository": "../model"},
        {"revision": "main"},
        {"revision": None},
        {"files": []},
        {"files": None},
        {"files": [{"name": "../a", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "/a", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": ".a", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "a\n", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "a", "size_bytes": -1, "sha256": "0" * 64}]},
        {"files": [{"name": "a", "size_bytes": True, "sha256": "0" * 64}]},
        {"files": [{"name": "a", "size_bytes": 1, "sha256": "0" * 63}]},
        {"files": [{"name": "a", "size_bytes": 1}]},
        {"files": [{"name": "a", "size_bytes": 1, "sha256": "0" * 64}] * 2},
    ],
)
def test_both_readers_refuse_a_bad_pin(tmp_path: Path, change: dict[str, object]) -> None:
    path = written(tmp_path / "tiny.json")
    model = HubModel(id="tiny", repository=REPOSITORY, licence="Apache-2.0")
    assert [file.name for file in read_pin(path).files] == list(FILES)
    assert parse_pin(path.read_bytes(), "p", model).is_pinned
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SpecError, match="cannot use"):
        read_pin(path)
    with pytest.raises(SpecError, match="cannot use"):
        parse_pin(path.read_bytes(), "p", model)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_pin_of_something_else(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "tiny.json"
    path.write_bytes(text)
    with pytest.raises(SpecError, match="cannot use"):
        read_pin(path)


def test_a_wait_that_the_hub_asks_for_has_an_end() -> None:
    pauses = Pauses()
    attempts = hub.Attempts(pauses)
    attempts.failed("a", hub.Transient("busy", 1e9), 0)
    assert pauses == [hub.LONGEST_WAIT_S]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "-7"}, 0.0),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"retry-after": "7", "ratelimit": '"api";r=0;t=55'}, 7.0),
        ({"ratelimit": "unlimited"}, 0.0),
    ],
)
def test_what_the_hub_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert hub._asked_to_wait(headers) == seconds


def test_progress_is_told_once_a_gigabyte(capsys: pytest.CaptureFixture[str]) -> None:
    file = File(name="a", size_bytes=3 * 10**9, sha256="0" * 64)
    for left in range(3 * 10**9, 0, -(10**8)):
        fetch_model._tell_progress(file, left, left - 10**8)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert told[0] == "  2.90 GB to go of a"
