"""Runs the command line in this process, as `kit` does in its own."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from kit.cli import run

KIT = (sys.executable, "-c", "from kit.cli import main; main()")
"""The command, for what needs a process: signals, closed output, variables of the loader."""


def kit(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Return exit code and output of a command."""
    words = list(map(str, arguments))
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = run(words)
    return subprocess.CompletedProcess(words, code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
