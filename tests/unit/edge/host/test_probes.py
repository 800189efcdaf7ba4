"""Facts of the host that identify no person, and an id that does not change."""

import getpass
import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kit.bundle.document import Host
from kit.bundle.redact import redact
from kit.edge.files import checkout
from kit.edge.host import probes
from kit.errors import MachineError

ROOT = Path(__file__).parents[4]


def test_host_facts_name_nobody() -> None:
    facts = probes.host(probes.load(), None)
    private = {socket.gethostname(), socket.getfqdn(), getpass.getuser(), str(Path.home())}
    told = [str(value) for value in msgspec.to_builtins(facts).values()]
    assert not private.intersection(told)
    assert not re.search(r"\d+\.\d+\.\d+\.\d+:|@|/home/|/root", " ".join(told))


def test_host_facts_are_those_of_the_allow_list() -> None:
    facts = probes.host(None, None)
    assert set(msgspec.to_builtins(facts)) <= {field.name for field in msgspec.structs.fields(Host)}
    assert facts.cpu_count >= 1
    assert facts.memory_bytes is None or facts.memory_bytes > 2**20
    assert msgspec.convert(msgspec.to_builtins(facts), Host) == facts


def test_load_is_a_share() -> None:
    load = probes.load()
    assert load is not None
    assert load.load_average >= 0
    assert load.steal_ratio is None or 0 <= load.steal_ratio <= 1


def test_packages_are_those_a_request_goes_through() -> None:
    assert set(probes.packages()) == {"msgspec", "requests", "urllib3"}


def test_host_id_is_made_once(tmp_path: Path) -> None:
    made = probes.host_id(tmp_path / "state")
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert probes.host_id(tmp_path / "state") == made
    assert probes.host_id(tmp_path / "other") != made
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["host-id"]


@pytest.mark.parametrize("damaged", [b"", b"\n", b"short", b"\xff" * 32, b"G" * 32, b"0" * 33])
def test_a_damaged_host_id_is_made_anew(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / "host-id").write_bytes(damaged)
    made = probes.host_id(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert probes.host_id(tmp_path) == made


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_at_once_get_the_same_host_id(damaged: bool, tmp_path: Path) -> None:
    if damaged:
        (tmp_path / "host-id").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from kit.edge.host import probes\n"
        "print('', flush=True); sys.stdin.readline(); print(probes.host_id(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    askers = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for asker in askers:  # all have started before any may ask
        assert asker.stdout is not None
        asker.stdout.readline()
    for asker in askers:
        assert asker.stdin is not None
        asker.stdin.write("\n")
        asker.stdin.flush()
    answers = {asker.communicate(timeout=20)[0] for asker in askers}
    assert answers == {probes.host_id(tmp_path) + "\n"}


def test_a_host_id_that_cannot_be_kept_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError):
        probes.host_id(tmp_path / "file")
    (tmp_path / "host-id").mkdir()
    with pytest.raises(MachineError):
        probes.host_id(tmp_path)


def test_model_files_are_named_by_their_own_hash(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    first, second = probes.model_files(tmp_path)
    assert (first.name, first.size_bytes) == ("a", 0)
    assert (second.name, second.size_bytes) == ("b", 3)
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert second.sha256 == known


def test_private_names_are_this_hosts() -> None:
    names = probes.private_names()
    assert names[str(checkout.ROOT)] == "checkout"
    host = socket.gethostname()
    assert host == "localhost" or len(host) < 2 or names[host] == "host"


def test_a_home_and_user_of_the_environment_are_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    monkeypatch.setenv("LOGNAME", "alice")
    names = probes.private_names()
    assert names["alice"] == "user"
    assert names[str(tmp_path / "link")] == names[str(tmp_path / "real")] == "home"


def test_words_of_the_evidence_stay_readable() -> None:
    """On a host or for a user of that name, the counters must keep theirs."""
    words = ("vllm", "GPU", "cuda", "Gloo", "via", "using", "root", "/", "", "x", "640", "alice")
    private = probes.private_words("user", *words)
    assert private == {"alice": "user"}
    assert redact(b"vllm:prompt_tokens_total 3", private) == b"vllm:prompt_tokens_total 3"


def test_places_are_private_as_written_and_behind_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    places = probes.private_places({"results": tmp_path / "link", "root": Path("/")})
    assert places == {str(tmp_path / "link"): "results", str(tmp_path / "real"): "results"}


def test_relative_places_are_made_absolute() -> None:
    """A bare dot would stand for every full stop."""
    assert set(probes.private_places({"results": Path()})) == {
        str(Path.cwd()),
        str(Path.cwd().resolve()),
    }
