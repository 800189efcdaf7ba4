"""`host.json`: facts about a run in containers that only the host can see.

They are read from the Docker engine after it created the containers and before they start, so they
describe what Docker runs, not what a Compose file asks for.
"""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from kit.bundle.document import ModelFile
from kit.bundle.telemetry import GpuProcesses
from kit.plan.models import ListedBy

BASE_LABEL = "org.opencontainers.image.base.name"
"""Label of every image that `make images` builds (OCI image specification, "Annotations")."""

_ShortText = Annotated[str, msgspec.Meta(max_length=200)]
_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _HostPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Base of the parts of `host.json`."""


class DeviceRequest(_HostPart, frozen=True, kw_only=True):
    """GPUs of a container, from `HostConfig.DeviceRequests`."""

    driver: _ShortText
    device_ids: tuple[_ShortText, ...]
    capabilities: tuple[_ShortText, ...]


class Container(_HostPart, frozen=True, kw_only=True):
    """One container as created; `image_digest` is absent for an image that was built here.

    `memory_bytes`, `pids` and `shm_bytes` are limits.
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


class ModelSource(_HostPart, frozen=True, kw_only=True):
    """Where the files of a model of the hub come from; `listed_by` gave their names and hashes."""

    repository: _ShortText
    revision: _ShortText
    listed_by: ListedBy


class HostFacts(_HostPart, frozen=True, kw_only=True):
    """Versions of Docker, the containers, and the model's files that the server reads.

    `model_source` is absent for a twin. `gpu_processes` were running on the GPUs before the start;
    `topology_matrix` is the output of `nvidia-smi topo -m`; both are absent without a GPU.
    """

    host_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    docker_version: _ShortText
    compose_version: _ShortText
    containers: tuple[Container, ...]
    model_files: tuple[ModelFile, ...]
    model_source: ModelSource | None = None
    gpu_processes: tuple[GpuProcesses, ...] | None = None
    topology_matrix: Annotated[str, msgspec.Meta(max_length=20_000)] | None = None


_STYLE = re.compile(r"\x1b\[[0-9;]{0,8}m")
_GPU = re.compile(r"GPU([0-9]{1,3})")


def connections(matrix: str) -> Mapping[tuple[str, str], str]:
    """Parse `topology_matrix`: ("0", "1") to "NV4", by the host's GPU indexes.

    Each row is the name of a GPU and its connection to every GPU, `X` to itself. Returns nothing
    for a matrix without that diagonal.
    """
    lines = (line.split() for line in _STYLE.sub("", matrix).splitlines())
    rows = [words for words in lines if words and _GPU.fullmatch(words[0]) and "X" in words]
    names = [words[0].removeprefix("GPU") for words in rows]
    words_between = {
        (row, column): word
        for row, words in zip(names, rows, strict=True)
        for column, word in zip(names, words[1:], strict=False)
    }
    return words_between if all(words_between.get((name, name)) == "X" for name in names) else {}
