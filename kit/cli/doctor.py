"""`kit doctor`: shows what this machine can run, what it lacks, and how to get it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import click

from kit import __version__
from kit.edge.files import checkout
from kit.edge.host import machine
from kit.errors import ExitCode
from kit.format import canonical
from kit.report.escape import printable
from kit.run import readiness
from kit.run.readiness import Lack, MachineFacts, Readiness


def doctor(topology: str | None, *, as_json: bool) -> int:
    """Print the machine's facts and every cell's readiness, or one topology's.

    Returns 4 where none of them can run.
    """
    facts = machine.look()
    names = [topology] if topology else [path.stem for path in checkout.compose_files()]
    topologies = {name: checkout.topology(name) for name in names}
    cells = readiness.examine(facts, topologies, checkout.yardsticks().shapes, machine.named_gpus())
    if as_json:
        document = {"kit_version": __version__, "machine": facts, "cells": cells}
        click.echo(canonical.encode(document), nl=False)
    else:
        click.echo("\n".join((*_facts(facts), "", *_cells(cells))))
    can_run = any(not cell.lacks for cell in cells)
    return ExitCode.DONE if can_run else ExitCode.MACHINE_LACKS


def _facts(facts: MachineFacts) -> Iterator[str]:
    yield f"system   {facts.system}, {facts.machine}, {facts.cores} cores"
    memory = "unknown" if facts.memory_bytes is None else f"{facts.memory_bytes / 1e9:.0f} GB"
    yield f"memory   {memory}; {facts.free_bytes / 1e9:.0f} GB of disk free here"
    if facts.docker is None:
        yield f"docker   no answer: {facts.docker_fault or 'no docker command'}"
    else:
        compose = facts.docker.compose_version or "none"
        toolkit = "installed" if facts.docker.has_nvidia_runtime else "not installed"
        engine = f"{'Podman ' if facts.docker.is_podman else ''}{facts.docker.version}"
        yield f"docker   {engine}, compose {compose}, NVIDIA toolkit {toolkit}"
    if facts.gpus is None:
        yield f"gpus     none: {facts.gpu_fault or 'no driver'}"
        return
    yield f"driver   {facts.gpus.driver_version}, CUDA {facts.gpus.cuda_driver_version}"
    for gpu in facts.gpus.gpus:
        links = "unknown" if gpu.nvlink_links_active is None else str(gpu.nvlink_links_active)
        memory = f"{(gpu.memory_bytes or 0) / 2**30:.1f} GiB"
        yield f"gpu {gpu.index}    {printable(gpu.name)}, {memory}, NVLink links up: {links}"


def _cells(cells: Sequence[Readiness]) -> Iterator[str]:
    """Yield a line for each cell, and each lack once with the cells that it affects."""
    affected: dict[Lack, list[str]] = defaultdict(list)
    for cell in cells:
        name = f"{cell.model} x {cell.topology} ({cell.runtime})"
        yield f"{'needs' if cell.lacks else 'ready'}  {name}"
        for lack in cell.lacks:
            affected[lack].append(name)
    for lack, names in affected.items():
        yield f"\nneeds {lack.what}"
        yield f"  for   {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        yield f"  next  {lack.next_step}"
    if ready := [cell for cell in cells if not cell.lacks]:
        topology = ready[0].topology
        models = dict.fromkeys(cell.model for cell in ready if cell.topology == topology)
        yield f"\nready to measure:  make bench TOPOLOGY={topology} MODEL={','.join(models)}"
