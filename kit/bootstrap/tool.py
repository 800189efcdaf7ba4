"""Runs other programs (pip, uv, apt-get, a compiler); their output goes to a log.

The last lines of a program that failed are in the error.
"""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TAIL_LINES = 15


class ToolError(Exception):
    """A program failed or could not be started; the message has its last lines of output."""


class RunTool(Protocol):
    """Runs one program to its end."""

    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Return standard output; raise `ToolError` unless the program exits with 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedTool:
    """A `RunTool` that appends every command and its standard error to a log."""

    log: Path

    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Return standard output; raise `ToolError` unless the program exits with 0."""
        words = [str(word) for word in command]
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n")
            try:
                done = subprocess.run(
                    words,
                    env=env,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    encoding="utf-8",
                    errors="replace",
                    check=False,
                )
            except OSError as e:
                raise ToolError(f"{words[0]}: {e.strerror}") from e
            log.write(done.stderr)
        if done.returncode != 0:
            output = tail(done.stderr or done.stdout)
            raise ToolError(f"{ending(done.returncode)}\n{output}".rstrip())
        return done.stdout


def ending(returncode: int) -> str:
    """Return how a program ended: `exit code 1`, or `killed by SIGILL`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    return f"killed by {signal.Signals(-returncode).name}"


def tail(text: str) -> str:
    """Return the last lines that are not blank, which usually have the reason."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])
