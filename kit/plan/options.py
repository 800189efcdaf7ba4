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
    enforce_eager: bool | None = None
    enable_prefix_caching: bool | None = None


VARIABLES: Mapping[str, str] = {
    "max_num_seqs": "KIT_MAX_NUM_SEQS",
    "max_model_len": "KIT_MAX_MODEL_LEN",
    "enforce_eager": "KIT_EAGER",
    "enable_prefix_caching": "KIT_PREFIX_CACHING",
}
"""The variable of the Compose files behind each option: its value, or a flag as a whole."""


def variables(options: Options) -> dict[str, str]:
    """Return the variables that are set."""
    values = {name: getattr(options, name) for name in VARIABLES}
    return {
        VARIABLES[name]: _word(name, value) for name, value in values.items() if value is not None
    }


def _word(name: str, value: int | bool) -> str:
    """Return a value, or a flag: `--enforce-eager`, `--no-enable-prefix-caching`."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    return str(value)
