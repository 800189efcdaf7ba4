"""Public facts about models and GPUs, each with its source: `results/facts.toml` as values.

What follows from a model's own configuration is not repeated there.
"""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from kit.claims.claim import Id, Positive, Text
from kit.claims.rounding import PrintedPositive
from kit.errors import SpecError
from kit.roofline import model as roofline

KIB = 1024


class _FactsPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A piece of the facts."""


class ModelFacts(_FactsPart, frozen=True, kw_only=True):
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


class NvlinkFacts(_FactsPart, frozen=True, kw_only=True):
    """NVLink of a card: its links, and GB/s of one link in one direction."""

    nvlink_links: Positive
    nvlink_link_gb_s: PrintedPositive
    source: Text


class Facts(_FactsPart, frozen=True, kw_only=True):
    """Models by the ids of the references, GPUs by the names that their driver gives them."""

    models: dict[Id, ModelFacts]
    gpus: dict[Annotated[str, msgspec.Meta(min_length=1)], NvlinkFacts]


def parse(data: bytes, name: str, configs: Mapping[str, Mapping[str, Any]]) -> Facts:
    """Read the facts, with what follows from the models' configurations; raise `SpecError`."""
    try:
        table = tomllib.loads(data.decode())
        for model, told in table["models"].items():
            told.update(_of_config(model, configs))
        return msgspec.convert(table, Facts)
    except (KeyError, AttributeError, ValueError, RecursionError) as error:
        raise SpecError(
            f"cannot use {name}: {error}",
            "the file was edited, or belongs to another version of the kit",
            f"git diff -- {name} docker/models.toml",
        ) from error


def _of_config(model: str, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    config = configs[model]
    shape = roofline.shape_of(config)
    if shape is None:
        raise ValueError(f"nothing is known of the shape of {model}")
    return {
        "kv_bytes_per_token": shape.kv_bytes_per_token,
        "native_context_tokens": config["max_position_embeddings"],
    }
