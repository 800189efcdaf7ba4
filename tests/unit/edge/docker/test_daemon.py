"""Parsing of a Docker engine's answers, without an engine (`tests/e2e` uses one)."""

import gc
import json
import os
import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from kit.edge.docker import daemon
from kit.errors import ExitCode, MachineError


@pytest.mark.parametrize(
    ("output", "next_step"),
    [
        (
            'could not select device driver "nvidia" with capabilities: [[gpu]]',
            "make doctor",
        ),
        ("Error response from daemon: No such image: x", "make doctor"),
        ("", "make doctor"),
    ],
)
def test_why_containers_cannot_be_created(output: str, next_step: str) -> None:
    error = daemon.cannot_create(output, "moe")
    assert error.exit_code is ExitCode.MACHINE_LACKS
    assert error.next_step == next_step
    assert (output or "(it printed nothing)") in error.what


ENGINE_VERSION = {"Version": "26.1.5", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}
PODMAN_VERSION = {
    "Version": "4.9.3",
    "ApiVersion": "1.41",
    "Components": [{"Name": "Podman Engine"}],
}


@contextmanager
def answering(path: Path, answers: Mapping[str, object]) -> Iterator[None]:
    """Answer as a Docker engine on a socket, each by the end of its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers[self.path.rpartition("/")[2]]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("info", "version", "expected"),
    [
        ({}, ENGINE_VERSION, {}),
        ({}, PODMAN_VERSION, {"is_podman": True}),
        ({"SecurityOptions": ["name=rootless"]}, ENGINE_VERSION, {"is_rootless": True}),
        ({"SecurityOptions": ["name=selinux"]}, ENGINE_VERSION, {"has_selinux": True}),
        ({"SecurityOptions": None, "Runtimes": {"nvidia": {}}}, ENGINE_VERSION,
         {"has_nvidia_runtime": True}),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}, ENGINE_VERSION,
         {"has_nvidia_devices": True}),
    ],
)  # fmt: skip
def test_an_engine_is_known_by_what_it_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    info: dict[str, object],
    version: dict[str, object],
    expected: dict[str, bool],
) -> None:
    """In the forms of Docker's own API and of Podman's; rootless and the others were never run."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    told = {"ServerVersion": version["Version"], "Runtimes": {}, **info}
    with answering(tmp_path / "engine", {"info": told, "version": version}):
        facts = daemon.facts()
    assert facts.version == version["Version"]
    for name in ("is_podman", "is_rootless", "has_selinux", "has_nvidia_devices"):
        assert getattr(facts, name) is expected.get(name, False)
    assert facts.has_nvidia_runtime or not expected.get("has_nvidia_runtime")


def test_an_engine_that_has_stopped_leaves_its_socket_and_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open socket would cause a warning, which fails the test."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/docker")
    with pytest.raises(MachineError, match="lacks a Docker engine that answers"):
        daemon.facts()
    gc.collect()
