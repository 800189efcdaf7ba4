"""Twins on disk: complete or absent, readable by all users, one writer at a time."""

import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kit.edge.files.twin_files import ensure_twin
from kit.errors import MachineError, SpecError
from kit.plan.models import Twin

REPOSITORY = Path(__file__).parents[4]
NAMES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]
TWIN = Twin(
    id="dense-nano",
    twin_of="dense",
    seed=12,
    max_tokens=8,
    sha256="846b1882b19f19643b148952dcaf7eb48f619e89f566cdee66ec950d2e408711",
    config={
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": 16384,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
)
MAKE_TWIN = """
import sys
from pathlib import Path
from kit.edge.files.twin_files import ensure_twin
from kit.errors import MachineError
from kit.plan.models import parse_models
models = parse_models(Path("docker/models.toml").read_bytes(), "docker/models.toml")
try:
    print(ensure_twin(models["dense-mini"], Path(sys.argv[1])))
except MachineError as error:
    print(error.why)
"""


def start_making(root: Path) -> subprocess.Popen[str]:
    """Start a process of its own that makes a twin of the size that users get."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKE_TWIN, str(root)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for_a_scratch_directory(root: Path, process: subprocess.Popen[str]) -> None:
    while not any(root.glob(".dense-mini-*/fresh/model.safetensors")):
        assert process.poll() is None, "made before it could be interrupted"
        time.sleep(0.005)


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_every_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    home = ensure_twin(TWIN, tmp_path)
    assert home == tmp_path / "dense-nano"
    assert sorted(path.name for path in home.iterdir()) == NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["dense-nano"]


def test_everyone_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "twins"
    old = os.umask(0o077)
    try:
        home = ensure_twin(TWIN, root)
    finally:
        os.umask(old)
    assert mode(root) == mode(home) == 0o755
    assert {mode(path) for path in home.iterdir()} == {0o644}


def written(path: Path) -> tuple[int, int]:
    """Which file it is, and when it was last written; not when it was last read."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_an_intact_twin_is_used_as_it_is(tmp_path: Path) -> None:
    home = ensure_twin(TWIN, tmp_path)
    before = {path.name: written(path) for path in home.iterdir()}
    assert ensure_twin(TWIN, tmp_path) == home
    assert {path.name: written(path) for path in home.iterdir()} == before


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_replaced(tmp_path: Path, name: str) -> None:
    home = ensure_twin(TWIN, tmp_path)
    path = home / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ensure_twin(TWIN, tmp_path)
    assert path.read_bytes() == whole
    assert [each.name for each in tmp_path.iterdir()] == ["dense-nano"]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_replaced(tmp_path: Path, name: str) -> None:
    home = ensure_twin(TWIN, tmp_path)
    home.joinpath(name).unlink()
    ensure_twin(TWIN, tmp_path)
    assert sorted(path.name for path in home.iterdir()) == NAMES


def test_a_file_that_only_its_owner_may_read_is_replaced(tmp_path: Path) -> None:
    path = ensure_twin(TWIN, tmp_path) / "model.safetensors"
    path.chmod(0o600)
    ensure_twin(TWIN, tmp_path)
    assert mode(path) == 0o644


def test_a_file_where_the_directory_belongs_is_replaced(tmp_path: Path) -> None:
    tmp_path.joinpath("dense-nano").write_text("in the way")
    assert ensure_twin(TWIN, tmp_path).is_dir()


def test_another_config_replaces_the_twin_of_that_name(tmp_path: Path) -> None:
    ensure_twin(TWIN, tmp_path)
    changed = replace(TWIN, config={**TWIN.config, "max_position_embeddings": 512})
    assert b"512" in ensure_twin(changed, tmp_path).joinpath("config.json").read_bytes()


def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        ensure_twin(replace(TWIN, sha256="0" * 64), tmp_path)
    assert TWIN.sha256 in caught.value.what
    assert "0" * 64 in caught.value.why
    assert TWIN.sha256 in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    with files_no_larger_than(1_000_000), pytest.raises(MachineError) as caught:
        ensure_twin(TWIN, tmp_path)
    assert os.strerror(errno.EFBIG) in caught.value.what
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_what_was_there(tmp_path: Path) -> None:
    path = ensure_twin(TWIN, tmp_path) / "config.json"
    path.write_text("damaged")
    with files_no_larger_than(1_000_000), pytest.raises(MachineError):
        ensure_twin(TWIN, tmp_path)
    assert path.read_text() == "damaged"


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = start_making(tmp_path)
    wait_for_a_scratch_directory(tmp_path, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    leftover = tmp_path / ".dense-nano-killed" / "fresh"
    leftover.mkdir(parents=True)
    leftover.joinpath("model.safetensors").write_bytes(b"half")
    ensure_twin(TWIN, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dense-nano"]


def test_two_processes_at_once_share_one_twin(tmp_path: Path) -> None:
    processes = [start_making(tmp_path) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed == [str(tmp_path / "dense-mini")] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["dense-mini"]


def test_a_root_that_is_a_file_is_the_machines_fault(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.write_text("")
    with pytest.raises(MachineError, match="cannot make the twin dense-nano"):
        ensure_twin(TWIN, root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_root_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(MachineError, match="Permission denied") as caught:
        ensure_twin(TWIN, tmp_path)
    assert caught.value.why == "this user may not write the folder"


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """On a file system of 4 MB in a mount namespace of its own, where the machine allows one."""
    mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}"
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    allowed = shutil.which("unshare") and not subprocess.call([*own_mounts, mount])
    if not allowed:
        pytest.skip("no mount namespaces here")
    script = f'{mount} && "$0" -c "$1" {tmp_path} && ls -A {tmp_path}'
    made = subprocess.run(
        [*own_mounts, script, sys.executable, MAKE_TWIN],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == "the disk or the quota is full\n"
