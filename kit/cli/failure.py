"""Errors as the user is told of them: what is wrong, why, what to do next."""

import os
import sys
import traceback

import click

from kit.errors import InternalError, KitError, MachineError, UsageError
from kit.report.escape import printable


def told(error: Exception) -> KitError:
    """Return an error as the user is told of it; what nobody foresaw is shown with its trace."""
    match error:
        case KitError():
            return error
        case click.ClickException():
            return _usage_error(error)
        case OSError():
            drop_output()
            return _cannot_go_on(error)
        case MemoryError():
            return MachineError(
                "there is not enough memory",
                "a bundle may inflate to many times its size, or other programs hold the memory",
                "free -h, then the same for one bundle at a time",
            )
        case _:
            click.echo(traceback.format_exc(), err=True, nl=False)
            return _bug(error)


def drop_output() -> None:
    """Let what is still in the buffer go nowhere: the interpreter flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def render(error: KitError) -> str:
    """Return what is wrong, why, and what to do next, as lines that are safe to show."""
    text = f"error: {error.what}\n  why:  {error.why}\n  next: {error.next_step}"
    return "\n".join(map(printable, text.split("\n")))


def _usage_error(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "kit"
    usage = context.get_usage() if context is not None else "Usage: kit COMMAND"
    return UsageError(error.format_message(), " ".join(usage.split()), f"{command} --help")


def _cannot_go_on(error: OSError) -> MachineError:
    place = f" ({error.filename})" if error.filename else ""
    if isinstance(error, FileNotFoundError):
        return MachineError(
            f"there is no such file{place}",
            "something that this needs is not there",
            f"ls -l {error.filename or ''}".rstrip(),
        )
    return MachineError(
        f"cannot read or write{place}: {error.strerror or error}",
        "a disk is full, or a file is not ours to use",
        "df -h",
    )


def _bug(error: Exception) -> InternalError:
    return InternalError(
        f"this is a bug of the kit: {type(error).__name__}",
        "it should have said what is wrong; the lines above tell us where",
        "report them, with the command that you typed",
    )
