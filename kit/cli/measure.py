"""`kit measure`: what the client's container runs."""

import os
from dataclasses import dataclass
from pathlib import Path

from kit.cli.progress import PassLines, stderr_console
from kit.edge import session
from kit.edge.cells import CellChoices, planned_cells
from kit.edge.docker import container
from kit.edge.docker.container import ContainerEngine, Volumes
from kit.edge.files import disk
from kit.edge.session import RunContext
from kit.errors import ExitCode, MachineError

STATE = ".kit"
"""Beside the bundle: the output folder is the only one in the container that is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions(CellChoices):
    """Options of the command, most from variables that the Compose file sets."""

    engine_url: str
    evidence: Path
    telemetry: Path
    host_facts: Path
    output: Path


def measure(options: MeasureOptions) -> int:
    """Measure the one cell, and seal its bundle in the output folder."""
    cell = planned_cells(options)[0]
    _require_writable(options.output)
    facts = container.read_host_facts(options.host_facts)
    engine = ContainerEngine(
        base_url=options.engine_url,
        served_model=cell.plan.cell.model,
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


def _require_writable(output: Path) -> None:
    """Raise `MachineError` with the variables of the Compose files that choose this user."""
    try:
        disk.require_writable(output, 0)
    except MachineError as error:
        raise MachineError(
            error.what,
            f"the client runs as user {os.getuid()}, who may not write the folder for bundles",
            "KIT_UID=$(id -u) KIT_GID=$(id -g) docker compose -f compose/TOPOLOGY.yaml up",
        ) from error
