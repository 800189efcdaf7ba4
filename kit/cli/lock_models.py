"""`kit lock-models`: ships the list of a model's files, for maintainers."""

from dataclasses import replace

import click
import msgspec

from kit.cli.progress import observer
from kit.edge.docker import images
from kit.edge.files import checkout, disk
from kit.errors import ExitCode, UsageError
from kit.plan.models import ListedBy, render_file_list


def lock_models(names: tuple[str, ...], base: str | None) -> int:
    """Ask the hub for the files of models, by default of all, and print each file written."""
    say = observer(quiet=False).printed
    for name in names or sorted(checkout.hub_models()):
        model = checkout.choose("model", name, checkout.hub_models(), "kit lock-models")
        asked = replace(model, files=())
        listed = images.list_files(asked, base or checkout.base_image(), say)
        if listed.listed_by is not ListedBy.HUB:
            raise UsageError(
                "HF_ENDPOINT is not the hub itself",
                "a list that is shipped comes from the hub; a mirror may serve the files",
                f"unset HF_ENDPOINT; kit lock-models {name}",
            )
        path = checkout.shipped_file_list(name)
        shipped = msgspec.structs.replace(listed, listed_by=ListedBy.KIT)
        disk.overwrite(path, render_file_list(shipped))
        click.echo(path)
    return ExitCode.DONE
