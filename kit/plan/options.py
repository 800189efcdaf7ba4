"""Options of an engine's start that a run may set, each a variable of the Compose files.

An option that is not set leaves the published value, which is the variable's default there.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec


class Options(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What differs from the Compose file, under the names of vLLM's own options."""

    max_num_seqs: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    max_model_len: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None


VARIABLES: Mapping[str, str] = {
    "max_num_seqs": "KIT_MAX_NUM_SEQS",
    "max_model_len": "KIT_MAX_MODEL_LEN",
}
"""The variable of the Compose files behind each option."""


def variables(options: Options) -> dict[str, str]:
    """Return the variables that are set."""
    values = {name: getattr(options, name) for name in VARIABLES}
    return {VARIABLES[name]: str(value) for name, value in values.items() if value is not None}
