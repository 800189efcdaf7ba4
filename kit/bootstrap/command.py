"""The command line of the set-up."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from kit.bootstrap import hardware, system
from kit.bootstrap.environments import ENGINE, ENVIRONMENTS, Environment, make
from kit.bootstrap.errors import SetupError
from kit.bootstrap.installer import provide_uv
from kit.bootstrap.layout import Layout, checkout
from kit.bootstrap.locks import compile_locks
from kit.bootstrap.mutex import exclusive
from kit.bootstrap.progress import say, step
from kit.bootstrap.system import Need, engine_needs, kit_needs
from kit.bootstrap.tool import LoggedTool, ToolError
from kit.errors import ExitCode
from kit.ownership import give_to_owner

LOCK = "lock"
INSTALLER_DISK_MB = 150


def run(arguments: Sequence[str]) -> ExitCode:
    """Install what the arguments name; return the exit code. Errors go to standard error."""
    names = _parse(arguments)
    try:
        _dispatch(names, checkout())
    except SetupError as e:
        print(e, file=sys.stderr)
        return ExitCode.MACHINE_LACKS
    except OSError as e:
        print(_unwritable(e), file=sys.stderr)
        return ExitCode.MACHINE_LACKS
    except KeyboardInterrupt:
        print("set-up: interrupted; run the same command again to continue", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def _parse(arguments: Sequence[str]) -> tuple[str, ...]:
    parser = argparse.ArgumentParser(
        prog="python3 -m kit.bootstrap",
        description="Install or update the kit's environments under .kit/.",
        epilog="Exit codes: 0 done, 2 usage, 4 the machine lacks something, 130 interrupted.",
    )
    parser.add_argument(
        "name",
        nargs="+",
        choices=(*ENVIRONMENTS, LOCK),
        help="kit: what a user runs. dev: tests and linters. engine: vLLM on CPU. "
        "lock: recompile docker/*.lock.",
    )
    return tuple(dict.fromkeys(parser.parse_args(arguments).name))


def _dispatch(names: Sequence[str], layout: Layout) -> None:
    layout.state.mkdir(exist_ok=True)
    with exclusive(layout.mutex):
        if LOCK in names:
            recompile(layout)
        set_up([ENVIRONMENTS[name] for name in names if name != LOCK], layout)
        shutil.rmtree(layout.cache, ignore_errors=True)
        give_to_owner(layout.root, layout.state.name)


def set_up(environments: Sequence[Environment], layout: Layout) -> None:
    """Make those environments that are not current.

    Raises:
        SetupError: the machine lacks something.
    """
    tool = LoggedTool(log=layout.log)
    stale = [it for it in environments if not it.is_current(layout)]
    if ENGINE in environments:
        hardware.require_cpu(*hardware.this_cpu())
    if stale:
        layout.log.unlink(missing_ok=True)
        needed_mb = INSTALLER_DISK_MB + sum(it.disk_mb for it in stale)
        hardware.require_space(layout.state, needed_mb)
    system.provide(needs(environments, stale), tool, system.apt_words())
    if stale:
        provide_uv(layout, tool)
    for environment in stale:
        make(environment, layout, tool)
    if environments:
        say(f"ready: {', '.join(it.name for it in environments)}")


def needs(environments: Sequence[Environment], stale: Sequence[Environment]) -> tuple[Need, ...]:
    """Return all that the system must have, so that one command can install it."""
    to_make = kit_needs() if stale else ()
    # Even for a current engine: vLLM compiles at each start.
    to_serve = engine_needs() if ENGINE in environments else ()
    return (*to_make, *to_serve)


def recompile(layout: Layout) -> None:
    """Recompile every lock.

    Raises:
        SetupError: uv found no solution, or no package index.
    """
    tool = LoggedTool(log=layout.log)
    system.provide(kit_needs(), tool, system.apt_words())
    provide_uv(layout, tool)
    try:
        with step("compiling docker/*.lock"):
            compile_locks(layout, tool)
    except ToolError as e:
        _no_lock(e)


def _no_lock(e: ToolError) -> NoReturn:
    raise SetupError(
        failed="uv could not lock the requirements in docker/*.in",
        cause="conflicting versions, or no connection to a package index",
        next_step="make lock   (when that is fixed)",
        output=str(e),
    ) from e


def _unwritable(e: OSError) -> SetupError:
    return SetupError(
        failed=f"{e.filename or 'the set-up'}: {e.strerror or e}",
        cause="the set-up cannot write to .kit/ in the checkout",
        next_step="ls -ld . .kit; df -h .",
    )
