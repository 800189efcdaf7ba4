"""Runs of one cell on the stand-in engine: however they end, they leave a bundle."""

import getpass
import gzip
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kit.bundle.bag import DOCUMENT, RECORDS, SERVER_LOG
from kit.bundle.document import Document, EngineIdentity, Status
from kit.bundle.record import Record
from kit.edge import session
from kit.edge.engine import process
from kit.edge.engine.endpoint import Endpoint
from kit.edge.engine.process import ProcessEngine
from kit.edge.files import disk, safe_read
from kit.edge.session import RunContext
from kit.errors import ExitCode, KitError, MachineError, RunError
from kit.format import canonical
from kit.plan import schedule
from kit.plan.plan import Connection, Dialect, Plan
from tests.unit.edge.conftest import Serve, make_plan, make_service, processes_with

ROOT = Path(__file__).parents[3]


@dataclass
class Notes:
    """An observer that notes the steps of a run."""

    steps: list[str] = field(default_factory=list)

    def starting(self, plan: Plan) -> None:
        self.steps.append("starting")

    def ready(self, seconds: float) -> None:
        self.steps.append("ready")

    def answered(self, pieces: int) -> None:
        """Only agents do."""

    def recorded(self, record: Record) -> None:
        self.steps.append("recorded")

    def printed(self, line: str) -> None:
        self.steps.append(line)

    def sealed(self, path: Path, status: Status) -> None:
        self.steps.append(f"sealed {status.value}")


def make_context(folder: Path, observer: Notes | None = None) -> RunContext:
    return RunContext(
        results=folder / "results",
        state=folder / "state",
        observer=observer or Notes(),
        calibrate=lambda _plan, _moment: None,
    )


def make_engine(folder: Path, *arguments: str, mark: str = "") -> ProcessEngine:
    port = process.free_port(None)
    return ProcessEngine(
        service=make_service(port, *arguments, environment={"MARK": mark}),
        served_model="moe-mini",
        environment=Path(sys.prefix),
        port=port,
        identity=EngineIdentity(build="stand-in", cores=(0,)),
        log=disk.new_log(folder / "state" / "logs", "engine"),
        grace_s=0.5,
    )


def make_endpoint(url: str, served_model: str = "moe-mini") -> Endpoint:
    return Endpoint(base_url=url, served_model=served_model, model="moe-mini")


def read(bag: Path) -> tuple[Document, tuple[Record, ...]]:
    """Check the bag with sha256sum alone, then read it."""
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        check = ["sha256sum", "--strict", "--quiet", "-c", manifest]
        assert subprocess.run(check, cwd=bag, check=False).returncode == 0
    files = safe_read.read_folder(bag).files
    records = canonical.decode_lines(files[RECORDS], Record)
    return canonical.decode(files[DOCUMENT], Document), records


def only_bag(context: RunContext) -> Path:
    (bag,) = context.results.iterdir()  # and no temporary folder
    return bag


def text_of(bag: Path) -> dict[str, bytes]:
    files = safe_read.read_folder(bag).files
    return {
        name: gzip.decompress(data) if name.endswith(".gz") else data
        for name, data in files.items()
    }


def test_a_run_gives_a_complete_bundle(tmp_path: Path) -> None:
    notes = Notes()
    context, planned = make_context(tmp_path, notes), make_plan()
    path = session.run(planned, make_engine(tmp_path), context)
    document, records = read(path)
    assert path == only_bag(context)
    assert (document.status, document.failure) == (Status.COMPLETE, None)
    assert document.plan == planned
    assert document.engine.version == "0.17.0"
    wanted = list(schedule.requests(planned))
    assert [(r.phase, r.pass_number, r.prompt_id, r.seed) for r in records] == [
        (r.phase, r.pass_number, r.prompt_id, r.seed) for r in wanted
    ]
    ends = [record.sent_s + record.wall_s for record in records]
    starts = [record.sent_s for record in records]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert ends[-1] <= document.clock.end_s
    assert len([name for name in text_of(path) if "metrics" in name]) == 8
    assert notes.steps == ["starting", "ready", *["recorded"] * 8, "sealed complete"]


@pytest.mark.parametrize(
    ("arguments", "stage", "code", "recorded"),
    [
        (("--behaviour=dies-at-start",), "start", "engine-died", 0),
        (("--behaviour=dies-in-mid-run", "--after=3", "--child"), "measure", "engine-died", 4),
        (("--behaviour=http-500", "--after=2"), "measure", "http-5xx", 3),
        (("--behaviour=no-usage",), "measure", "no-usage", 1),
        (("--behaviour=hangs", "--after=1"), "measure", "timed-out", 2),
        (("--behaviour=no-done",), "measure", "stream-cut", 7),
    ],
)
def test_a_failed_run_keeps_what_was_recorded(
    arguments: tuple[str, ...], stage: str, code: str, recorded: int, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    context = make_context(tmp_path)
    with pytest.raises(RunError) as caught:
        session.run(make_plan(timeout_s=2.0), make_engine(tmp_path, *arguments, mark=mark), context)
    assert (caught.value.code, caught.value.exit_code) == (code, ExitCode.RUN_FAILED)
    bag = only_bag(context)
    assert bag.name.endswith("-partial")
    document, records = read(bag)
    assert document.status is Status.PARTIAL
    assert document.failure is not None
    assert (document.failure.stage, document.failure.code) == (stage, code)
    assert len(records) == recorded
    assert SERVER_LOG in text_of(bag)
    assert not processes_with(mark)


def test_a_missing_engine_is_the_machines_fault_and_told(tmp_path: Path) -> None:
    engine, context = make_engine(tmp_path), make_context(tmp_path)
    missing = replace(engine, service=replace(engine.service, command=("no-such-engine",)))
    with pytest.raises(MachineError):
        session.run(make_plan(), missing, context)
    document, _ = read(only_bag(context))
    assert document.failure is not None
    assert document.failure.code == "machine-lacks"


RUN_A_CELL = """
import sys
from pathlib import Path
from kit.edge import interrupts
from tests.unit.edge.conftest import make_plan
from tests.unit.edge.test_session import Notes, session, make_engine, make_context

interrupts.handle()

class Loud(Notes):
    def answered(self, pieces):
        pass
    def recorded(self, record):
        print("recorded", flush=True)

folder, mark, *arguments = sys.argv[1:]
try:
    engine = make_engine(Path(folder), *arguments, mark=mark)
    session.run(make_plan(), engine, make_context(Path(folder), Loud()))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("presses", [1, 4])
def test_ctrl_c_seals_a_partial_bundle(presses: int, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-c", RUN_A_CELL, str(tmp_path), mark]
    arguments = ["--behaviour=ignores-sigterm", "--tokens-per-s=20", "--child"]
    with subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as kit:
        assert kit.stdout is not None
        assert kit.stdout.readline() == "recorded\n"
        for _ in range(presses):
            kit.send_signal(signal.SIGINT)
        assert kit.communicate(timeout=30)[0].splitlines()[-1] == "interrupted"
    document, records = read(only_bag(make_context(tmp_path)))
    assert document.failure is not None
    assert document.failure.code == "interrupted"
    assert len(records) >= 1
    assert not processes_with(mark)


def test_an_unwritable_results_folder_stops_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "results").write_bytes(b"")  # root may write into any folder, not into a file
    notes = Notes()
    with pytest.raises(MachineError) as caught:
        session.run(make_plan(), make_engine(tmp_path), make_context(tmp_path, notes))
    assert caught.value.exit_code == ExitCode.MACHINE_LACKS
    assert notes.steps == []


@pytest.mark.parametrize("options", ["ro", "size=1m"])
def test_a_full_or_read_only_disk_stops_before_anything_starts(
    options: str, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small file system")
    (tmp_path / "results").mkdir()
    target = str(tmp_path / "results")
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", target]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("NOT TESTED: this root may not mount")
    notes = Notes()
    try:
        with pytest.raises(MachineError):
            session.run(make_plan(), make_engine(tmp_path), make_context(tmp_path, notes))
    finally:
        subprocess.run(["umount", "-l", target], check=True)
    assert notes.steps == []


class Saboteur(Notes):
    """An observer that turns the results folder into a file during the run."""

    def __init__(self, results: Path) -> None:
        super().__init__()
        self._results = results

    def starting(self, plan: Plan) -> None:
        self._results.rmdir()
        self._results.write_bytes(b"")


@pytest.mark.parametrize("behaviour", ["dies-at-start", "good"])
def test_a_bundle_that_cannot_be_sealed_is_told(behaviour: str, tmp_path: Path) -> None:
    context = make_context(tmp_path, Saboteur(tmp_path / "results"))
    with pytest.raises(KitError) as caught:
        session.run(make_plan(), make_engine(tmp_path, f"--behaviour={behaviour}"), context)
    assert "the records were lost: cannot write" in caught.value.what
    assert isinstance(caught.value, MachineError if behaviour == "good" else RunError)


def test_runs_within_one_second_get_a_bundle_each(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    for _ in range(3):
        with pytest.raises(RunError):
            session.run(make_plan(), make_endpoint("http://127.0.0.1:1"), context)
    assert len(list(context.results.iterdir())) == 3


def test_nothing_private_is_in_a_bundle(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    said = [f"results in {context.results}", f"user {getpass.getuser()} at {socket.getfqdn()}"]
    engine = make_engine(
        tmp_path,
        "--behaviour=talks-of-its-host",
        *(f"--say={text}" for text in (*said, str(context.state))),
    )
    texts = text_of(session.run(make_plan(), engine, context))
    secrets = {
        str(tmp_path),
        str(ROOT),
        str(Path.home()),
        tempfile.gettempdir(),
        "192.168.7.31",
        "10.20.30.40",
        "52:54:00:ab:cd:ef",
        "8f2f1a5e-41e5-4d2e-9a3c-6b1f0c9d7e11",
        "fe80::5054:ff:feab:cdef",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        f"{socket.gethostname()}:123:456",
        *({getpass.getuser()} - {"root"}),
    }
    log = texts[SERVER_LOG].decode()
    assert "<host>:123:456 [0] NCCL INFO Bootstrap: Using eth0:<ipv4><0>" in log
    for name, data in texts.items():
        assert not [secret for secret in secrets if secret.encode() in data], name


def test_a_user_called_like_the_model_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOGNAME", "moe-mini")
    engine = make_engine(tmp_path, "--behaviour=talks-of-its-host", "--say=model='/x/moe-mini'")
    texts = text_of(session.run(make_plan(), engine, make_context(tmp_path)))
    assert b"model='/x/moe-mini'" in texts[SERVER_LOG]


@pytest.mark.parametrize("connection", list(Connection))
def test_an_endpoint_of_vllm_is_measured(
    connection: Connection, serve: Serve, tmp_path: Path
) -> None:
    model = f"{tmp_path}/alices-model"
    with serve("--model", model) as url:
        endpoint = make_endpoint(url, model)
        path = session.run(make_plan(connection=connection), endpoint, make_context(tmp_path))
    document, records = read(path)
    assert document.status is Status.COMPLETE
    assert document.engine == EngineIdentity(version="0.17.0")
    assert set(document.absent) == {"engine", "server_log", "model_files", "telemetry"}
    assert all(record.error is None and record.token_ids for record in records)
    texts = text_of(path)
    assert SERVER_LOG not in texts
    assert b'model_name="<model>"' in texts["data/metrics/warmup-0-after.prom.gz"]
    private = (b"alices-model", url.encode(), url.rpartition(":")[2].encode())
    assert not [name for name, data in texts.items() if any(word in data for word in private[:2])]


def test_a_plain_endpoint_names_what_it_does_not_tell(stand_in: str, tmp_path: Path) -> None:
    planned = make_plan(dialect=Dialect.OPENAI)
    context = make_context(tmp_path)
    path = session.run(planned, make_endpoint(f"{stand_in}/plain-openai"), context)
    document, records = read(path)
    assert document.engine.version is None
    assert {"metrics", "token_ids"} <= set(document.absent)
    assert all(record.token_ids is None and record.completion_tokens for record in records)
    assert not [name for name in text_of(path) if "metrics" in name]
