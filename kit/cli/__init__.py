"""The command line: parse, build, call one stage, render, exit.

The only place that prints, exits, or reads the environment. Human text goes to standard error,
artefacts and paths to standard output. Commands import what they need when they are called, so
that `kit --help` answers at once.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from kit import __version__
from kit.errors import ExitCode, KitError

FOLDER = click.Path(path_type=Path, file_okay=False)


def main() -> None:
    """Run the command line and exit with one of `kit.errors.ExitCode`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        with commands.make_context("kit", arguments) as context:
            code = commands.invoke(context)
        sys.stdout.flush()
        return int(code or ExitCode.DONE)
    except click.exceptions.Exit as finished:  # after --help and --version
        return finished.exit_code
    except KitError as error:
        click.echo(_render(error), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort) as interrupt:
        lines = ("interrupted; nothing is left running", *getattr(interrupt, "__notes__", ()))
        click.echo("\n".join(lines), err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: nothing left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it is flushed once more
        return ExitCode.DONE


def _render(error: KitError) -> str:
    return f"error: {error.what}\n  why:  {error.why}\n  next: {error.next_step}"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 checked, and numbers differ; 2 usage; 3 bad spec; 4 the machine "
    "lacks something; 5 the run failed; 6 a bundle is invalid; 7 nothing to judge.",
)
@click.version_option(__version__, prog_name="kit")
def commands() -> None:
    """Re-run a published LLM-serving benchmark, hand in the evidence, check other people's."""


def _cell_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that choose what is to be run; `bench` and `plan` share them."""
    options = (
        click.option("--topology", help="A file of compose/; by default what this machine serves."),
        click.option("--model", "models", multiple=True, help="Repeatable; by default both twins."),
        click.option("--suite", default="single", show_default=True, help="A folder of prompts/."),
        click.option("--passes", type=click.IntRange(1, 1000), help="Measured; by default 5."),
        click.option(
            "--protocol",
            default="kit",
            show_default=True,
            help="`kit`, or `article`: one pass, a new connection a request, no streaming pass.",
        ),
        click.option(
            "--cache",
            default="warm",
            show_default=True,
            help="`warm`, or `cold`: each request salted apart from all others.",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(1),
            default=600.0,
            show_default=True,
            help="Seconds that one request may take.",
        ),
        click.option("--runtime", default="process", show_default=True, help="Starts the engine."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@commands.command()
@_cell_options
@click.option("--port", type=click.IntRange(1, 65535), help="By default a free one on loopback.")
@click.option("--endpoint", metavar="URL", help="Measure a server that already runs instead.")
@click.option("--served-model", metavar="NAME", help="The endpoint's name for its model.")
@click.option("--max-tokens", type=click.IntRange(1), help="With --endpoint; by default 4096.")
@click.option("-o", "--output", type=FOLDER, help="For bundles; by default results/local.")
@click.option("-q", "--quiet", is_flag=True, help="Neither progress nor summary.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output.")
def bench(**options: Any) -> int:
    """Measure, seal a bundle for each model, verify it and say what was found."""
    from kit.cli.bench import BenchOptions, bench

    return bench(BenchOptions(**options))


@commands.command()
@_cell_options
@click.option("--json", "as_json", is_flag=True, help="Everything, one canonical plan a line.")
def plan(**options: Any) -> int:
    """Print what `bench` would do, and start nothing."""
    from kit.cli.planning import CellOptions, show

    as_json = options.pop("as_json")
    return show(CellOptions(**options), as_json=as_json)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="The exit code only.")
def verify(paths: tuple[Path, ...], as_json: bool, quiet: bool) -> int:
    """Check bundles: from hashes to protocol, trusting nothing that can be recomputed."""
    from kit.cli.verify import verify

    return verify(paths, as_json=as_json, quiet=quiet)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=FOLDER, help="Where the page and the pictures go.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "csv", "json"]),
    default="html",
    show_default=True,
    help="All but html go to standard output.",
)
def report(paths: tuple[Path, ...], output: Path | None, form: str) -> int:
    """Render a page with pictures from bundles, or the same figures as text."""
    from kit.cli.report import report

    return report(paths, output, form)
