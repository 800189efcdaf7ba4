"""What `docker inspect` shows of containers and images, and a listing of files, as facts. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kit.bundle.document import ModelFile
from kit.bundle.host_facts import Container, DeviceRequest, ModelSource
from kit.plan.models import ListedBy

SERVICE_LABEL = "com.docker.compose.service"
_KEPT_LABELS = ("org.opencontainers.image.", "llm-serving-kit.")
_MODEL_LABELS = "llm-serving-kit.model"

LIST_FILES = """
import hashlib, pathlib, sys
folder = pathlib.Path(sys.argv[1])
for path in sorted(folder.rglob("*")):
    if path.is_file():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        print(digest, path.stat().st_size, path.relative_to(folder))
"""
"""Run by the Python inside an image: prints SHA-256, size and name of every file of a folder."""


def container_of(facts: Mapping[str, Any], image: Mapping[str, Any]) -> Container:
    """Return a container, from what `docker inspect` shows of it and of its image."""
    host, labels = facts["HostConfig"], facts["Config"]["Labels"]
    return Container(
        service=labels[SERVICE_LABEL],
        image=facts["Config"]["Image"],
        image_id=image["Id"],
        image_digest=registry_digest(image.get("RepoDigests") or ()),
        image_labels={
            name: str(value)[:200]
            for name, value in sorted((image["Config"].get("Labels") or {}).items())
            if name.startswith(_KEPT_LABELS)
        },
        device_requests=tuple(map(_device_request, host.get("DeviceRequests") or ())),
        memory_bytes=host["Memory"],
        pids=host["PidsLimit"] or 0,
        shm_bytes=host["ShmSize"],
        read_only=host["ReadonlyRootfs"],
        capabilities_dropped=tuple(host["CapDrop"] or ()),
    )


def model_source(labels: Mapping[str, str]) -> ModelSource | None:
    """Return where a model's files come from, by its image's labels; None for a twin's."""
    repository, revision, listed_by = (
        labels.get(f"{_MODEL_LABELS}.{name}", "")
        for name in ("repository", "revision", "listed-by")
    )
    if not repository or not revision:
        return None
    return ModelSource(
        repository=repository,
        revision=revision,
        listed_by={known.value: known for known in ListedBy}.get(listed_by, ListedBy.NOBODY),
    )


def files_in(output: str) -> Iterator[ModelFile]:
    """Yield the files that `LIST_FILES` printed."""
    for line in output.splitlines():
        digest, size, name = line.split(" ", 2)
        yield ModelFile(name=name, size_bytes=int(size), sha256=digest)


def registry_digest(names: Iterable[str]) -> str | None:
    """Return the digest of an image in a registry; None for an image built on this machine.

    An engine may give its own images a digest too; only a name that begins with a host (it has a
    dot, a port, or is localhost) can be pulled from elsewhere.
    """
    for name in names:
        host, _, _ = name.partition("/")
        if "." in host or ":" in host or host == "localhost":
            return name.rpartition("@")[2]
    return None


def _device_request(request: Mapping[str, Any]) -> DeviceRequest:
    return DeviceRequest(
        driver=request["Driver"],
        device_ids=tuple(request["DeviceIDs"] or ()),
        capabilities=tuple(name for group in request["Capabilities"] for name in group),
    )
