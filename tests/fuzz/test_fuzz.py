"""A short fuzz of every parser of others' bytes; `make fuzz` goes on for longer.

Two seconds each begin where good and odd input ends. What a longer run finds becomes a test of its
parser, so that nothing here depends on luck.
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
"""The fuzzer itself gives an input ten seconds; a busy host may take long to begin."""

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
"""Bugs that only a fuzzer finds that is guided by coverage: 1 of 2^24 inputs has them."""


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
    fed = re.search(r"stat::number_of_executed_units: (\d+)", done.stdout + done.stderr)
    assert fed is not None
    assert int(fed[1]) > len(list(TARGETS[target].seeds()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bug", "told"),
    [
        ("raise KeyError(data)", "KeyError"),
        ("open('/etc/hostname')", "a parser has an effect: open"),
        # Memory is looked at once a second, and blamed on what is being fed just then.
        ("held = bytearray(3 * 2**30); time.sleep(5)", "out-of-memory"),
    ],
)
def test_a_planted_bug_is_found(bug: str, told: str, tmp_path: Path) -> None:
    done = run(tmp_path, "-c", PLANTED.format(bug=bug))
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
    (found,) = tmp_path.iterdir()
    assert b"kit" in found.read_bytes()
