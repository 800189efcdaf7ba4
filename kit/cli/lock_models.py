"""`kit lock-models`: pins the files of models of the hub."""

import os

import click

from kit.bootstrap.hub import HUB, Hub
from kit.edge.files import checkout, model_pins
from kit.errors import ExitCode


def lock_models(names: tuple[str, ...], *, from_mirror_for_tests: bool) -> int:
    """Pin models, by default all of the hub; print each file written."""
    hub = Hub(
        endpoint=os.environ.get("HF_ENDPOINT") or HUB, token=os.environ.get("HF_TOKEN") or None
    )
    if not from_mirror_for_tests:
        model_pins.require_the_hub_itself(hub)
    for name in names or sorted(checkout.hub_models()):
        model = checkout.choose("model", name, checkout.hub_models(), "kit lock-models")
        click.echo(f"{name}: asking {hub.endpoint} for {model.repository}", err=True)
        locked = model_pins.lock(checkout.former_pin(model) or model, hub)
        path = checkout.write_pin(locked)
        size = sum(file.size_bytes for file in locked.files)
        click.echo(
            f"{name}: {len(locked.files)} files, {size / 1e9:.2f} GB, at {locked.revision}",
            err=True,
        )
        click.echo(path)
    return ExitCode.DONE
