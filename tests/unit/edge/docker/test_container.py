"""The client of a run in containers, with the stand-in engine and made-up volumes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle import bag, telemetry
from kit.bundle.document import Document, Runtime, Status
from kit.bundle.host_facts import HostFacts
from kit.edge import session
from kit.edge.docker import container
from kit.edge.docker.container import ContainerEngine, Volumes
from kit.edge.files import safe_read
from kit.errors import RunError, SpecError
from kit.format import canonical
from tests.factory import Settings, draft
from tests.unit.edge.conftest import Serve, make_plan
from tests.unit.edge.test_session import make_context


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    made = Volumes(evidence=tmp_path / "evidence", telemetry=tmp_path / "telemetry")
    made.evidence.mkdir()
    made.telemetry.mkdir()
    (made.evidence / "server.log").write_bytes(b"INFO ready\n")
    return made


def facts() -> HostFacts:
    made = draft(Settings(runtime=Runtime.DOCKER)).host_facts
    assert made is not None
    return made


def run(url: str, volumes: Volumes, folder: Path, known: HostFacts | None) -> dict[str, bytes]:
    engine = ContainerEngine(
        base_url=url, served_model="moe-mini", host_facts=known, volumes=volumes
    )
    path = session.run(make_plan(), engine, make_context(folder))
    return dict(safe_read.read_folder(path).files)


def test_what_others_wrote_is_sealed(serve: Serve, volumes: Volumes, tmp_path: Path) -> None:
    (volumes.evidence / "nccl.7.log").write_bytes(b"one\n")
    (volumes.evidence / "nccl.8.log").write_bytes(b"two\n")
    with serve() as url:
        files = run(url, volumes, tmp_path, facts())
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert (document.runtime, document.status) == (Runtime.DOCKER, Status.COMPLETE)
    assert document.engine.model_files == facts().model_files
    assert canonical.decode(files[bag.HOST_FACTS], HostFacts) == facts()
    assert bag.inflate(files[bag.SERVER_LOG]) == b"INFO ready\n"
    assert bag.inflate(files[bag.NCCL_LOG]) == b"one\ntwo\n"


def test_the_sampler_is_told_to_end_and_its_file_is_sealed(
    serve: Serve, volumes: Volumes, tmp_path: Path
) -> None:
    made = draft(Settings(topology="tp1", model="moe")).telemetry
    assert made is not None
    (volumes.telemetry / container.TELEMETRY).write_bytes(telemetry.write(made))
    with serve() as url:
        files = run(url, volumes, tmp_path, facts())
    assert (volumes.telemetry / container.END).exists()
    sealed = telemetry.read(bag.inflate(files[bag.TELEMETRY]))
    assert len(sealed.samples) == len(made.samples)


def test_telemetry_that_cannot_be_read_is_left_out(
    serve: Serve, volumes: Volumes, tmp_path: Path
) -> None:
    volumes = replace(volumes, patience_s=0.0)
    (volumes.telemetry / container.TELEMETRY).write_bytes(b"not a line of ours\n")
    with serve() as url:
        assert bag.TELEMETRY not in run(url, volumes, tmp_path, facts())


def test_without_the_host_it_is_said_what_nobody_saw(
    serve: Serve, volumes: Volumes, tmp_path: Path
) -> None:
    with serve() as url:
        files = run(url, volumes, tmp_path, None)
    document = canonical.decode(files[bag.DOCUMENT], Document)
    assert {"host_facts", "model_files"} <= set(document.absent)
    assert bag.HOST_FACTS not in files


def test_a_failed_request_leaves_a_partial_bundle(
    serve: Serve, volumes: Volumes, tmp_path: Path
) -> None:
    with serve("--behaviour=http-500", "--after=2") as url, pytest.raises(RunError):
        run(url, volumes, tmp_path, facts())
    (path,) = (tmp_path / "results").iterdir()
    assert path.name.endswith("-partial")


def test_facts_are_read_or_known_to_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(b"null\n")
    assert container.read_host_facts(path) is None
    path.write_bytes(canonical.encode(facts()))
    assert container.read_host_facts(path) == facts()
    path.write_text(json.dumps({"host_id": "x"}))
    with pytest.raises(SpecError, match=r"host\.json"):
        container.read_host_facts(path)
