"""The command line: parse, build, call one stage, render, exit.

The only place that prints, exits, or reads the environment. Human text goes to standard error,
artefacts and paths to standard output. Commands import what they need when they are called, so
that `kit --help` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from kit import __version__
from kit.cli import failure
from kit.cli.options import FILE, FOLDER, cell_options
from kit.edge import interrupts
from kit.errors import ExitCode


def main() -> None:
    """Run the command line and exit with one of `kit.errors.ExitCode`."""
    if sys.stdout is None:  # closed by the caller, who wants the exit code alone
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process
    interrupts.heed()
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        return _call(arguments)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        lines = ("interrupted; nothing is left running", *getattr(interrupt, "__notes__", ()))
        click.echo("\n".join(lines), err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: nothing left to say to it
        failure.drop_output()
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001  # none must pass for a verdict
        told = failure.told(error)
        click.echo(failure.render(told), err=True)
        return told.exit_code


def _call(arguments: list[str]) -> int:
    try:
        with commands.make_context("kit", arguments or ["--help"]) as context:
            code = commands.invoke(context)
    except click.exceptions.Exit as finished:  # after --help and --version
        code = finished.exit_code
    sys.stdout.flush()
    return int(code or ExitCode.DONE)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 checked, and numbers differ; 2 usage; 3 bad spec; 4 the machine "
    "lacks something; 5 the run failed; 6 a bundle is invalid; 7 nothing to judge; "
    "70 a bug of the kit; 130 interrupted.",
)
@click.version_option(__version__, prog_name="kit")
def commands() -> None:
    """Re-run a published LLM-serving benchmark, hand in the evidence, check other people's."""


@commands.command(short_help="Measure, seal, verify and report.")
@cell_options
@click.option("--port", type=click.IntRange(1, 65535), help="By default a free one on loopback.")
@click.option("--endpoint", metavar="URL", help="Measure a server that already runs instead.")
@click.option("--served-model", metavar="NAME", help="The endpoint's name for its model.")
@click.option("--max-tokens", type=click.IntRange(1), help="With --endpoint; by default 4096.")
@click.option(
    "--rehearsal", is_flag=True, help="Walk a GPU topology with the CPU engine: no result."
)
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="For bundles; by default results/local. A page goes beside it.",
)
@click.option("-q", "--quiet", is_flag=True, help="Neither progress nor summary.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output.")
def bench(**options: Any) -> int:
    """Measure, seal a bundle for each model, verify it and say what was found."""
    from kit.cli.bench import BenchOptions, bench

    return bench(BenchOptions(**options))


@commands.command()
@cell_options
@click.option("--json", "as_json", is_flag=True, help="Everything, one canonical plan a line.")
def plan(**options: Any) -> int:
    """Print what `bench` would do, and start nothing."""
    from kit.cli.planning import CellOptions, show

    as_json = options.pop("as_json")
    return show(CellOptions(**options), as_json=as_json)


@commands.command(short_help="What this machine can run, and what it lacks.")
@click.option("--json", "as_json", is_flag=True, help="Facts and findings as one JSON document.")
def doctor(as_json: bool) -> int:
    """Say what this machine can run, what it lacks, and how to get it."""
    from kit.cli.doctor import show

    return show(as_json=as_json)


@commands.command(hidden=True)
@click.option("--topology", required=True, help="A file of compose/.")
@click.option("--model", required=True, help="A service of that file.")
@click.option("--engine", "engine_url", required=True, metavar="URL", help="Where it serves.")
@click.option("--suite", default="single", envvar="KIT_SUITE")
@click.option("--passes", type=click.IntRange(1, 1000), envvar="KIT_PASSES")
@click.option("--protocol", default="kit", envvar="KIT_PROTOCOL")
@click.option("--cache", default="warm", envvar="KIT_CACHE_POLICY")
@click.option("--timeout", "timeout_s", type=int, default=600, envvar="KIT_TIMEOUT_S")
@click.option("--rehearsal", is_flag=True, envvar="KIT_REHEARSAL")
@click.option("--evidence", type=FOLDER, default="/evidence", help="The engine's log is there.")
@click.option("--telemetry", type=FOLDER, default="/telemetry", help="The sampler writes there.")
@click.option("--host-facts", type=click.Path(path_type=Path), default="/etc/kit/host.json")
@click.option("-o", "--output", type=FOLDER, default="/results", help="For the bundle.")
def measure(**options: Any) -> int:
    """Measure the engine of a Compose project from within it: what the client container runs."""
    from kit.cli.measure import MeasureOptions, measure

    return measure(MeasureOptions(**options))


@commands.command(hidden=True)
@click.option("-o", "--output", type=FOLDER, required=True, help="A folder for each goes there.")
@click.argument("models", nargs=-1)
def twins(output: Path, models: tuple[str, ...]) -> int:
    """Make the small twins of the article's models; by default all of them."""
    from kit.cli.twins import make

    return make(models, output)


@commands.command(short_help="Pin the files of models.")
@click.argument("models", nargs=-1)
@click.option(
    "--from-mirror-for-tests",
    is_flag=True,
    help="Believe HF_ENDPOINT whatever it is; never for a pin that is kept.",
)
def lock_models(models: tuple[str, ...], from_mirror_for_tests: bool) -> int:
    """Pin every file of models, by default of all, as the hub itself lists them."""
    from kit.cli.models import lock

    return lock(models, from_mirror_for_tests=from_mirror_for_tests)


@commands.command(hidden=True)
@click.argument("model")
def model_dockerfile(model: str) -> int:
    """Print the Dockerfile that bakes a pinned model into a server's image."""
    from kit.cli.models import dockerfile

    return dockerfile(model)


@commands.command(short_help="Check bundles, and what they say of claims.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html", "in-toto"]),
    default="text",
    show_default=True,
    help="in-toto: a statement a line, with the Test Result predicate, unsigned.",
)
@click.option("-q", "--quiet", is_flag=True, help="The exit code only.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="NAME",
    help="Judge its claims, too: a name of results/published/, or a file. Repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=NUMBER",
    help="A parameter of the reference, such as gpu-price-usd=650.",
)
@click.option(
    "--tokenizer",
    "tokenizers",
    multiple=True,
    type=FILE,
    help="A model's tokenizer.json: holds texts against token ids. Repeatable; twins need none.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    help="Processes, but for claims; by default the cores.",
)
def verify(**options: Any) -> int:
    """Check bundles, trusting nothing that can be recomputed; and what they say of claims."""
    from kit.cli.verify import VerifyOptions, verify

    return verify(VerifyOptions(**options))


@commands.command(short_help="Judge accepted bundles again.")
@click.option("--update", is_flag=True, help="Write the verdict instead of holding it against it.")
def results(update: bool) -> int:
    """Judge every accepted bundle again: the verdict must be the one that is committed."""
    from kit.cli.results import results

    return results(update=update)


@commands.command(short_help="Hold a publication against itself.")
@click.argument("name")
@click.option("--raw", type=FOLDER, help="The author's data files, to be looked at as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def audit(name: str, raw: Path | None, as_json: bool) -> int:
    """Hold what was published against itself, other runs and public facts: nothing is measured."""
    from kit.cli.audit import audit

    return audit(name, raw, as_json=as_json)


@commands.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=FILE, required=True, help="FILE.tar.zst or FILE.tar.gz.")
def pack(path: Path, output: Path) -> int:
    """Pack a bundle into one file to hand in; `verify` and `report` read it as it is."""
    from kit.cli.pack import pack

    return pack(path, output)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=FOLDER, help="For the page and pictures; by default results/report."
)
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


@commands.command(hidden=True)
@click.option("-o", "--output", type=FILE, required=True, help="The file that is written.")
@click.option("--until", type=FILE, required=True, help="Stop as soon as this file is there.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.1, 60.0),
    default=1.0,
    show_default=True,
    help="Seconds between samples.",
)
def telemetry(output: Path, until: Path, interval_s: float) -> int:
    """Sample clocks, power, temperature and links of the GPUs until told to stop."""
    from kit.edge.host import sampler

    sampler.sample(output, until, interval_s)
    return ExitCode.DONE
