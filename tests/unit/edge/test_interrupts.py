"""Interrupts, each in its own process: none is lost, none interrupts a deferred block."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.edge import interrupts

ROOT = Path(__file__).parents[3]

INTERRUPTED_IN_A_CALLBACK = """
import signal, sys, time, weakref
from kit.edge import interrupts

class Thing: pass

def callback(_reference):
    signal.raise_signal(getattr(signal, sys.argv[1]))
    for _ in range(1000):  # the handler runs in here, and Python drops what it raises
        pass
    print("not reached")

interrupts.handle()
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""

ASK_WHAT_ENDS_IT = """
import signal
from kit.edge import interrupts

interrupts.handle()
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    try:
        signal.raise_signal(getattr(signal, name))
    except KeyboardInterrupt:
        print(name)
"""

FAIL_IN_A_FINALIZER = """
from kit.edge import interrupts

class Thing:
    def __del__(self):
        raise ValueError("told")

interrupts.handle()
Thing()
"""


def run(
    program: str, *words: str, ignored: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a program of this kind to its end, with these signals ignored from the start."""
    ignore = "".join(f"trap '' {name.removeprefix('SIG')}; " for name in ignored)
    shell = ["bash", "-c", f'{ignore}exec "$@"', "bash", sys.executable, "-c", program]
    return subprocess.run(
        [*shell, *words], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_that_python_drops_comes_again(name: str) -> None:
    done = run(INTERRUPTED_IN_A_CALLBACK, name)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_other_errors_that_python_drops_are_told_as_ever() -> None:
    assert "ValueError: told" in run(FAIL_IN_A_FINALIZER).stderr


@pytest.mark.parametrize(
    ("ignored", "heeded"),
    [
        ((), ["SIGINT", "SIGTERM", "SIGHUP"]),
        (("SIGHUP",), ["SIGINT", "SIGTERM"]),  # nohup
        (("SIGINT",), ["SIGTERM", "SIGHUP"]),  # a shell's background job
    ],
)
def test_what_the_caller_ignores_stays_ignored(ignored: tuple[str, ...], heeded: list[str]) -> None:
    assert run(ASK_WHAT_ENDS_IT, ignored=ignored).stdout.split() == heeded


def test_ctrl_c_is_held_back_and_not_forgotten() -> None:
    steps: list[str] = []

    def interrupted() -> None:
        with interrupts.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            steps.append("whole")
        steps.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["whole"]


def test_ctrl_c_does_not_hide_an_error_on_its_way() -> None:
    def fail() -> None:
        try:
            raise ValueError("first")
        finally:
            with interrupts.uninterrupted():
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(ValueError, match="first"):
        fail()
