"""`kit model-dockerfile`: prints the Dockerfile that bakes a pinned model into a server's image."""

import click

from kit.edge.docker.model_dockerfile import dockerfile
from kit.edge.files import checkout
from kit.errors import ExitCode


def model_dockerfile(name: str) -> int:
    """Print the Dockerfile."""
    model = checkout.choose("model", name, checkout.hub_models(), "kit model-dockerfile moe")
    click.echo(dockerfile(checkout.model_dockerfile(), checkout.pinned(model)), nl=False)
    return ExitCode.DONE
