"""Images from a registry: Debian's `docker-registry`, on loopback."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from kit.edge.docker import images
from kit.edge.docker.images import Image
from kit.errors import MachineError
from tests.e2e.engine_room import BASE, docker, require, require_program

pytestmark = pytest.mark.docker

START_S = 30
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
IMAGE = Image(
    name=f"test-registry-{os.getpid()}", inputs=(), size_bytes=0, download_bytes=0, text=BASE
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Yield where a registry serves."""
    require(BASE)
    require_program("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(CONFIG.format(folder=tmp_path / "registry", port=port))
    with subprocess.Popen(["docker-registry", "serve", config]) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}/kit"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    for _ in range(START_S * 10):
        with suppress(requests.ConnectionError):
            requests.get(url, timeout=1).raise_for_status()
            return
        time.sleep(0.1)
    pytest.fail(f"no registry answers at {url}")


@pytest.fixture
def published(registry: str) -> Iterator[str]:
    """Put an image into the registry that this machine then no longer has under its name."""
    name = f"{registry}/{IMAGE.published}"
    docker("tag", BASE, name)
    pushed = docker("push", "--quiet", name)
    assert pushed.returncode == 0, pushed.stderr
    docker("image", "rm", name)
    yield registry
    docker("image", "rm", "--force", name, IMAGE.reference)


def test_a_published_image_is_pulled_and_started_by_its_digest(published: str) -> None:
    assert images.missing([IMAGE])
    images.pull(IMAGE, published, print)
    assert not images.missing([IMAGE])
    name = images.reference(IMAGE, published)
    assert name.startswith(f"{published}/{IMAGE.name}@sha256:")
    assert docker("run", "--rm", "--network=none", name, "true").returncode == 0


def test_an_image_that_was_built_here_has_its_own_name(published: str) -> None:
    docker("tag", BASE, IMAGE.reference)
    assert images.reference(IMAGE, "registry.example/other") == IMAGE.reference


def test_what_the_registry_does_not_have_is_told_in_dockers_words(registry: str) -> None:
    with pytest.raises(MachineError, match="not found") as caught:
        images.pull(IMAGE, registry, print)
    assert "REGISTRY=" in caught.value.next_step
