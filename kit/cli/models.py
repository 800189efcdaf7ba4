"""`kit lock-models` and `kit model-dockerfile`: models of the hub, pinned and put into images."""

import os
from collections.abc import Iterable

import click

from kit.bootstrap.hub import HUB, Hub
from kit.edge.docker import model_dockerfile
from kit.edge.files import checkout, model_pins
from kit.errors import ExitCode, UsageError
from kit.plan.models import HubModel


def lock(names: Iterable[str], *, from_mirror_for_tests: bool) -> int:
    """Pin models, by default all of the hub; print each file written."""
    hub = Hub(
        endpoint=os.environ.get("HF_ENDPOINT") or HUB, token=os.environ.get("HF_TOKEN") or None
    )
    if not from_mirror_for_tests:
        model_pins.require_the_hub_itself(hub)
    for name in names or sorted(checkout.hub_models()):
        model = checkout.choose("model", name, checkout.hub_models(), "kit lock-models")
        click.echo(f"{name}: asking {hub.endpoint} for {model.repository}", err=True)
        former = checkout.former_pin(model)
        locked = model_pins.lock(former or model, hub)
        if former is not None:
            model_pins.require_same(former, locked)
        path = checkout.write_pin(locked)
        size = sum(file.size_bytes for file in locked.files)
        click.echo(
            f"{name}: {len(locked.files)} files, {size / 1e9:.2f} GB, at {locked.revision}",
            err=True,
        )
        click.echo(path)
    return ExitCode.DONE


def dockerfile(name: str) -> int:
    """Print the Dockerfile that bakes a pinned model into a server's image."""
    model = checkout.models().get(name)
    if not isinstance(model, HubModel):
        raise UsageError(
            f"no model of the hub is called {name!r}",
            f"valid: {', '.join(sorted(checkout.hub_models()))}",
            "kit model-dockerfile moe",
        )
    click.echo(model_dockerfile.dockerfile(checkout.model_dockerfile(), model), nl=False)
    return ExitCode.DONE
