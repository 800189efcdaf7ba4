"""A dress rehearsal of GPU topologies, end to end, without a GPU (tp2-pcie: `test_one_command`).

Nothing is replaced but the server's image (the CPU engine, with a twin inside) and the device
driver (a stand-in for the container toolkit's hook, and for libnvidia-ml, which tells of two
cards with an NVLink bridge). Kernels, NCCL and speed are not seen here, and the findings say so.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.bundle import bag
from kit.bundle.document import Document, Runtime, Status
from kit.bundle.host_facts import HostFacts
from kit.check.finding import Outcome, Verdict
from kit.check.verify import known, verify
from kit.edge.docker import images
from kit.edge.files import checkout, safe_read
from kit.errors import ExitCode
from kit.format import canonical
from tests.e2e.engine_room import BASE, docker, require

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

CLIENT, REHEARSAL = images.client(BASE).reference, images.rehearsal(BASE).reference
DRIVER = checkout.ROOT / "tests" / "stand_in_gpu" / "driver"

ALWAYS = {
    "topology-kernels",  # no 4-bit weights, no Marlin
    "topology-containers",  # images of this machine's own
    "arithmetic-text",  # the tokenizer is a twin's
    "protocol-model-files",  # a twin's
    "protocol-base-image",  # a base of this machine's own
    "protocol-passes",  # one pass, as published
    "arithmetic-repeats",
    "protocol-first-pass",
    "protocol-spread",
    "physics-tier",
}
NO_NCCL = {"topology-transport", "topology-nccl-environment"}
NO_COUNTERS = {"topology-nvlink"}  # GeForce cards count no bytes, and NCCL tells of no link
EXPECTED = {
    ("tp1", "moe"): ALWAYS,
    ("tp2-nvlink", "moe"): ALWAYS | NO_NCCL | NO_COUNTERS,
    ("tp2-socket", "moe"): ALWAYS | NO_NCCL | NO_COUNTERS,
}
"""The codes that do not pass, and must not: everything else has to."""

OF_THE_HOST = {
    "protocol-host-load",
    "protocol-governor",
    "arithmetic-time-witness",
    "arithmetic-idle",
}
"""What a busy or virtual host makes warnings of: they say nothing of the rehearsal."""


def rehearse(topology: str, model: str, results: Path) -> subprocess.CompletedProcess[str]:
    words = ("--topology", topology, "--model", model, "--protocol", "article", "-o", str(results))
    return subprocess.run(
        [sys.executable, "-m", "kit", "bench", "--rehearsal", *words],
        cwd=checkout.ROOT,
        env={
            **os.environ,
            "BASE": BASE,
            "PATH": f"{DRIVER.parent}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(DRIVER),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def figures(folder: Path) -> str:
    """Return the table of figures, of which a rehearsal has none."""
    command = [sys.executable, "-m", "kit", "report", str(folder), "--format", "csv"]
    done = subprocess.run(command, cwd=checkout.ROOT, capture_output=True, text=True, check=False)
    assert "no bundle to report on in 1 path(s)" in done.stderr
    return done.stdout


def judged(folder: Path) -> Verdict:
    read = safe_read.read_folder(folder)
    return verify(
        "case", read.files, read.refused, known(checkout.schemas(), checkout.catalog())
    ).verdict


@pytest.fixture(scope="module")
def driver() -> None:
    """Require the stand-in driver, and the base on which a rehearsal builds its images."""
    require(BASE)
    assert (DRIVER / "libnvidia-ml.so.1").exists(), (
        "no stand-in driver: .ci/docker-engine start DIR"
    )


@pytest.mark.parametrize(("topology", "model"), EXPECTED)
def test_a_gpu_topology_is_walked_from_end_to_end(
    driver: None, topology: str, model: str, tmp_path: Path
) -> None:
    done = rehearse(topology, model, tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert "REHEARSAL" in done.stderr
    (folder,) = (path for path in (tmp_path / "r").iterdir() if not path.name.startswith("."))
    verdict = judged(folder)
    assert [one for one in verdict.findings if one.outcome is Outcome.FAIL] == []
    short = {one.code for one in verdict.findings if one.outcome is not Outcome.PASS}
    assert short - OF_THE_HOST == EXPECTED[topology, model]
    assert verdict.exit_code is ExitCode.NOTHING_TO_JUDGE
    assert figures(folder) == ""
    _look_at(folder, topology, model)
    assert docker("ps", "--all", "--quiet", "--filter", f"name=kit-{topology}").stdout == ""


def _look_at(folder: Path, topology: str, model: str) -> None:
    """Hold what a GPU run would hold too: its own plan, three containers, cards that were asked."""
    files = safe_read.read_folder(folder).files
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert (document.runtime, document.status) == (Runtime.DOCKER, Status.COMPLETE)
    assert document.plan.rehearsal
    assert document.plan.sampling.max_tokens == 4096
    ranks = checkout.topology(topology).tensor_parallel_size
    facts = canonical.decode(files[bag.HOST_FACTS], HostFacts)
    served = {one.service: one.image for one in facts.containers}
    assert served == {model: REHEARSAL, f"client-{model}": CLIENT, f"telemetry-{model}": CLIENT}
    assert facts.gpu_processes is not None
    asked = {one.service: one.device_requests for one in facts.containers}
    for service in (model, f"telemetry-{model}"):
        (request,) = asked[service]
        assert request.device_ids == tuple(map(str, range(ranks)))
    telemetry = bag.inflate(files[bag.TELEMETRY])
    assert telemetry.count(b'"index"') >= ranks
    assert b"NVIDIA GeForce RTX 3090" in telemetry


def test_without_nvlink_its_topology_is_refused_before_anything_starts(
    driver: None, tmp_path: Path
) -> None:
    settings = DRIVER / "stand_in_nvml.conf"
    bridged = settings.read_text()
    settings.write_text("STAND_IN_NVML_LINKS=0\n")
    try:
        done = rehearse("tp2-nvlink", "moe", tmp_path / "r")
    finally:
        settings.write_text(bridged)
    assert done.returncode == 4, done.stderr
    assert "an NVLink bridge between them whose links are up" in done.stderr
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").iterdir())
