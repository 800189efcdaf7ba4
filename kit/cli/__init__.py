"""The command line: each command parses its options, calls a stage, prints, and exits.

Text for people goes to standard error, results and paths to standard output. Commands are imported
when they are called, so that `kit --help` is fast.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from kit import __version__
from kit.cli import failure
from kit.cli.options import FILE, FOLDER, cell_options, image_options, numbers, seconds, split
from kit.edge import interrupts
from kit.errors import ExitCode
from kit.ownership import give_to_owner

CHECKOUT = Path(__file__).parents[2]


def main() -> None:
    """Run the command line of this process, and exit with one of `kit.errors.ExitCode`."""
    if sys.stdout is None:  # closed by the caller
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process
    interrupts.handle()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to standard error."""
    try:
        return _call(arguments)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        lines = ("interrupted; nothing is left running", *getattr(interrupt, "__notes__", ()))
        click.echo("\n".join(lines), err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of the output has ended
        failure.drop_output()
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001  # Python's own exit code 1 would mean "differs"
        kit_error = failure.as_kit_error(error)
        click.echo(failure.render(kit_error), err=True)
        return kit_error.exit_code
    finally:
        give_to_owner(CHECKOUT, ".kit", "results")


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
    epilog="Exit codes: 0 done; 1 numbers differ; 2 usage; 3 bad spec; 4 the machine lacks "
    "something; 5 the run failed; 6 a bundle is invalid; 7 nothing to judge; 70 a bug in the kit; "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="kit")
def commands() -> None:
    """Re-run a published LLM-serving benchmark, and verify its bundles and claims."""


@commands.command(short_help="Measure, verify and report.")
@cell_options
@click.option("--port", type=click.IntRange(1, 65535), help="On loopback; by default a free one.")
@click.option("--endpoint", metavar="URL", help="Measure a server that runs already.")
@click.option("--served-model", metavar="NAME", help="The model's name at the endpoint.")
@click.option("--max-tokens", type=click.IntRange(1), help="With --endpoint; by default 4096.")
@click.option(
    "--rehearsal", is_flag=True, help="Run a GPU topology on the CPU engine; gives no result."
)
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="Folder for bundles; by default results/local. The report goes beside it.",
)
@click.option(
    "--weights",
    type=FOLDER,
    envvar="WEIGHTS",
    help="Folder with the models' files, to mount instead of baking them into an image.",
)
@image_options
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def bench(**options: Any) -> int:
    """Measure each model, seal a bundle, verify it, and report on it."""
    from kit.cli.bench import BenchOptions, bench

    return bench(BenchOptions(**options))


@commands.command(short_help="Measure every cell that this machine has.")
@click.option("--topologies", multiple=True, callback=split, help="By default all that can run.")
@click.option("--models", multiple=True, callback=split, help="By default each topology's own.")
@click.option("--suites", multiple=True, callback=split, default=("single",), show_default=True)
@click.option("--agents", multiple=True, callback=numbers, help="Of suite swarm: 1,2,4,8.")
@click.option("--passes", type=click.IntRange(1, 1000), help="Measured passes of each cell.")
@click.option("--starts", type=click.IntRange(1, 20), default=1, show_default=True)
@click.option("--budget", "budget_s", metavar="TIME", callback=seconds, help="Such as 90m or 8h.")
@click.option("--runtime", help="`docker`, or `process` (CPU topologies only, and their default).")
@click.option("-o", "--output", type=FOLDER, help="Folder for bundles; by default results/local.")
@click.option("--weights", type=FOLDER, envvar="WEIGHTS", help="As of bench.")
@image_options
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def matrix(**options: Any) -> int:
    """Measure every cell that this machine has, in an order that favours none.

    With a budget what fits is measured, first what the article's claims still need. The same
    command goes on where it was interrupted, and reports on everything at its end.
    """
    from kit.cli.matrix import matrix, options_of

    return matrix(options_of(**options))


@commands.command()
@cell_options
@click.option(
    "--json", "as_json", is_flag=True, help="Complete plans, one canonical JSON document a line."
)
def plan(**options: Any) -> int:
    """Print what `bench` would run; start nothing."""
    from kit.cli.plan import plan
    from kit.edge.cells import CellChoices

    as_json = options.pop("as_json")
    return plan(CellChoices(**options), as_json=as_json)


@commands.command(short_help="Show what this machine can run.")
@click.argument("topology", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(topology: str | None, as_json: bool) -> int:
    """Show what this machine can run, or why it cannot run TOPOLOGY, and what to do."""
    from kit.cli.doctor import doctor

    return doctor(topology, as_json=as_json)


@commands.command(hidden=True)
@click.option("--topology", required=True, help="A file of compose/.")
@click.option("--model", required=True, help="A service of that file.")
@click.option("--engine", "engine_url", required=True, metavar="URL", help="The engine's base URL.")
@click.option("--suite", default="single", envvar="KIT_SUITE")
@click.option("--agents", multiple=True, callback=numbers, envvar="KIT_AGENTS")
@click.option("--passes", type=click.IntRange(1, 1000), envvar="KIT_PASSES")
@click.option("--duration", "duration_s", callback=seconds, envvar="KIT_DURATION")
@click.option("--protocol", default="kit", envvar="KIT_PROTOCOL")
@click.option("--cache", default="warm", envvar="KIT_CACHE_POLICY")
@click.option("--eager", is_flag=True, envvar="KIT_ENFORCE_EAGER")
@click.option("--prefix-cache", type=bool, default=True, envvar="KIT_PREFIX_CACHE")
@click.option("--connection", envvar="KIT_CONNECTION")
@click.option("--timeout", "timeout_s", type=int, default=600, envvar="KIT_TIMEOUT_S")
@click.option("--rehearsal", is_flag=True, envvar="KIT_REHEARSAL")
@click.option("--evidence", type=FOLDER, default="/evidence", help="Folder of the engine's logs.")
@click.option(
    "--telemetry", type=FOLDER, default="/telemetry", help="Folder of the sampler's file."
)
@click.option("--host-facts", type=click.Path(path_type=Path), default="/etc/kit/host.json")
@click.option("-o", "--output", type=FOLDER, default="/results", help="Folder for the bundle.")
def measure(**options: Any) -> int:
    """Measure the engine of a Compose project: what the client's container runs."""
    from kit.cli.measure import MeasureOptions, measure

    model = options.pop("model")
    return measure(MeasureOptions(models=(model,), runtime=None, **options))


@commands.command(hidden=True)
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the twins' folders.")
@click.argument("models", nargs=-1)
def twins(output: Path, models: tuple[str, ...]) -> int:
    """Make the small twins of the article's models, by default all."""
    from kit.cli.twins import twins

    return twins(models, output)


@commands.command(hidden=True)
@click.argument("models", nargs=-1)
@click.option("--base", envvar="BASE", help="Build on another base.")
def lock_models(models: tuple[str, ...], base: str | None) -> int:
    """Ship the files of models, by default of all, with the hashes that the hub lists."""
    from kit.cli.lock_models import lock_models

    return lock_models(models, base)


@commands.command(short_help="Build the images of a topology.")
@cell_options
@click.option("--rehearsal", is_flag=True, help="Of the CPU engine that stands in for GPUs.")
@image_options
def images(**options: Any) -> int:
    """Build the images that `bench` would, and nothing else."""
    from kit.cli.images import images
    from kit.edge.cells import CellChoices

    base, registry = options.pop("base"), options.pop("registry")
    return images(CellChoices(**options), base, registry)


@commands.command(name="build-guide", short_help="Say what to build, from bundles.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="A price.")
@click.option("-o", "--output", type=FOLDER, help="By default results/report.")
def build_guide(paths: tuple[Path, ...], settings: tuple[str, ...], output: Path | None) -> int:
    """Compare what the article tells people to build with one host's bundles, and reckon costs."""
    from kit.cli.build_guide import build_guide

    return build_guide(paths, settings, output)


@commands.command(name="compare", short_help="Show what differs between bundles.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(first: Path, second: Path, as_json: bool) -> int:
    """Compare two bundles, or folders of them: first their settings and machines, then numbers."""
    from kit.cli.compare import compare_paths

    return compare_paths(first, second, as_json=as_json)


@commands.command(short_help="Verify bundles, and judge claims.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html", "in-toto"]),
    default="text",
    show_default=True,
    help="in-toto: unsigned statements with the Test Result predicate, one a line.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit code only.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="NAME",
    help="Judge its claims: a name from results/published/, or a file. Repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Set a parameter of the reference, such as gpu-price-usd=650.",
)
@click.option(
    "--tokenizer",
    "tokenizers",
    multiple=True,
    type=FILE,
    help="A model's tokenizer.json, to compare texts with token ids. Repeatable; twins need none.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    help="Processes; by default as many as cores. Claims are judged by one.",
)
def verify(**options: Any) -> int:
    """Verify bundles by recomputing all that can be recomputed, and judge claims from them."""
    from kit.cli.verify import VerifyOptions, verify

    return verify(VerifyOptions(**options))


@commands.command(short_help="Verify the accepted bundles again.")
@click.option("--update", is_flag=True, help="Write the verdict instead of comparing.")
def results(update: bool) -> int:
    """Verify all accepted bundles again, and compare the verdict with the committed one."""
    from kit.cli.results import results

    return results(update=update)


@commands.command(short_help="Check a publication's own figures.")
@click.argument("name")
@click.option("--raw", type=FOLDER, help="Folder of the author's data files, to check too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def audit(name: str, raw: Path | None, as_json: bool) -> int:
    """Check published figures against each other, other runs and public facts; measure nothing."""
    from kit.cli.audit import audit

    return audit(name, raw, as_json=as_json)


@commands.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=FILE, required=True, help="FILE.tar.zst or FILE.tar.gz.")
def pack(path: Path, output: Path) -> int:
    """Pack a valid bundle into one file, which `verify` and `report` read as it is."""
    from kit.cli.pack import pack

    return pack(path, output)


@commands.command(short_help="Prepare a bundle for handing in.")
@click.argument("path", type=click.Path(path_type=Path))
def submit(path: Path) -> int:
    """Verify a bundle, show what would be published, and pack it into results/community."""
    from kit.cli.submit import submit

    return submit(path)


@commands.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=FOLDER, help="Folder for page and charts; by default results/report."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "csv", "json"]),
    default="html",
    show_default=True,
    help="All but html are printed.",
)
@click.option("--slo", metavar="TERMS", help="Of agents: ttft=1s,tpot=20ms,e2e=30s; adds goodput.")
def report(paths: tuple[Path, ...], output: Path | None, form: str, slo: str | None) -> int:
    """Render a page with charts from bundles, or the same figures as text."""
    from kit.cli.report import report

    return report(paths, output, form, slo)


@commands.command(hidden=True)
@click.option("-o", "--output", type=FILE, required=True, help="File to write.")
@click.option("--until", type=FILE, required=True, help="Stop when this file exists.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.1, 60.0),
    default=1.0,
    show_default=True,
    help="Seconds between samples.",
)
def telemetry(output: Path, until: Path, interval_s: float) -> int:
    """Sample clocks, power, temperature and links of the GPUs until stopped."""
    from kit.edge.host import sampler

    sampler.sample(output, until, interval_s)
    return ExitCode.DONE
