"""`kit twins`: makes the small models that the CPU topologies serve."""

from pathlib import Path

import click

from kit.edge.files import checkout, twin_files
from kit.errors import ExitCode
from kit.plan.models import Twin


def make(models: tuple[str, ...], output: Path) -> int:
    """Make each model that is not there yet, and print its folder."""
    known = {name: one for name, one in checkout.models().items() if isinstance(one, Twin)}
    example = f"kit twins {min(known)} -o {output}"
    for model in models or tuple(known):
        twin = checkout.choose("model", model, known, example)
        click.echo(twin_files.ensure_twin(twin, output.absolute()))
    return ExitCode.DONE
