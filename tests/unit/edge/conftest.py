"""Shared by the tests of the edge: a stand-in engine as a service, plans, and waiting."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from kit.edge.engine import process
from kit.plan.plan import (
    CachePolicy,
    Cell,
    Connection,
    Dialect,
    Engine,
    Plan,
    ProtocolName,
    Sampling,
)
from kit.plan.suite import Prompt
from kit.plan.topology import Device, HealthCheck, Service, Transport

STAND_IN = Path(__file__).parents[2] / "stand_in_engine.py"
MAX_TOKENS = 12
GRACE_S = 1.0


def make_plan(
    *,
    dialect: Dialect = Dialect.VLLM,
    connection: Connection = Connection.KEPT,
    timeout_s: float = 20.0,
    max_tokens: int = MAX_TOKENS,
) -> Plan:
    """Return a plan of two prompts: a warm-up, two measured passes and a streaming one."""
    return Plan(
        cell=Cell(model="moe-mini", topology="cpu-tp1", suite="single"),
        twin_of="moe",
        engine=Engine(
            device=Device.CPU,
            tensor_parallel_size=1,
            transport=Transport.NONE,
            command=("vllm", "serve", "/models/moe-mini"),
            environment=(),
        ),
        protocol=ProtocolName.KIT,
        warmup_passes=1,
        measured_passes=2,
        stream_passes=1,
        connection=connection,
        cache=CachePolicy.WARM,
        dialect=dialect,
        seed=1,
        sampling=Sampling(
            max_tokens=max_tokens, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05
        ),
        published_max_tokens=4096,
        timeout_s=timeout_s,
        system="Answer directly.",
        prompts=(Prompt(id="impl", text="Write a queue."), Prompt(id="debug", text="Find it.")),
        deviations=(),
    )


def make_service(
    port: int, *arguments: str, deadline_s: float = 20.0, environment: dict[str, str] | None = None
) -> Service:
    """Return the stand-in as a Compose service would describe it."""
    ask = (  # without urllib, which takes longer to import than all else
        f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); "
        "s.sendall(b'GET /health HTTP/1.0\\r\\n\\r\\n'); assert b' 200 ' in s.recv(100)"
    )
    return Service(
        command=(sys.executable, "-I", "-S", str(STAND_IN), f"--port={port}", *arguments),
        environment=tuple(sorted((environment or {}).items())),
        health=HealthCheck(
            test=(sys.executable, "-I", "-S", "-c", ask),
            interval_s=0.02,
            timeout_s=5.0,
            deadline_s=deadline_s,
        ),
    )


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Wait until the condition holds; return False if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def processes_with(mark: str) -> set[int]:
    """Return the running processes with this mark in their environment, of any parent.

    The environment goes from parent to child, so this also finds what left its group and session.
    """
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes():  # a zombie's is empty
                found.add(int(environ.parent.name))
        except OSError:
            continue
    return found - {os.getpid()}


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a stand-in engine during the block; yield its base URL."""
    port = process.free_port(None)
    log = folder / f"stand-in-{port}.log"
    with process.serving(make_service(port, *arguments), Path(sys.prefix), log, GRACE_S):
        yield f"http://127.0.0.1:{port}"


Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return a context manager that starts a stand-in engine and yields its base URL."""
    return partial(running, tmp_path)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the base URL of a stand-in that tests share.

    Below `/hangs` and so on it does what that behaviour is.
    """
    with running(tmp_path_factory.mktemp("stand-in")) as url:
        yield url


def as_nobody(code: str, path: Path) -> str:
    """Run code as an unprivileged user: root may read and write any file."""
    leave = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    lines = (
        "import os, sys; from pathlib import Path; from kit.edge.files import disk, safe_read",
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
    """Return a folder that other users can reach."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    return tmp_path


def answering(
    *pieces: bytes, pause_s: float = 0.0, heard: list[bytes] | None = None
) -> AbstractContextManager[str]:
    """Answer every connection with these pieces, then close it; note what was heard."""
    heard = [] if heard is None else heard

    def answer(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause_s)
                except OSError:
                    continue

    @contextmanager
    def serving() -> Iterator[str]:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            thread = threading.Thread(target=answer, args=(server,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.getsockname()[1]}"
            finally:
                server.shutdown(socket.SHUT_RDWR)  # or the thread would wait for ever
                thread.join(10)

    return serving()
