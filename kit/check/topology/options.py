"""What a plan's command line says: its options, and every spelling that a log may give them."""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

import msgspec

from kit.plan.plan import Engine

OF_THE_MACHINE = ("host", "model", "model_tag", "port")
"""Options that a machine fills in; they are not compared."""


SIZE = re.compile(r"[0-9]{1,9}")
"""A whole number, of GiB or tokens; longer ones are no sizes."""


@lru_cache(maxsize=4)
def planned_options(command: tuple[str, ...]) -> Mapping[str, str | None]:
    """Return the options of a plan's command, but for what is a machine's own.

    Name to its word, None for a flag without one.
    """
    found: dict[str, str | None] = {}
    last = None
    for word in command:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            last = name.replace("-", "_")
            if last.startswith("no_") and not equals:
                last, equals, value = last.removeprefix("no_"), "=", "False"
            found[last] = value if equals else None
        elif last is not None and found[last] is None:
            found[last] = word
    return {name: word for name, word in found.items() if name not in OF_THE_MACHINE}


def cpu_cache_gib(engine: Engine) -> int | None:
    """Return the space that a plan gives to the KV cache on CPU; None if it is no size."""
    space = dict(engine.environment).get("VLLM_CPU_KVCACHE_SPACE", "")
    return int(space) if SIZE.fullmatch(space) else None


def spellings(word: str | None) -> set[str]:
    """Return the JSON of every value that a word of a command line can stand for."""
    if word is None:
        return {"true"}
    found = {_json(word), _json([word])}
    if word in ("True", "False"):
        found.add(word.lower())
    for number in (int, float):
        with suppress(ValueError, OverflowError):
            found.add(_json(number(word)))
    return found


def _json(value: object) -> str:
    """Spell a value as `kit.parse.vllm_config` spells the log's."""
    return msgspec.json.encode(value).decode()
