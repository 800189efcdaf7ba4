"""`kit measure`: the client of a run in containers."""

from dataclasses import dataclass
from pathlib import Path

from kit.cli.planning import CellOptions, planned_cells
from kit.cli.progress import passes_only
from kit.edge.docker import container
from kit.edge.docker.container import Volumes
from kit.edge.session import RunContext
from kit.errors import ExitCode

STATE = ".kit"
"""Beside the bundles: nothing else in the container may be written and is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions:
    """What the Compose file, and the variables that it hands on, say of a run."""

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
    """Measure the one cell; the bundle in the output folder is all that comes of it."""
    (planned,) = planned_cells(
        CellOptions(
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
    )
    facts = container.read_host_facts(options.host_facts)
    context = RunContext(
        results=options.output,
        state=options.output / STATE,
        watch=passes_only(),
        host_id=facts.host_id if facts else None,
    )
    volumes = Volumes(evidence=options.evidence, telemetry=options.telemetry)
    container.run_in_container(planned.plan, options.engine_url, facts, volumes, context)
    return ExitCode.DONE
