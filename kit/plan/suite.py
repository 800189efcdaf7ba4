"""Suites: the prompts of a run, read from the folders of `prompts/`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import msgspec

from kit.format.fields import Name, Text
from kit.plan.spec import bad, checked


class SuiteMode(Enum):
    """How the prompts of a suite are sent."""

    SERIAL = "serial"
    CONCURRENT = "concurrent"


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user message of a suite."""

    id: Name
    text: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """Prompts, the system message sent before each, and how they are sent.

    `max_tokens` is the published budget of one request.
    """

    id: str
    mode: SuiteMode
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    system: str
    prompts: Annotated[tuple[Prompt, ...], msgspec.Meta(min_length=1)]


def parse_suite(files: Mapping[str, bytes], name: str) -> Suite:
    """Read a folder of `prompts/`: `suite.toml`, the system message, one `<id>.md` per prompt."""
    try:
        table = tomllib.loads(files["suite.toml"].decode())
        return checked(
            Suite(
                id=table["id"],
                mode=SuiteMode(table["mode"]),
                max_tokens=table["max_tokens"],
                system=_message(files[table["system"]]),
                prompts=tuple(
                    Prompt(id=key, text=_message(files[f"{key}.md"]))
                    for key in _distinct(table["prompts"])
                ),
            )
        )
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise bad(name, error) from error


def _distinct(names: list[str]) -> list[str]:
    if not isinstance(names, list) or len(set(names)) < len(names):
        raise ValueError(f"not a list of distinct names: {names!r}")
    return names


def _message(data: bytes) -> str:
    return data.decode().removesuffix("\n")
