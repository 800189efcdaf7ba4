"""What only the host knows of a run in containers: written before it starts, never from inside.

Read back from the Docker engine after the containers were created, so it says what was really
asked of the engine, not what a Compose file meant to ask.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from kit.bundle.document import ModelFile
from kit.bundle.telemetry import GpuProcesses

BASE_LABEL = "org.opencontainers.image.base.name"
"""On every image that `make images` builds (OCI image specification, "Annotations")."""

_ShortText = Annotated[str, msgspec.Meta(max_length=200)]
_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _HostPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A piece of `host.json`."""


class DeviceRequest(_HostPart, frozen=True, kw_only=True):
    """GPUs asked of the engine for a container, as `HostConfig.DeviceRequests` has them."""

    driver: _ShortText
    device_ids: tuple[_ShortText, ...]
    capabilities: tuple[_ShortText, ...]


class Container(_HostPart, frozen=True, kw_only=True):
    """One container as it was created; `image_digest` is absent for an image of this machine's own.

    `memory_bytes`, `pids` and `shm_bytes` are its limits.
    """

    service: _ShortText
    image: _ShortText
    image_id: _Digest
    image_digest: _Digest | None = None
    image_labels: dict[str, _ShortText]
    device_requests: tuple[DeviceRequest, ...] = ()
    memory_bytes: Count
    pids: Count
    shm_bytes: Count
    read_only: bool
    capabilities_dropped: tuple[_ShortText, ...]


class HostFacts(_HostPart, frozen=True, kw_only=True):
    """`host.json`: the engine's versions and the containers, with the model's files in the image.

    `gpu_processes` were on the GPUs before the start; `topology_matrix` is what
    `nvidia-smi topo -m` prints. Both are absent without a GPU.
    """

    host_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    docker_version: _ShortText
    compose_version: _ShortText
    containers: tuple[Container, ...]
    model_files: tuple[ModelFile, ...]
    gpu_processes: tuple[GpuProcesses, ...] | None = None
    topology_matrix: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None


_STYLE = re.compile(r"\x1b\[[0-9;]{0,8}m")
_GPU = re.compile(r"GPU([0-9]{1,3})")


def connections(matrix: str) -> Mapping[tuple[str, str], str]:
    """Return how each GPU is connected to each, as `topology_matrix` has it: (`0`, `1`) to `NV4`.

    Indexes are the host's. A row for each GPU names it, and then its connection to each in their
    order, `X` to itself; what has no such diagonal is not read.
    """
    lines = (line.split() for line in _STYLE.sub("", matrix).splitlines())
    rows = [words for words in lines if words and _GPU.fullmatch(words[0]) and "X" in words]
    names = [words[0].removeprefix("GPU") for words in rows]
    found = {
        (row, column): word
        for row, words in zip(names, rows, strict=True)
        for column, word in zip(names, words[1:], strict=False)
    }
    return found if all(found.get((name, name)) == "X" for name in names) else {}
