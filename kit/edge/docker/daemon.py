"""Asks the Docker engine for versions, images, and the containers of a project.

The only module that imports docker.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from docker.errors import APIError, DockerException
from docker.models.containers import Container as DockerContainer
from docker.utils import parse_host
from urllib3.exceptions import HTTPError

import docker
from kit.bundle.document import ModelFile
from kit.bundle.host_facts import HostFacts
from kit.bundle.telemetry import GpuProcesses
from kit.edge.docker import inspected
from kit.edge.files import disk
from kit.edge.host import nvml, probes
from kit.edge.weights import Weights
from kit.errors import MachineError, RunError
from kit.run.readiness import DockerFacts

PROJECT_LABEL = "com.docker.compose.project"
_UNIX = "http+unix://"
_WORDS_SHOWN = 400


class Cause(NamedTuple):
    """What is behind an error of Docker's, and what to do."""

    why: str
    next_step: str


_CAUSES = {
    "could not select device driver": Cause(
        "the NVIDIA container toolkit is not installed, or Docker was not restarted since",
        "make doctor",
    ),
    "error setting rlimit": Cause(
        "this Docker may not raise the limit of pinned memory",
        "the same command after: export KIT_MEMLOCK=65536 (bytes; as much as it allows)",
    ),
}


def require_compose() -> None:
    """Raise `MachineError` unless a Docker engine answers and `docker compose` is there."""
    if shutil.which("docker") is None:
        raise _missing("docker", "RUNTIME=docker needs a Docker engine")
    try:
        _client().ping()
    except DockerException as error:
        raise _no_answer(error) from error
    if _compose_version() is None:
        raise _missing("docker compose", "the kit starts containers with it")


def facts() -> DockerFacts:
    """Return facts of the engine; raise `MachineError` where none answers."""
    if shutil.which("docker") is None:
        raise _missing("docker", "no docker command on PATH")
    try:
        client = _client()
        info, version = client.info(), client.version()
    except DockerException as error:
        raise _no_answer(error) from error
    root = Path(info.get("DockerRootDir", "/"))
    components = [str(part.get("Name")) for part in version.get("Components") or ()]
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    devices = [str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()]
    return DockerFacts(
        version=str(info.get("ServerVersion")),
        is_podman=any("Podman" in name for name in components),
        is_rootless="name=rootless" in options,
        has_selinux="name=selinux" in options,
        has_nvidia_devices=any(name.startswith("nvidia.com/gpu") for name in devices),
        compose_version=_compose_version(),
        has_buildx=_output("docker", "buildx", "version") is not None,
        has_nvidia_runtime=bool(
            "nvidia" in info.get("Runtimes", {}) or shutil.which("nvidia-container-runtime-hook")
        ),
        free_bytes=shutil.disk_usage(root).free if root.exists() else None,
    )


def images(namespace: str) -> frozenset[str]:
    """Return the names, with tags, of the engine's images of a namespace."""
    with _connected():
        names = (name for image in _client().images.list() for name in image.tags)
        return frozenset(name for name in names if name.startswith(f"{namespace}/"))


def digests(image: str) -> tuple[str, ...]:
    """Return the names by digest that registries know an image by."""
    with _connected():
        return tuple(_client().images.get(image).attrs.get("RepoDigests") or ())


def remove_images(names: Iterable[str]) -> None:
    """Remove images; one that a container uses stays."""
    with _connected():
        client = _client()
        for name in names:
            with suppress(APIError):
                client.images.remove(name)


def host_facts(project: str, model: str, state: Path, weights: Weights | None) -> HostFacts:
    """Return facts of a project's containers and of the files that the engine serves.

    These are in its image, or `weights` that are mounted into it.
    """
    with _connected():
        client = _client()
        seen = (
            inspected.container_of(it.attrs, client.images.get(it.attrs["Image"]).attrs)
            for it in _containers(project)
        )
        containers = tuple(sorted(seen, key=lambda it: it.service))
        (engine,) = (it for it in containers if it.service == model)
        return HostFacts(
            host_id=probes.host_id(state),
            docker_version=str(client.version()["Version"]),
            compose_version=_compose_version() or "unknown",
            containers=containers,
            model_files=weights.files
            if weights
            else _model_files(engine.image_id, model, state / "images"),
            model_source=weights.source if weights else inspected.model_source(engine.image_labels),
            gpu_processes=_gpu_processes(),
            topology_matrix=topology_matrix(),
        )


def topology_matrix() -> str | None:
    """Return what `nvidia-smi topo -m` prints; None where it is missing or fails."""
    return _output("nvidia-smi", "topo", "-m")


def containers_of(project: str) -> list[str]:
    """Return the names of a project's containers, running or not."""
    with _connected():
        return [str(container.name) for container in _containers(project)]


def log(project: str, service: str) -> bytes:
    """Return the output of a service so far, as a log; empty where it has no container."""
    with _connected():
        containers = _containers(project, service)
        output = containers[0].logs() if containers else b""
        return disk.cut_log(output, len(output))


def follow_log(project: str, service: str) -> Iterator[str]:
    """Yield each line that a service prints, until it ends."""
    rest = b""
    with _connected():
        for piece in _only(project, service).logs(stream=True, follow=True):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode("utf-8", "replace").rstrip() for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace").rstrip()


def exit_code(project: str, service: str) -> int:
    """Wait until a service has ended, and return its exit code."""
    with _connected():
        return int(_only(project, service).wait()["StatusCode"])


def cause(output: str) -> Cause | None:
    """Return what is known of an error in Docker's own words."""
    return next((known for words, known in _CAUSES.items() if words in output), None)


def cannot_create(output: str, model: str) -> MachineError:
    """Return the error for a `docker compose up` that created nothing, with Docker's own words."""
    words = " ".join(output.split())[-_WORDS_SHOWN:] or "(it printed nothing)"
    why, next_step = cause(output) or Cause("what Docker Compose said is above", "make doctor")
    return MachineError(f"the containers for {model} cannot be created: {words}", why, next_step)


def _client() -> docker.DockerClient:
    """Return a client of the engine that the docker command talks to; raise `DockerException`.

    A socket of our own connects first: docker's own is never closed where that fails.
    """
    address = str(parse_host(os.environ.get("DOCKER_HOST") or _context_address()))
    if address.startswith(_UNIX):
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.removeprefix(_UNIX))
        except OSError as error:
            raise DockerException(str(error)) from error
        return docker.DockerClient(base_url=address)
    return docker.from_env()


@cache
def _context_address() -> str | None:
    """Return where the chosen docker context is (Docker Desktop and rootless engines have one)."""
    return _output("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")


@contextmanager
def _connected() -> Iterator[None]:
    """Turn the errors of an engine that has answered before into `RunError`."""
    try:
        yield
    except (DockerException, OSError, HTTPError) as error:
        raise RunError(
            f"the Docker engine no longer answers: {str(error)[:200]}",
            "it was stopped or restarted during the run, and its containers with it",
            "docker info",
            code="docker-lost",
        ) from error


def _only(project: str, service: str) -> DockerContainer:
    """Return a service's one container; raise `OSError` where it was removed."""
    containers = _containers(project, service)
    if len(containers) != 1:
        raise OSError(f"{service} has {len(containers)} containers")
    return containers[0]


def _containers(project: str, service: str | None = None) -> list[DockerContainer]:
    labels = [f"{PROJECT_LABEL}={project}"]
    if service is not None:
        labels.append(f"{inspected.SERVICE_LABEL}={service}")
    return _client().containers.list(all=True, filters={"label": labels})


def _model_files(image_id: str, model: str, cache: Path) -> tuple[ModelFile, ...]:
    """Hash a model's files inside its image; cached by the image's id, a digest."""
    cached = cache / f"{image_id.removeprefix('sha256:')}-{model}.json"
    if cached.exists():
        return msgspec.json.decode(cached.read_bytes(), type=tuple[ModelFile, ...])
    output = _client().containers.run(
        image_id,
        entrypoint="python3",
        command=["-c", inspected.LIST_FILES, f"/models/{model}"],
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        remove=True,
    )
    files = tuple(inspected.files_in(output.decode()))
    disk.overwrite(cached, msgspec.json.encode(files))
    return files


def _compose_version() -> str | None:
    return _output("docker", "compose", "version", "--short")


def _gpu_processes() -> tuple[GpuProcesses, ...] | None:
    """Return the processes on each GPU before the engine starts; None without NVML."""
    try:
        with nvml.opened() as gpus:
            return gpus.processes()
    except MachineError:
        return None


def _output(*command: str) -> str | None:
    """Return a command's output; None where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _no_answer(error: DockerException) -> MachineError:
    why = f"{str(error)[:200]}: it does not run, or this user may not use it"
    return _missing("a Docker engine that answers", why)


def _missing(what: str, why: str) -> MachineError:
    return MachineError(f"this machine lacks {what}", why, "make doctor")
