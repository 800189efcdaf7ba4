"""`kit plan`: prints what `kit bench` would run."""

from collections.abc import Iterator

import click

from kit.edge.cells import DEFAULT_TOPOLOGY, CellChoices, planned_cells
from kit.edge.host import probes
from kit.errors import ExitCode
from kit.format import canonical
from kit.plan.plan import Plan


def plan(choices: CellChoices, *, as_json: bool) -> int:
    """Print the plans: as JSON complete, otherwise in short."""
    announce_default(choices)
    for cell in planned_cells(choices):
        if as_json:
            click.echo(canonical.encode(cell.plan), nl=False)
        else:
            click.echo(describe(cell.plan))
    return ExitCode.DONE


def announce_default(choices: CellChoices) -> None:
    """Say which topology is taken where none was chosen."""
    if choices.topology is not None:
        return
    reason = (
        "an NVIDIA GPU is here; use it with TOPOLOGY=tp1 once `make doctor` calls that ready"
        if probes.has_nvidia_gpu()
        else "no NVIDIA GPU here"
    )
    click.echo(f"{reason}: taking the CPU default, {DEFAULT_TOPOLOGY}", err=True)


def describe(plan: Plan) -> str:
    """Return a plan in short, as lines."""
    return "\n".join(
        (
            f"{plan.cell}   plan {plan.digest()[:16]}",
            *_protocol_lines(plan),
            *_engine_lines(plan),
            *_deviation_lines(plan),
        )
    )


def _protocol_lines(plan: Plan) -> Iterator[str]:
    sampling = plan.sampling
    yield (
        f"  protocol    {plan.protocol.value}: {plan.warmup_passes} warm-up, "
        f"{plan.measured_passes} measured, {plan.stream_passes} streaming; "
        f"connection {plan.connection.value}, cache {plan.cache.value}"
    )
    yield f"  prompts     {' '.join(prompt.id for prompt in plan.prompts)}"
    yield f"  max_tokens  {sampling.max_tokens} (published: {plan.published_max_tokens})"
    yield (
        f"  sampling    temperature {sampling.temperature}, top_p {sampling.top_p}, "
        f"top_k {sampling.top_k}, repetition_penalty {sampling.repetition_penalty}, "
        f"seed {plan.seed}"
    )


def _engine_lines(plan: Plan) -> Iterator[str]:
    if plan.engine is None:
        return
    yield f"  engine      {' '.join(plan.engine.command)}"
    yield "              (in a container; as a process with this machine's folders, port and cores)"
    for name, value in plan.engine.environment:
        yield f"              {name}={value}"


def _deviation_lines(plan: Plan) -> Iterator[str]:
    for deviation in plan.deviations:
        yield f"  deviates    {deviation.what}"
        yield f"              because {deviation.why}"
