"""A server that runs already, by its URL: the endpoint runtime."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kit.bundle.bag import Attachments
from kit.bundle.document import EngineIdentity, Runtime
from kit.edge import server_probe
from kit.edge.host import probes
from kit.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A server that the kit did not start; implements `kit.edge.session.Engine`.

    `model` is the model's name in the bundle, `served_model` that in requests.
    """

    base_url: str
    served_model: str
    model: str
    runtime: Runtime = Runtime.ENDPOINT

    @property
    def identity(self) -> EngineIdentity:
        """Unknown until the server reports its version."""
        return EngineIdentity()

    @property
    def private_words(self) -> dict[str, str]:
        """The served name, unless the bundle uses it: it may be a path with a user's name."""
        if self.served_model == self.model:
            return {}
        return probes.private_words("model", self.served_model)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Yield the base URL."""
        yield self.base_url

    def attachments(self, _origin_s: float) -> Attachments:
        """Return nothing: the kit sees no log and no device of this server."""
        return Attachments()


def find(url: str, served_model: str | None, model: str | None) -> Endpoint:
    """Return the endpoint at a URL; without `served_model`, the server must offer only one model.

    Raises `UsageError` for another URL, or where the model is not clear, and `MachineError` where
    no server answers.
    """
    base_url = server_probe.base_url(url)
    served_model = served_model or _only_model(base_url)
    return Endpoint(
        base_url=base_url, served_model=served_model, model=model or _public_name(served_model)
    )


def _only_model(base_url: str) -> str:
    models = server_probe.served_models(base_url)
    if len(models) > 1:
        raise UsageError(
            f"the endpoint serves {len(models)} models",
            f"one of: {', '.join(models)}",
            f"kit bench --endpoint {base_url} --served-model {models[0]}",
        )
    return models[0]


def _public_name(served_model: str) -> str:
    """Return the served name, or `unnamed` for one that looks like a path."""
    is_name = re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", served_model)
    return served_model if is_name else "unnamed"
