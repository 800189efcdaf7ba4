"""What the tests in containers share: whether there is a Docker engine, and how it is asked.

Without an engine these tests are skipped with the reason, unless KIT_REQUIRE_DOCKER=1, as in CI:
then they fail. KIT_TEST_BASE names the base image, which `.ci/base-image` makes without a registry.
"""

import os
import shutil
import subprocess

import pytest

BASE = os.environ.get("KIT_TEST_BASE", "kit-base:ci")
BUILD_S = 900


def docker(
    *words: str, input: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `docker` and return what it said, whatever its exit code."""
    return subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        check=False,
        input=input,
        timeout=BUILD_S,
        env=os.environ | {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"} | environment,
    )


def require(*images: str) -> None:
    """Skip, or fail where Docker is required, unless an engine answers and has these images."""
    _demand(_lacking(images))


def require_program(name: str) -> None:
    """Skip, or fail where Docker is required, unless a program is installed."""
    _demand(None if shutil.which(name) else f"there is no {name}")


def _demand(reason: str | None) -> None:
    if reason and os.environ.get("KIT_REQUIRE_DOCKER") == "1":
        pytest.fail(f"KIT_REQUIRE_DOCKER=1, but {reason}")
    if reason:
        pytest.skip(reason)


def _lacking(images: tuple[str, ...]) -> str | None:
    if shutil.which("docker") is None:
        return "there is no docker command"
    if docker("info").returncode:
        return "no Docker engine answers"
    missing = [image for image in images if docker("image", "inspect", image).returncode]
    return f"these images are not there: {' '.join(missing)} (make images)" if missing else None
