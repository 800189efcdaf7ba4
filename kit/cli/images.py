"""`kit images`: builds the images of a topology, as `bench` does before it measures."""

from dataclasses import replace

import click

from kit.bundle.document import Runtime
from kit.cli.progress import observer
from kit.edge.cells import CellChoices, planned_cells
from kit.edge.files import checkout
from kit.edge.prepare import Sources, prepare
from kit.errors import ExitCode


def images(choices: CellChoices, base: str | None, registry: str | None) -> int:
    """Build or pull what is missing, and print the names of the images."""
    cells = planned_cells(replace(choices, runtime=Runtime.DOCKER.value))
    say = observer(quiet=False).printed
    prepared = prepare(cells, Sources(base=base or checkout.base_image(), registry=registry), say)
    for name, value in prepared.variables.items():
        if "IMAGE" in name:
            click.echo(value)
    return ExitCode.DONE
