"""Public facts about models and GPUs, each with its source, from `results/facts.toml`.

What follows from a model's own configuration is computed from it and not in that file.
"""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from kit.claims.claim import Id, Part, Positive, Text
from kit.claims.rounding import PrintedPositive
from kit.errors import SpecError
from kit.roofline import model as roofline


class ModelFacts(Part, frozen=True, kw_only=True):
    """What a checkpoint's own files and its model card say.

    `has_thinking_mode` is absent where the model card does not say; `format` is the method of
    quantisation, in one word. `kv_bytes_per_token` and `native_context_tokens` follow from the
    model's configuration.
    """

    kv_bytes_per_token: Positive
    native_context_tokens: Positive
    checkpoint_gb: PrintedPositive
    format: Id
    format_detail: Text
    has_thinking_mode: bool | None = None
    source: Text
    size_source: Text
    thinking_source: Text | None = None


class NvlinkFacts(Part, frozen=True, kw_only=True):
    """NVLink of a card: its links, and GB/s of one link in one direction."""

    nvlink_links: Positive
    nvlink_link_gb_s: PrintedPositive
    source: Text


class NoFact(LookupError):
    """A fact that is not in the file; the message names what it would be about."""


class Facts(Part, frozen=True, kw_only=True):
    """Models by the ids of the references, GPUs by the names that their driver reports."""

    models: dict[Id, ModelFacts]
    gpus: dict[Annotated[str, msgspec.Meta(min_length=1)], NvlinkFacts]

    def model(self, id: str) -> ModelFacts:
        """Return the facts about a model; raise `NoFact`."""
        if id not in self.models:
            raise NoFact(id)
        return self.models[id]


def parse(data: bytes, name: str, configs: Mapping[str, Mapping[str, Any]]) -> Facts:
    """Read the facts, and add what follows from the models' configurations; raise `SpecError`."""
    try:
        table = tomllib.loads(data.decode())
        for id, model in table["models"].items():
            model.update(_from_config(id, configs[id]))
        return msgspec.convert(table, Facts)
    except (KeyError, AttributeError, ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "the file was edited, or is of another version of the kit",
            f"git diff -- {name} docker/models.toml",
        ) from error


def _from_config(id: str, config: Mapping[str, Any]) -> dict[str, int]:
    shape = roofline.shape_of(config)
    if shape is None:
        raise ValueError(f"the configuration of {id} has no known shape")
    return {
        "kv_bytes_per_token": shape.kv_bytes_per_token,
        "native_context_tokens": config["max_position_embeddings"],
    }
