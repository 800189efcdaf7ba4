"""The kit's images: their names, what they are built from, and building those that are missing.

An image's tag ends in a digest of all that it is built from, so that an old image never runs in
place of new code, and an image that is there need not be built again. Each gets a second tag, the
version alone, which the Compose files name for who starts them without the kit.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from kit import __version__
from kit.bundle.host_facts import BASE_LABEL
from kit.edge.docker import daemon
from kit.edge.docker.model_dockerfile import dockerfile
from kit.edge.engine.process import visible
from kit.edge.files import checkout, disk
from kit.errors import KitError, MachineError
from kit.plan.models import FileList, HubModel, parse_file_list, render_file_list

NAMESPACE = "llm-serving-kit"

CLIENT, CPU, SERVER, REHEARSAL = "client", "cpu", "server", "rehearsal"

_SECRETS = ("HF_TOKEN", "HF_ENDPOINT")
"""Variables that a build of a model's image gets as secrets, so that no layer holds them."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that Docker knows by itself, and keeps out of the image's history."""

_LINES_SHOWN = 12
_WIDTH = 110
_STEP = re.compile(r"#[0-9]+ (?P<step>\[(?!internal|context).*)")
_PRINTED = re.compile(r"#[0-9]+ [0-9]+\.[0-9]+ (?P<printed>.*\S.*)")
"""Lines of `docker build --progress=plain`: a step that begins, and what its command prints."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image; `size_bytes` is what it adds to the disk, `download_bytes` what a build loads.

    `inputs` are files and folders of the checkout that its build reads.
    """

    name: str
    inputs: tuple[str, ...]
    size_bytes: int
    download_bytes: int
    arguments: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None

    def digest(self) -> str:
        """Return 12 digits that differ for other inputs."""
        digest = hashlib.sha256()
        parts = sorted(self.arguments.items())
        digest.update(repr((self.name, self.text, parts)).encode())
        for path in _files(self.inputs):
            digest.update(f"\0{path.relative_to(checkout.ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """Name and tag on this machine, as Docker takes them."""
        return f"{NAMESPACE}/{self.published}"

    @property
    def published(self) -> str:
        """Name and tag in a registry, below its own address."""
        return f"{self.name}:{__version__}-{self.digest()}"


def client(base: str) -> Image:
    """Return the image of the client, which holds the kit."""
    return Image(
        name=CLIENT,
        inputs=("docker", "compose", "kit", "prompts", "schemas"),
        size_bytes=550 * 10**6,
        download_bytes=60 * 10**6,
        arguments={"BASE": base},
    )


def cpu(base: str) -> Image:
    """Return the image of the CPU engine with its twins."""
    return Image(
        name=CPU,
        inputs=(
            "docker/cpu.Dockerfile", "docker/cpu-engine.lock", "docker/installer.lock",
            "docker/kit.lock", "docker/models.toml", "kit",
        ),
        size_bytes=5 * 10**9,
        download_bytes=1300 * 10**6,
        arguments={"BASE": base},
    )  # fmt: skip


def rehearsal(base: str) -> Image:
    """Return the image that serves in place of a GPU server's in a rehearsal."""
    return Image(
        name=REHEARSAL,
        inputs=("docker/rehearsal.Dockerfile",),
        size_bytes=10**6,
        download_bytes=0,
        arguments={"CPU": cpu(base).reference},
    )


def server(base: str) -> Image:
    """Return the image of vLLM on CUDA, on which the images of models stand."""
    return Image(
        name=SERVER,
        inputs=(
            "docker/server.Dockerfile", "docker/server.lock", "docker/cuobjdump.lock",
            "docker/marlin_kernels.py",
        ),
        size_bytes=10_900 * 10**6,
        download_bytes=4550 * 10**6,
        arguments={"BASE": base},
    )  # fmt: skip


def with_model(model: HubModel, listed: FileList, base: str) -> Image:
    """Return the image of a server with a model's files baked in."""
    return Image(
        name=model.id,
        inputs=("docker/model.Dockerfile", "docker/fetch_model.py", "docker/hub.lock"),
        size_bytes=listed.size_bytes,
        download_bytes=listed.size_bytes,
        arguments={"BASE": base, "SERVER": server(base).reference},
        text=dockerfile(checkout.model_dockerfile(), model, listed),
    )


def missing(images: Iterable[Image]) -> tuple[Image, ...]:
    """Return those that this machine does not have."""
    there = daemon.images(NAMESPACE)
    return tuple(image for image in images if image.reference not in there)


def build(image: Image, say: Say) -> None:
    """Build an image, and remove older ones of its name; raise `MachineError` with Docker's words.

    An image of a model is built by `build_with_model`.
    """
    options = (f"--file=docker/{image.name}.Dockerfile", *_tags(image))
    _docker_build(image.name, (*options, *_arguments(image.arguments)), None, say)
    _remove_older(image)


def build_with_model(model: HubModel, listed: FileList, base: str, say: Say) -> None:
    """Build the image of a server with a model; its files are downloaded and verified."""
    image = with_model(model, listed, base)
    with TemporaryDirectory() as folder:
        Path(folder, f"{model.id}.json").write_bytes(render_file_list(listed))
        options = ("--file=-", *_tags(image), f"--build-context=list={folder}")
        arguments = (*_arguments(image.arguments), *_secrets())
        _docker_build(model.id, (*options, *arguments), image.text, say)
    _remove_older(image)


def pull(image: Image, registry: str, say: Say) -> None:
    """Pull an image that was built elsewhere from the same inputs; raise `MachineError`."""
    name = f"{registry}/{image.published}"
    say(f"  {image.name}: pulling {name}")
    for words in (("pull", "--quiet", name), ("tag", name, image.reference)):
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MachineError(
                f"the image {image.name} could not be pulled: {visible(done.stderr.strip())}",
                f"{registry} has no image of these inputs, or wants a login",
                "the same command without REGISTRY= builds it here",
            )
    _remove_older(image)


def reference(image: Image, registry: str | None) -> str:
    """Return the name by which an image is started: by digest where it came from `registry`."""
    names = () if registry is None else daemon.digests(image.reference)
    published = (name for name in names if name.startswith(f"{registry}/"))
    return next(published, image.reference)


def list_files(model: HubModel, base: str, say: Say) -> FileList:
    """Return the model's files as the hub lists them now, and keep the list on this host.

    Raises `KitError` where the hub cannot be asked, or contradicts what the kit ships.
    """
    facts = {"MODEL": model.id, "REPOSITORY": model.repository, "REVISION": model.revision}
    path = checkout.local_file_list(model.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        # Not from the builder's cache: the hub is asked.
        options = (
            "--file=docker/model.Dockerfile", "--target=list", "--no-cache-filter=listing",
            f"--output=type=local,dest={folder}",
        )  # fmt: skip
        arguments = (*_arguments({"BASE": base, **facts}), *_secrets())
        _docker_build(model.id, (*options, *arguments), None, say)
        data = Path(folder, path.name).read_bytes()
    listed = parse_file_list(data, f"the hub's list of {model.id}", model)
    disk.overwrite(path, data)
    return listed


def _files(names: Iterable[str]) -> Iterator[Path]:
    """Yield the files that a build reads of these, in order: what `.dockerignore` leaves out."""
    for name in names:
        path = checkout.ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def _tags(image: Image) -> Iterator[str]:
    for tag in (image.reference, f"{NAMESPACE}/{image.name}:{__version__}"):
        yield f"--tag={tag}"


def _remove_older(image: Image) -> None:
    """Remove images of this name that other inputs gave: nothing would use them again."""
    former = (
        name
        for name in daemon.images(NAMESPACE)
        if name.startswith(f"{NAMESPACE}/{image.name}:{__version__}-") and name != image.reference
    )
    daemon.remove_images(former)


def _arguments(values: Mapping[str, str]) -> Iterator[str]:
    yield f"--build-arg=VERSION={__version__}"
    for name, value in values.items():
        yield f"--build-arg={name}={value}"
    if "BASE" in values:
        yield f"--label={BASE_LABEL}={values['BASE']}"
    for name in _PROXIES:
        if name in os.environ:
            yield f"--build-arg={name}"


def _network() -> Iterator[str]:
    """Yield the option by which a build reaches a mirror or a proxy on this machine's loopback."""
    hosts = (urlsplit(os.environ.get(name, "")).hostname for name in ("HF_ENDPOINT", *_PROXIES))
    if any(host == "localhost" or (host or "").startswith("127.") for host in hosts):
        yield "--network=host"


def _secrets() -> Iterator[str]:
    for name in _SECRETS:
        if os.environ.get(name):
            yield f"--secret=id={name},env={name}"


def _docker_build(name: str, options: Iterable[str], dockerfile: str | None, say: Say) -> None:
    """Run `docker build` in the checkout, and hand on its steps and what they print."""
    printed: list[str] = []
    with subprocess.Popen(
        ["docker", "build", "--progress=plain", *_network(), *options, "."],
        cwd=checkout.ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        stdin=subprocess.PIPE if dockerfile else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            if dockerfile and process.stdin:
                process.stdin.write(dockerfile)
                process.stdin.close()
            for line in (visible(line.rstrip()) for line in process.stdout or ()):
                if step := _STEP.match(line):
                    say(f"  {name}: {step['step']}"[:_WIDTH])
                elif output := _PRINTED.match(line):
                    say(f"  {name}: {output['printed']}"[:_WIDTH])
                    printed = [*printed, output["printed"]][-_LINES_SHOWN:]
                elif line.startswith("ERROR: "):
                    printed = [*printed, line]
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise _failure(name, printed)


def _failure(name: str, lines: Sequence[str]) -> KitError:
    """Return the error of a build: its own three parts if it has them, or its last lines."""
    parts = [
        next((line.partition(word)[2].strip() for line in lines if line.startswith(word)), "")
        for word in ("error: ", "  why: ", "  next: ")
    ]
    if all(parts):
        return MachineError(*parts)
    shown = "\n".join(f"  {line}" for line in lines)
    return MachineError(
        f"the image {name} could not be built:\n{shown}",
        "what Docker and the step printed last is above",
        "the same command again: what is complete is kept",
    )
