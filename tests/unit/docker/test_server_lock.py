"""What the GPU server is made of: the versions that the measurement stands on."""

import re

import pytest

from kit.bootstrap import locks
from kit.bootstrap.layout import checkout

LOCK = checkout().lock("server")


def versions() -> dict[str, str]:
    """Return the one version of each package; fails if a package has two."""
    pairs = [pin.partition(" ;")[0].partition("==")[::2] for pin in locks.pins(LOCK)]
    found = dict(pairs)
    assert len(found) == len(pairs), "a package is pinned twice"
    return found


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("vllm", "0.17.0"),
        ("torch", "2.10.0"),
        ("triton", "3.6.0"),
        ("nvidia-cuda-runtime-cu12", "12.8.90"),
        ("nvidia-cublas-cu12", "12.8.4.1"),
        ("nvidia-cudnn-cu12", "9.10.2.21"),
        ("nvidia-nccl-cu12", "2.27.5"),
        ("transformers", "4.57.6"),
        ("compressed-tensors", "0.13.0"),
        ("setuptools", "80.10.2"),
    ],
)
def test_the_engine_and_its_cuda_are_exactly_these(package: str, version: str) -> None:
    assert versions()[package] == version


def test_no_library_of_another_cuda_is_in_it() -> None:
    found = versions()
    # CUDA 13's libraries are called nvidia-cublas or nvidia-nccl-cu13: with no suffix, or another.
    not_of_cuda_12 = {it for it in found if it.startswith("nvidia-") and not it.endswith("-cu12")}

    assert not_of_cuda_12 == {
        "nvidia-cudnn-frontend",  # headers
        "nvidia-cutlass-dsl",
        "nvidia-cutlass-dsl-libs-base",
        "nvidia-ml-py",  # asks the driver, and follows its numbers
    }
    assert not [it for it in found if re.search(r"cu(da)?-?1[013-9]", it)]
    assert found["cuda-bindings"] == found["cuda-python"] == "12.9.4"


@pytest.mark.parametrize("name", [spec.name for spec in locks.SPECS])
def test_litellm_is_in_no_lock(name: str) -> None:
    # 1.82.7 and 1.82.8 were published by a thief (March 2026); nothing here needs any release.
    pinned = {pin.partition("==")[0] for pin in locks.pins(checkout().lock(name))}

    assert pinned
    assert "litellm" not in pinned


def test_every_entry_has_a_hash_and_each_hash_is_whole() -> None:
    text = LOCK.read_text(encoding="utf-8")
    _, *entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)

    assert len(entries) == len(locks.pins(LOCK)) == 178
    for entry in entries:
        _, *hashes = entry.rstrip().split(" \\\n")
        assert hashes
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", it) for it in hashes)


def test_the_same_lock_serves_every_python_of_the_kit() -> None:
    marked = [pin for pin in locks.pins(LOCK) if ";" in pin]

    # six: vLLM asks for it from 3.12 on. pycparser: true of every CPython.
    assert marked == [
        "pycparser==3.0 ; implementation_name != 'PyPy'",
        "six==1.17.0 ; python_full_version >= '3.12'",
    ]
