"""`kit twins`: makes the small models that the CPU topologies serve."""

from pathlib import Path

import click

from kit.edge.files import checkout, twin_files
from kit.errors import ExitCode
from kit.plan.models import Twin


def twins(names: tuple[str, ...], output: Path) -> int:
    """Make each twin that is missing or damaged, and print its folder."""
    valid = {name: it for name, it in checkout.models().items() if isinstance(it, Twin)}
    example = f"kit twins {min(valid)} -o {output}"
    for name in names or tuple(valid):
        twin = checkout.choose("model", name, valid, example)
        click.echo(twin_files.ensure_twin(twin, output.absolute()))
    return ExitCode.DONE
