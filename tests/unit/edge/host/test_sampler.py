"""The sampler, through the command line, with a stand-in for NVML."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from kit.bundle import telemetry
from kit.bundle.telemetry import Source
from kit.edge.host import sampler
from kit.errors import ExitCode
from tests.unit.edge.conftest import until

ROOT = Path(__file__).parents[4]

Start = Callable[..., AbstractContextManager["subprocess.Popen[bytes]"]]


@pytest.fixture
def start(nvml_folder: Path, tmp_path: Path) -> Start:
    """Return a way to start `kit telemetry` on the stand-in, into `out` until `stop`."""

    @contextmanager
    def starting(**settings: str) -> Iterator["subprocess.Popen[bytes]"]:
        arguments = (
            "--output",
            tmp_path / "out",
            "--until",
            tmp_path / "stop",
            "--interval",
            "0.1",
        )
        with subprocess.Popen(
            [sys.executable, "-c", "from kit.cli import main; main()", "telemetry", *arguments],
            cwd=ROOT,
            env={**os.environ, "LD_LIBRARY_PATH": str(nvml_folder), **settings},
            stderr=subprocess.PIPE,
        ) as running:
            try:
                yield running
            finally:
                running.kill()

    return starting


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_samples_until_it_is_told_to_stop(start: Start, tmp_path: Path) -> None:
    began_s = time.monotonic()
    with start() as running:
        assert until(lambda: lines(tmp_path / "out") >= 4)  # each line is flushed
        assert not sampler.wait_for_end(tmp_path / "out", 0.0)
        (tmp_path / "stop").touch()
        assert sampler.wait_for_end(tmp_path / "out", 10.0)
        assert running.wait(10) == ExitCode.DONE
    found = telemetry.read((tmp_path / "out").read_bytes())
    assert found.header.inventory.source is Source.NVML
    assert found.header.interval_s == 0.1
    assert began_s < found.header.t_s < time.monotonic()
    assert found.end is not None
    times_s = [one.t_s for one in found.samples]
    assert len(times_s) >= 3
    assert all(later - earlier >= 0.049 for earlier, later in list(pairwise(times_s))[:-1])
    assert all(len(one.gpus) == 2 for one in found.samples)


def test_one_that_is_killed_leaves_whole_lines_and_no_end(start: Start, tmp_path: Path) -> None:
    with start() as running:
        assert until(lambda: lines(tmp_path / "out") >= 3)
        running.kill()
        running.wait(10)
    data = (tmp_path / "out").read_bytes()
    assert telemetry.read(telemetry.from_start(data, 0.0)).end is None
    assert not sampler.wait_for_end(tmp_path / "out", 0.1)


def test_one_that_is_interrupted_says_no_end(start: Start, tmp_path: Path) -> None:
    with start() as running:
        assert until(lambda: lines(tmp_path / "out") >= 3)
        running.terminate()
        assert running.wait(10) == ExitCode.INTERRUPTED
    assert not telemetry.has_ended((tmp_path / "out").read_bytes())


def test_the_stop_may_be_there_before_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    with start() as running:
        assert running.wait(20) == ExitCode.DONE
    assert telemetry.read((tmp_path / "out").read_bytes()).end is not None


def test_no_driver_is_what_the_machine_lacks(start: Start, tmp_path: Path) -> None:
    with start(STAND_IN_NVML_BROKEN="1") as running:
        assert running.wait(20) == ExitCode.MACHINE_LACKS
        assert running.stderr is not None
        assert b"cannot read GPUs: NVML says" in running.stderr.read()
    assert not (tmp_path / "out").exists()


def test_an_end_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "out"
    line = b'{"kind":"end","t_s":1.0,"utc":"2026-03-06T12:00:00.000000Z"}\n'
    threading.Timer(0.2, path.write_bytes, [line]).start()
    assert sampler.wait_for_end(path, 10.0)
