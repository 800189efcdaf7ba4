"""`kit measure`: what the client's container runs."""

from dataclasses import dataclass
from pathlib import Path

from kit.cli.progress import PassLines, stderr_console
from kit.edge import session
from kit.edge.cells import CellChoices, planned_cells
from kit.edge.docker import container
from kit.edge.docker.container import ContainerEngine, Volumes
from kit.edge.session import RunContext
from kit.errors import ExitCode

STATE = ".kit"
"""Beside the bundle: the output folder is the only one in the container that is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions:
    """Options of the command, most from variables that the Compose file sets."""

    topology: str
    model: str
    engine_url: str
    suite: str
    passes: int | None
    protocol: str
    cache: str
    timeout_s: int
    rehearsal: bool
    evidence: Path
    telemetry: Path
    host_facts: Path
    output: Path


def measure(options: MeasureOptions) -> int:
    """Measure the one cell, and seal its bundle in the output folder."""
    choices = CellChoices(
        topology=options.topology,
        models=(options.model,),
        suite=options.suite,
        passes=options.passes,
        protocol=options.protocol,
        cache=options.cache,
        timeout_s=options.timeout_s,
        runtime=None,
        rehearsal=options.rehearsal,
    )
    (cell,) = planned_cells(choices)
    facts = container.read_host_facts(options.host_facts)
    engine = ContainerEngine(
        base_url=options.engine_url,
        served_model=options.model,
        host_facts=facts,
        volumes=Volumes(evidence=options.evidence, telemetry=options.telemetry),
    )
    context = RunContext(
        results=options.output,
        state=options.output / STATE,
        observer=PassLines(stderr_console()),
        host_id=facts.host_id if facts else None,
    )
    session.run(cell.plan, engine, context)
    return ExitCode.DONE
