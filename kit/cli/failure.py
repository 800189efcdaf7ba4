"""Turns any exception into an error of three parts, and renders it."""

import os
import sys
import traceback

import click

from kit.errors import InternalError, KitError, MachineError, UsageError
from kit.report.escape import printable


def as_kit_error(error: Exception) -> KitError:
    """Return an exception as a `KitError`; for an unforeseen one, print its traceback."""
    match error:
        case KitError():
            return error
        case click.ClickException():
            return _usage_error(error)
        case OSError():
            drop_output()
            return _io_error(error)
        case MemoryError():
            return MachineError(
                "out of memory",
                "a bundle may decompress to many times its size, or other programs use the memory",
                "free -h, then the same command for one bundle at a time",
            )
        case _:
            click.echo(traceback.format_exc(), err=True, nl=False)
            return _bug(error)


def drop_output() -> None:
    """Discard buffered output: the interpreter would flush it at exit, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def render(error: KitError) -> str:
    """Return an error's three parts as lines, control characters escaped."""
    text = f"error: {error.what}\n  why:  {error.why}\n  next: {error.next_step}"
    return "\n".join(map(printable, text.split("\n")))


def _usage_error(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "kit"
    usage = context.get_usage() if context is not None else "Usage: kit COMMAND"
    return UsageError(error.format_message(), " ".join(usage.split()), f"{command} --help")


def _io_error(error: OSError) -> MachineError:
    path = f" {error.filename}" if error.filename else ""
    return MachineError(
        f"cannot read or write{path}: {error.strerror or error}",
        "a file is missing, this user may not use it, or a disk is full",
        f"ls -l{path}; df -h",
    )


def _bug(error: Exception) -> InternalError:
    return InternalError(
        f"this is a bug in the kit: {type(error).__name__}",
        "an exception that the kit does not handle; the traceback is above",
        "report the traceback and the command that you typed",
    )
