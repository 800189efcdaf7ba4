"""Every way in which the kit can fail, each with its exit code.

An error has three parts: what failed, with the value; what was expected, or the likely cause;
the next command to type. They are rendered once, in `kit.cli`. "The data is bad" (`SpecError`,
`BundleError`), "the machine is bad" (`MachineError`) and "the run went wrong" (`RunError`) are
different families; anything else is a bug of ours (`InternalError`).
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the process."""

    DONE = 0
    DIFFERS = 1
    USAGE = 2
    BAD_SPEC = 3
    MACHINE_LACKS = 4
    RUN_FAILED = 5
    BUNDLE_INVALID = 6
    NOTHING_TO_JUDGE = 7
    BUG = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130


class KitError(Exception):
    """Base of all errors that a user may see."""

    exit_code: ClassVar[ExitCode]

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step


class UsageError(KitError):
    """The command line names something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class SpecError(KitError):
    """A Compose file, model list, suite or reference is not what it should be."""

    exit_code = ExitCode.BAD_SPEC


class MachineError(KitError):
    """The machine lacks something: a compiler, disk, memory, an engine, a writable folder."""

    exit_code = ExitCode.MACHINE_LACKS


class RunError(KitError):
    """The engine or a request failed; `code` is what goes into the bundle instead of the text."""

    exit_code = ExitCode.RUN_FAILED

    def __init__(self, what: str, why: str, next_step: str, *, code: str) -> None:
        super().__init__(what, why, next_step)
        self.code = code


class BundleError(KitError):
    """A bundle cannot be read at all."""

    exit_code = ExitCode.BUNDLE_INVALID


class InternalError(KitError):
    """Something that the kit should have foreseen, and did not."""

    exit_code = ExitCode.BUG
