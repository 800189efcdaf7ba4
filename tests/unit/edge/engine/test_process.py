"""Engines that start, fail to start, die, or ignore SIGTERM: none of their processes remains."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

import pytest

from kit.edge.engine import process
from kit.errors import MachineError, RunError
from kit.plan.topology import HealthCheck, Service
from tests.unit.edge.conftest import GRACE_S, make_service, processes_with, until

ROOT = Path(__file__).parents[4]
ENGINE = Path(sys.prefix)
Kit: TypeAlias = "subprocess.Popen[str]"

RUN_A_SERVICE = """
import signal, sys
from pathlib import Path
from kit.edge import interrupts
from kit.edge.engine import process
from tests.unit.edge.conftest import make_service

interrupts.handle()
port, log, mark, grace_s, *arguments = sys.argv[1:]
service = make_service(int(port), *arguments, environment={"MARK": mark})
try:
    with process.serving(service, Path(sys.prefix), Path(log), float(grace_s)):
        print("ready", flush=True)
        signal.pause()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a word for an engine's environment; at the end no process may have it."""
    word = uuid.uuid4().hex
    yield word
    left = processes_with(word)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert not left


def service_that(code: str, deadline_s: float = 20.0) -> Service:
    """Return a service whose engine runs some Python and whose healthcheck never passes."""
    health = HealthCheck(test=("false",), interval_s=0.02, timeout_s=5, deadline_s=deadline_s)
    return Service(command=(sys.executable, "-S", "-c", code), environment=(), health=health)


def serve_and_leave(service: Service, log: Path) -> None:
    with process.serving(service, ENGINE, log, GRACE_S):
        pass


def test_an_engine_is_up_inside_and_gone_outside(log: Path, mark: str) -> None:
    port = process.free_port(None)
    service = make_service(port, environment={"MARK": mark})
    with process.serving(service, ENGINE, log, GRACE_S) as running:
        assert running.poll() is None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
        assert processes_with(mark)
    assert not processes_with(mark)
    assert f"listening on {port}" in log.read_text()


def test_the_log_holds_all_that_was_said(log: Path) -> None:
    lines = [f"line {number}" for number in range(5000)]
    code = f"import sys; print('\\n'.join(f'line {{n}}' for n in range({len(lines)})), flush=True)"
    log.write_text("earlier\n")
    with pytest.raises(RunError):
        serve_and_leave(service_that(code + "; sys.stderr.write('the end\\n')"), log)
    assert log.read_text().splitlines() == ["earlier", *lines, "the end"]


def test_an_engine_that_dies_at_its_start_is_shown(log: Path) -> None:
    with pytest.raises(RunError, match="exit code 3") as caught:
        serve_and_leave(service_that("import sys; print('CUDA out of luck'); sys.exit(3)"), log)
    assert caught.value.code == "engine-died"
    assert "CUDA out of luck" in caught.value.what


def test_a_silent_death_is_said_to_be_silent(log: Path) -> None:
    with pytest.raises(RunError, match="printed nothing"):
        serve_and_leave(service_that("import os; os.kill(os.getpid(), 9)"), log)


def test_the_last_lines_are_shown_and_do_not_steer_the_terminal(log: Path) -> None:
    code = "print('x' * 10**6 + '\\nfirst\\n' * 30 + '\\x1b[2J\\x07last')"
    with pytest.raises(RunError) as caught:
        serve_and_leave(service_that(code), log)
    lines = caught.value.what.splitlines()
    assert len(lines) == 1 + process.LOG_LINES_SHOWN
    assert lines[-1] == r"  \x1b[2J\x07last"


def test_an_engine_never_ready_is_given_up(log: Path, mark: str) -> None:
    service = make_service(
        process.free_port(None),
        "--behaviour=never-healthy",
        deadline_s=1.0,
        environment={"MARK": mark},
    )
    with pytest.raises(RunError, match="not ready after 1 s") as caught:
        serve_and_leave(service, log)
    assert caught.value.code == "engine-not-ready"
    assert "its last lines" in caught.value.what


def test_a_slow_start_is_waited_for(log: Path) -> None:
    port = process.free_port(None)
    started = time.monotonic()
    serve_and_leave(make_service(port, "--behaviour=slow-start", "--start-s=0.8"), log)
    assert time.monotonic() - started >= 0.8


def test_a_healthcheck_that_hangs_counts_as_not_ready(log: Path) -> None:
    health = HealthCheck(test=("sleep", "60"), interval_s=0.02, timeout_s=0.1, deadline_s=0.5)
    service = Service(command=("sleep", "60"), environment=(), health=health)
    with pytest.raises(RunError, match="not ready"):
        serve_and_leave(service, log)


def test_a_healthcheck_that_does_not_exist_counts_as_not_ready(log: Path) -> None:
    health = HealthCheck(test=("no-such-check",), interval_s=0.02, timeout_s=1, deadline_s=0.2)
    service = Service(command=("sleep", "60"), environment=(), health=health)
    with pytest.raises(RunError, match="not ready"):
        serve_and_leave(service, log)


def test_another_server_on_the_port_is_not_the_engine(log: Path) -> None:
    """The healthcheck passes, but the engine has died because the port was taken."""
    health = HealthCheck(test=("sleep", "0.5"), interval_s=0.02, timeout_s=10, deadline_s=20)
    code = "print('address already in use'); raise SystemExit(1)"
    command = (sys.executable, "-S", "-c", code)
    with pytest.raises(RunError, match="address already in use"):
        serve_and_leave(Service(command=command, environment=(), health=health), log)


def test_a_missing_engine_is_the_machines_fault(log: Path) -> None:
    health = HealthCheck(test=("true",), interval_s=0.1, timeout_s=1, deadline_s=1)
    service = Service(command=("no-such-engine", "serve"), environment=(), health=health)
    with pytest.raises(MachineError, match="no-such-engine"):
        serve_and_leave(service, log)


def test_a_damaged_engine_died_at_its_start(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vllm").write_text("#!/no/such/python\n")
    (tmp_path / "bin" / "vllm").chmod(0o755)
    health = HealthCheck(test=("false",), interval_s=0.02, timeout_s=1, deadline_s=20)
    service = Service(command=("vllm", "serve"), environment=(), health=health)
    with (
        pytest.raises(RunError, match="cannot start vllm: No such file"),
        process.serving(service, tmp_path, log, GRACE_S),
    ):
        pass


def test_the_environment_is_the_allow_list_and_the_files(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name not in ("PATH", "HOME"):
            monkeypatch.delenv(name)
    for name in ("AWS_SECRET", "HTTP_PROXY", "PYTHONPATH", "LD_PRELOAD_X", "LC_CTYPE"):
        monkeypatch.setenv(name, "x")
    service = Service(
        command=("/bin/sh", "-c", "tr '\\0' '\\n' < /proc/self/environ"),
        environment=(("HOME", "/file"), ("VLLM_X", "$1")),
        health=service_that("").health,
    )
    with pytest.raises(RunError):
        serve_and_leave(service, log)
    seen = dict(line.split("=", 1) for line in log.read_text().splitlines())
    path = f"{ENGINE / 'bin'}:{os.environ['PATH']}"
    assert seen == {"HOME": "/file", "VLLM_X": "$1", "PATH": path}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--child",),
        ("--escaped-child",),
        ("--behaviour=ignores-sigterm", "--child", "--escaped-child"),
    ],
)
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_nothing_is_left_however_the_context_ends(
    error: type[BaseException] | None, arguments: tuple[str, ...], log: Path, mark: str
) -> None:
    service = make_service(process.free_port(None), *arguments, environment={"MARK": mark})
    children = sum("child" in argument for argument in arguments)
    guard = 1
    expected: AbstractContextManager[object]
    expected = nullcontext() if error is None else pytest.raises(error)
    with expected, process.serving(service, ENGINE, log, 0.3):
        assert len(processes_with(mark)) == guard + 1 + children
        if error is not None:
            raise error
    assert not processes_with(mark)


def test_an_engine_that_dies_in_mid_run_takes_its_children_along(log: Path, mark: str) -> None:
    port = process.free_port(None)
    service = make_service(port, "--child", "--escaped-child", environment={"MARK": mark})
    with process.serving(service, ENGINE, log, GRACE_S) as running:
        process.require_alive(running, log, wait_s=0.0)
        (engine,) = (
            number
            for number in processes_with(mark)
            if b"stand_in_engine" in Path(f"/proc/{number}/cmdline").read_bytes()
        )
        os.kill(engine, signal.SIGKILL)
        with pytest.raises(RunError, match="while it was being measured") as caught:
            process.require_alive(running, log, wait_s=20.0)
        assert caught.value.code == "engine-died"
        assert running.returncode == 128 + signal.SIGKILL
        assert not processes_with(mark)


def test_an_engine_may_be_stopped_from_any_thread(log: Path, mark: str) -> None:
    service = make_service(process.free_port(None), environment={"MARK": mark})
    with ThreadPoolExecutor(1) as pool:
        pool.submit(serve_and_leave, service, log).result(30)
    assert not processes_with(mark)


@contextmanager
def kit_running(log: Path, mark: str, *arguments: str, grace_s: float = GRACE_S) -> Iterator[Kit]:
    """Start a Python that runs the context manager, and wait until its engine is ready."""
    port = str(process.free_port(None))
    command = [sys.executable, "-c", RUN_A_SERVICE, port, str(log), mark, str(grace_s), *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as kit:
        assert kit.stdout is not None
        try:
            assert kit.stdout.readline() == "ready\n"
            yield kit
        finally:
            kit.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_kit_ends_the_engine(number: int, log: Path, mark: str) -> None:
    with kit_running(log, mark, "--child", "--escaped-child") as kit:
        kit.send_signal(number)
        assert kit.communicate(timeout=20)[0] == "interrupted\n"
    assert not processes_with(mark)


def test_ctrl_c_on_a_terminal_goes_to_the_kits_group_alone(log: Path, mark: str) -> None:
    with kit_running(log, mark) as kit:
        os.killpg(kit.pid, signal.SIGINT)
        assert kit.communicate(timeout=20)[0] == "interrupted\n"
    assert not processes_with(mark)


def test_a_second_ctrl_c_leaves_nothing_half_done(log: Path, mark: str) -> None:
    arguments = ("--behaviour=ignores-sigterm", "--child")
    with kit_running(log, mark, *arguments, grace_s=0.8) as kit:
        for _ in range(5):
            kit.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert kit.communicate(timeout=20)[0] == "interrupted\n"
        assert kit.returncode == 0
    assert not processes_with(mark)


def test_a_kit_that_is_killed_leaves_no_engine(log: Path, mark: str) -> None:
    arguments = ("--behaviour=ignores-sigterm", "--child", "--escaped-child")
    with kit_running(log, mark, *arguments, grace_s=0.3) as kit:
        kit.kill()
        kit.wait(20)
    assert until(lambda: not processes_with(mark))


def test_a_kit_killed_while_its_engine_starts_leaves_none(log: Path, mark: str) -> None:
    arguments = ("--behaviour=never-healthy", "--child")
    command = [sys.executable, "-c", RUN_A_SERVICE, str(process.free_port(None)), str(log), mark]
    with subprocess.Popen([*command, "0.3", *arguments], cwd=ROOT) as kit:
        assert until(lambda: len(processes_with(mark)) >= 3)
        kit.kill()
    assert until(lambda: not processes_with(mark))


def test_a_guard_that_is_killed_takes_the_engine_along(log: Path, mark: str) -> None:
    service = make_service(process.free_port(None), environment={"MARK": mark})
    with process.serving(service, ENGINE, log, GRACE_S) as running:
        running.kill()
        assert until(lambda: not processes_with(mark))


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"port {port} cannot be used") as caught:
            process.free_port(port)
    assert "another server" in caught.value.why
    assert str(port) in caught.value.next_step


def test_a_port_just_left_can_be_used_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            connection, _ = server.accept()
            connection.close()  # first, so that TIME_WAIT is on this side
            assert client.recv(1) == b""
    assert process.free_port(port) == port


def test_ports_differ() -> None:
    assert len({process.free_port(None) for _ in range(20)}) > 1


def test_two_engines_at_once(tmp_path: Path) -> None:
    ports = [process.free_port(None) for _ in range(2)]
    with (
        process.serving(make_service(ports[0]), ENGINE, tmp_path / "a.log", GRACE_S),
        process.serving(make_service(ports[1]), ENGINE, tmp_path / "b.log", GRACE_S),
    ):
        for port in ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10) as answer:
                assert json.load(answer)["data"]


def test_cores_are_those_that_may_be_used() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert process.cores(1) == (allowed[0],)
    assert process.cores(len(allowed)) == tuple(allowed)
    with pytest.raises(MachineError, match=f"needs {len(allowed) + 1} cores"):
        process.cores(len(allowed) + 1)
