"""A fuzz of two seconds for every parser of foreign bytes; `make fuzz` runs for longer.

It starts from valid and from known invalid input. An input that a longer run finds becomes a test
of its parser.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factory import ROOT
from tests.fuzz.targets import TARGETS

SECONDS = 2
HUNG_AFTER_S = 300
"""The fuzzer limits an input to ten seconds; a busy host may be slow to start it."""

PLANTED = """
import time
import atheris
from tests.fuzz.run import fuzz
from tests.fuzz.targets import Target

@atheris.instrument_func
def feed(data):
    if data[:1] == b"k":
        if data[1:2] == b"i":
            if data[2:3] == b"t":
                {bug}

fuzz(Target(feed=feed, seeds=lambda: [b"xxxx"]), 60, None)
"""
"""A bug that 1 of 2**24 random inputs reaches: only a fuzzer guided by coverage finds it."""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=HUNG_AFTER_S,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_parser(target: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "tests.fuzz.run", target, "--seconds", str(SECONDS))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", done.stdout + done.stderr)
    assert inputs is not None
    assert int(inputs[1]) > len(list(TARGETS[target].seeds()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        ("raise KeyError(data)", "KeyError"),
        ("open('/etc/hostname')", "a parser has an effect: open"),
        # libFuzzer measures memory once a second, and blames the input of that moment.
        ("held = bytearray(3 * 2**30); time.sleep(5)", "out-of-memory"),
    ],
)
def test_a_planted_bug_is_found(bug: str, message: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-c", PLANTED.format(bug=bug))
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    (crash,) = tmp_path.iterdir()
    assert b"kit" in crash.read_bytes()
