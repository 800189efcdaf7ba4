"""Topologies as a real Docker engine takes them, and a cell measured in containers for real.

GPU topologies are created and looked at, never served: there is no GPU here. A container that is
given GPUs starts by a stand-in for the hook of NVIDIA's toolkit, which gives it none.
"""

import gzip
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kit import __version__
from kit.bundle import bag
from kit.bundle.document import Document, Runtime, Status
from kit.bundle.host_facts import HostFacts
from kit.check.finding import Outcome
from kit.check.verify import known, verify
from kit.edge.docker import images
from kit.edge.files import checkout, safe_read
from kit.format import canonical
from kit.plan.topology import Device, Topology, fill_variables
from tests.e2e.engine_room import BASE, docker, require

pytestmark = pytest.mark.docker

CLIENT, CPU = (f"llm-serving-kit/{name}:{__version__}" for name in ("client", "cpu"))
TOPOLOGIES = sorted(path.stem for path in checkout.compose_files())
GPU_TOPOLOGIES = [name for name in TOPOLOGIES if checkout.topology(name).device is Device.GPU]
CELLS = [(name, model) for name in TOPOLOGIES for model in checkout.topology(name).services]
PROJECT = "kit-test"

NCCL = {
    "tp1": {},
    "tp2-nvlink": {},
    "tp2-pcie": {"NCCL_P2P_DISABLE": "1"},
    "tp2-socket": {"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1", "NCCL_NET": "Socket"},
}
"""What chooses a transport, as the article and the author's earlier scripts set it."""


def compose(topology: str, model: str, *words: str, **environment: str) -> str:
    """Run `docker compose` on a topology's file; return what it printed."""
    file = str(checkout.compose_file(topology))
    chosen = ["--project-name", PROJECT, "--file", file, "--profile", model]
    done = docker("compose", *chosen, *words, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


BENCH = (sys.executable, "-m", "kit", "bench", "--runtime", "docker", "--topology", "cpu-tp1",
         "--model", "moe-mini", "-o")  # fmt: skip


def bench(results: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Measure one cell in containers, whose images stand on the base for tests."""
    return subprocess.run(
        [*BENCH, str(results), *options],
        cwd=checkout.ROOT,
        env={**os.environ, "BASE": BASE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def only_bag(results: Path) -> Path:
    (folder,) = (path for path in results.iterdir() if not path.name.startswith("."))
    return folder


def left_running() -> str:
    return docker("ps", "--all", "--quiet", "--filter", "name=kit-cpu-tp1").stdout


@pytest.mark.parametrize(("topology", "model"), CELLS)
def test_the_kit_reads_a_file_as_compose_does(topology: str, model: str) -> None:
    require()
    shown = json.loads(compose(topology, model, "config", "--format", "json"))
    service = fill_variables(checkout.topology(topology).services[model], {})
    assert tuple(shown["services"][model]["command"]) == service.command
    assert shown["services"][model]["environment"] == dict(service.environment)
    assert shown["services"][model]["healthcheck"]["test"] == ["CMD", *service.health.test]
    assert set(shown["services"]) == {model, f"client-{model}"} | (
        {f"telemetry-{model}"} if topology in GPU_TOPOLOGIES else set()
    )


@pytest.mark.parametrize(("topology", "model"), [("tp1", "dense"), ("cpu-tp2", "moe-mini")])
def test_the_debug_file_publishes_the_engine_to_this_machine_alone(
    topology: str, model: str
) -> None:
    require()
    device = checkout.topology(topology).device.value
    files = (
        checkout.compose_file(topology),
        checkout.ROOT / "compose" / "debug" / f"{device}.yaml",
    )
    named = [word for file in files for word in ("--file", str(file))]
    done = docker("compose", *named, "--profile", model, "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    (port,) = shown["services"][model]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8000", 8000)
    assert not shown["networks"]["measurement"].get("internal", False)
    assert not any("ports" in body for name, body in shown["services"].items() if name != model)


@pytest.mark.parametrize("model", checkout.topology("tp1").services)
def test_weights_of_this_host_are_mounted_read_only_into_the_servers_image(model: str) -> None:
    require()
    name = model.upper().replace("-", "_")
    files = (checkout.compose_file("tp1"), checkout.ROOT / "compose" / "weights" / "gpu.yaml")
    named = [word for file in files for word in ("--file", str(file))]
    folders = {f"KIT_WEIGHTS_{name}": "/weights", f"KIT_BLOBS_{name}": "/blobs-of-the-cache"}
    words = ("--profile", model, "config", "--format", "json")
    done = docker("compose", *named, *words, KIT_SERVER_IMAGE="server:1", **folders)
    assert done.returncode == 0, done.stderr
    service = json.loads(done.stdout)["services"][model]
    assert service["image"] == "server:1"
    bound = {it["target"]: it for it in service["volumes"] if it["type"] == "bind"}
    assert {target: it["source"] for target, it in bound.items()} == {
        f"/models/{model}": "/weights",
        "/blobs": "/blobs-of-the-cache",
    }
    assert all(it["read_only"] for it in bound.values())
    assert {"/cache", "/evidence"} < {it["target"] for it in service["volumes"]}


@pytest.fixture
def created(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """Create a GPU topology's containers from a base image; yield each as `docker inspect` does."""
    require(BASE)
    topology: Topology = checkout.topology(request.param)
    named = {"KIT_IMAGE_MOE": BASE, "KIT_CLIENT_IMAGE": BASE}
    try:
        compose(topology.id, "moe", "up", "--no-start", "--no-build", **named)
        ids = compose(topology.id, "moe", "ps", "--all", "--quiet", **named).split()
        shown = json.loads(docker("inspect", *ids).stdout)
        yield {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in shown}
    finally:
        compose(topology.id, "moe", "down", "--volumes", **named)


@pytest.mark.parametrize(
    ("created", "topology"), [(name, name) for name in GPU_TOPOLOGIES], indirect=["created"]
)
def test_the_engine_is_asked_for_what_the_topology_promises(
    created: Mapping[str, Mapping[str, Any]], topology: str
) -> None:
    ranks = checkout.topology(topology).tensor_parallel_size
    serving, sampling, client = created["moe"], created["telemetry-moe"], created["client-moe"]
    gpus = [str(number) for number in range(ranks)]
    for container, capability in ((serving, "gpu"), (sampling, "utility")):
        (request,) = container["HostConfig"]["DeviceRequests"]
        assert (request["Driver"], request["DeviceIDs"]) == ("nvidia", gpus)
        assert request["Capabilities"] == [[capability]]
    assert not client["HostConfig"]["DeviceRequests"]
    environment = dict(word.split("=", 1) for word in serving["Config"]["Env"])
    chosen = {"NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_NET", "NCCL_P2P_LEVEL"}
    assert {name: environment[name] for name in chosen & set(environment)} == NCCL[topology]
    assert environment["NCCL_DEBUG"] == "INFO"
    memlock = {"Name": "memlock", "Soft": -1, "Hard": -1}
    assert memlock in serving["HostConfig"]["Ulimits"]
    assert serving["HostConfig"]["ShmSize"] == 2**30
    for container in created.values():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert not host["PortBindings"]
        assert not any("docker.sock" in bind for bind in host["Binds"] or ())


def test_a_container_with_gpus_starts_by_the_stand_in_hook() -> None:
    require(BASE)
    seen = ["printenv", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"]
    gpus = ["--gpus", '"device=0,1","capabilities=utility"']
    done = docker("run", "--rm", "--network=none", *gpus, BASE, *seen)
    assert done.stdout.split() == ["0,1", "utility"], done.stderr


def test_two_clean_builds_of_the_client_give_one_digest(tmp_path: Path) -> None:
    require(BASE)
    digests = []
    for name in ("one.tar", "two.tar"):
        done = docker(
            "build", "--no-cache", "-f", "docker/client.Dockerfile", str(checkout.ROOT),
            "--build-arg", f"BASE={BASE}", "--build-arg", f"VERSION={__version__}",
            "--build-arg", "SOURCE_DATE_EPOCH=0",
            "--output", f"type=oci,dest={tmp_path / name},rewrite-timestamp=true",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with tarfile.open(tmp_path / name) as archive:
            index = archive.extractfile("index.json")
            assert index is not None
            digests.append(json.loads(index.read())["manifests"][0]["digest"])
        (tmp_path / name).unlink()
    assert digests[0] == digests[1]


@pytest.mark.e2e
def test_a_cell_in_containers_gives_a_valid_bundle(tmp_path: Path) -> None:
    require(CLIENT, CPU)
    done = bench(tmp_path / "r", "--protocol", "article")
    assert done.returncode == 0, done.stderr
    assert "  measured pass 1" in done.stderr
    folder = only_bag(tmp_path / "r")
    files = safe_read.read_folder(folder).files
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert (document.runtime, document.status) == (Runtime.DOCKER, Status.COMPLETE)
    facts = canonical.decode(files[bag.HOST_FACTS], HostFacts)
    assert {one.service: one.image for one in facts.containers} == {
        "moe-mini": images.cpu(BASE).reference,
        "client-moe-mini": images.client(BASE).reference,
    }
    assert b"non-default args" in gzip.decompress(files[bag.SERVER_LOG])
    verdict = verify("case", files, (), known(checkout.schemas(), checkout.catalog())).verdict
    assert [one for one in verdict.findings if one.outcome is Outcome.FAIL] == []
    outcomes = {one.code: one.outcome for one in verdict.findings}
    for code in ("topology-transport", "topology-arguments", "protocol-model-files"):
        assert outcomes[code] is Outcome.PASS
    assert left_running() == ""


@pytest.mark.e2e
def test_an_engine_that_cannot_start_leaves_a_partial_bundle(tmp_path: Path) -> None:
    require(CLIENT, CPU)
    done = bench(tmp_path / "r", KIT_ENGINE_MEMORY="64m")
    assert done.returncode == 5, done.stderr
    folder = only_bag(tmp_path / "r")
    assert folder.name.endswith("-partial")
    document = canonical.decode(safe_read.read_folder(folder).files[bag.DOCUMENT], Document)
    assert (document.status, document.runtime) == (Status.PARTIAL, Runtime.DOCKER)
    assert "Docker Compose said: " in done.stderr
    files = safe_read.read_folder(folder).files
    verdict = verify("case", files, (), known(checkout.schemas(), checkout.catalog())).verdict
    assert [one for one in verdict.findings if one.outcome is Outcome.FAIL] == []
    assert left_running() == ""


def test_an_image_that_cannot_be_built_is_the_machines_lack_in_dockers_words(
    tmp_path: Path,
) -> None:
    require(BASE)
    done = bench(tmp_path / "r", BASE="127.0.0.1:1/none:0")
    assert done.returncode == 4, done.stderr
    assert "the image client could not be built" in done.stderr
    assert "127.0.0.1:1/none:0: failed to resolve source metadata" in done.stderr
    assert not (tmp_path / "r").exists()
    assert left_running() == ""


def bench_and(
    disturb: Callable[[subprocess.Popen[str]], object], output: Path, *, once: str
) -> tuple[int, str]:
    """Run a benchmark, disturb it once it has said so; return its exit code and what it said."""
    with subprocess.Popen(
        [*BENCH, str(output)],
        cwd=checkout.ROOT,
        env={**os.environ, "BASE": BASE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        said = next((line for line in running.stderr if once in line), "")
        disturb(running)
        rest = running.stderr.read()
    assert said, rest
    return running.returncode, rest


@pytest.mark.e2e
def test_an_engine_that_is_killed_in_mid_run_leaves_what_was_recorded(tmp_path: Path) -> None:
    """As the kernel kills what has used up its memory: by SIGKILL, without a last word."""
    require(CLIENT, CPU)
    code, rest = bench_and(
        lambda _: docker("kill", "--signal", "KILL", "kit-cpu-tp1-moe-mini-1"),
        tmp_path / "r",
        once="warm-up",
    )
    assert code == 5, rest
    assert "next: kit verify" in rest
    files = safe_read.read_folder(only_bag(tmp_path / "r")).files
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert document.status is Status.PARTIAL
    assert document.failure is not None
    assert document.failure.stage == "measure"
    verdict = verify("case", files, (), known(checkout.schemas(), checkout.catalog())).verdict
    assert [one for one in verdict.findings if one.outcome is Outcome.FAIL] == []
    assert left_running() == ""


@pytest.mark.e2e
def test_an_interrupted_run_is_sealed_by_the_client_and_leaves_no_container(tmp_path: Path) -> None:
    require(CLIENT, CPU)
    code, rest = bench_and(subprocess.Popen.terminate, tmp_path / "r", once="engine is ready")
    assert code == 130, rest
    folder = only_bag(tmp_path / "r")
    document = canonical.decode(safe_read.read_folder(folder).files[bag.DOCUMENT], Document)
    assert document.failure is not None
    assert (document.failure.stage, document.failure.code) == ("measure", "interrupted")
    assert left_running() == ""
