"""Parsing of a Docker engine's answers, without an engine (`tests/e2e` uses one)."""

import gc
import shutil
import socket
from pathlib import Path

import pytest

from kit.edge.docker import daemon
from kit.errors import ExitCode, MachineError

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        ([f"llm-serving-kit/cpu@{DIGEST}"], None),
        ([f"ghcr.io/somebody/cpu@{DIGEST}"], DIGEST),
        ([f"localhost:5000/cpu@{DIGEST}"], DIGEST),
        ([f"llm-serving-kit/cpu@sha256:{'0' * 64}", f"127.0.0.1:5000/cpu@{DIGEST}"], DIGEST),
    ],
)
def test_only_a_registrys_digest_counts(names: list[str], expected: str | None) -> None:
    assert daemon.registry_digest(names) == expected


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
