"""The base image as data, and what the Dockerfiles say of it and of themselves."""

import re
import tomllib
from pathlib import Path

import pytest

from kit.bootstrap import locks
from kit.bootstrap.layout import checkout

DOCKER = checkout().root / "docker"
ON_THE_BASE = [DOCKER / f"{it}.Dockerfile" for it in ("client", "cpu", "server")]
BASE = tomllib.loads((DOCKER / "images.toml").read_text(encoding="utf-8"))["base"]


def test_the_base_has_a_name_a_tag_and_a_digest() -> None:
    assert set(BASE) == {"name", "tag", "digest"}
    assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+(/[a-z0-9_-]+)+", BASE["name"])
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", BASE["tag"])
    assert BASE["tag"] != "latest"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", BASE["digest"])


@pytest.mark.parametrize("path", ON_THE_BASE, ids=lambda path: path.name)
def test_a_dockerfile_names_the_base_and_stands_on_nothing_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # Docker's own short form of docker.io/library/NAME.
    short = f"{BASE['name'].removeprefix('docker.io/library/')}:{BASE['tag']}"
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    origins = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))

    assert re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE) == [short]
    assert origins - stages == {"${BASE}"}


def test_the_server_is_labelled_with_the_versions_that_its_lock_pins() -> None:
    text = (DOCKER / "server.Dockerfile").read_text(encoding="utf-8")
    labels = dict(re.findall(r'llm-serving-kit\.(\w+)="([^"$]+)"', text))
    pinned = dict(pin.partition("==")[::2] for pin in locks.pins(checkout().lock("server")))

    assert labels["vllm"] == pinned["vllm"]
    assert pinned["nvidia-cuda-runtime-cu12"].startswith(f"{labels['cuda']}.")
    assert f"cuda>={labels['cuda']}" in text


def test_the_server_leaves_the_choice_of_gpus_to_whoever_starts_it() -> None:
    text = (DOCKER / "server.Dockerfile").read_text(encoding="utf-8")

    assert "NVIDIA_VISIBLE_DEVICES" not in text
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in text


@pytest.mark.parametrize("path", ON_THE_BASE, ids=lambda path: path.name)
def test_an_image_starts_as_nobody_and_without_a_shell(path: Path) -> None:
    final = path.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    starts = re.findall(r"^(?:CMD|ENTRYPOINT) (.*)$", final, re.MULTILINE)

    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["65532:65532"]
    assert starts
    assert all(start.startswith('["') for start in starts)
