"""Configuration in a vLLM server's log: its arguments, and the engine's resulting settings.

Each function reads the text of one line. Formats are those of vLLM 0.17.0: arguments are a Python
dictionary, settings are `name=value` with commas.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

ARGUMENTS_LIMIT_BYTES = 16 * 2**10

_START_OF_CONFIG = 10_000
"""Characters that are read: what follows are nested configurations with models of their own."""

Arguments: TypeAlias = tuple[tuple[str, str], ...]
"""(name, value as JSON) of each argument that differs from its default."""

_ALL_REDUCE = re.compile(r"\bdisable_custom_all_reduce=(True|False)\b")
_DEVICE = re.compile(r"\bdevice_config=([a-z]{1,16})\b")
_CONTEXT = re.compile(r"\bmax_seq_len=([0-9]{1,12})\b")
_MODEL = re.compile(r"(?:\A|, )(?:model|tokenizer)=(['\"])(?P<folder>[^'\"\n]{1,4096})\1")
_SETTING = re.compile(
    r"\b(dtype|speculative_config|load_format|tensor_parallel_size|pipeline_parallel_size"
    r"|data_parallel_size|quantization|kv_cache_dtype|enforce_eager|trust_remote_code|seed"
    r"|enable_prefix_caching|enable_chunked_prefill)=([^,\n]{1,200})"
)
_LITERAL = re.compile(
    r"'[^'\"\\]*'|(?:True|False|None)\b|-?[0-9]+(?:\.[0-9]+)?|[][{},: ]|(?P<other>.)", re.DOTALL
)
_NAMES = {"True": "true", "False": "false", "None": "null"}


def all_reduce_disabled(config: str) -> Iterator[bool]:
    """Yield whether custom all-reduce is disabled."""
    if match := _ALL_REDUCE.search(config):
        yield match[1] == "True"


def device(config: str) -> Iterator[str]:
    """Yield torch's name of the device."""
    if match := _DEVICE.search(config):
        yield match[1]


def models(config: str) -> Iterator[str]:
    """Yield the folders of model and tokenizer."""
    for match in _MODEL.finditer(config, 0, _START_OF_CONFIG):
        yield match["folder"]


def settings(config: str) -> Iterator[tuple[str, str]]:
    """Yield the first value of each setting: later ones may be inside another's value."""
    values: dict[str, str] = {}
    for name, value in _SETTING.findall(config[:_START_OF_CONFIG]):
        values.setdefault(name, value)
    yield from values.items()


def context(config: str) -> Iterator[int]:
    """Yield the context limit in tokens."""
    if match := _CONTEXT.search(config):
        yield int(match[1])


def arguments(text: str) -> Iterator[Arguments | None]:
    """Yield the arguments of a Python dictionary; None if it has other than plain values."""
    words = _LITERAL.finditer(text)
    if len(text) > ARGUMENTS_LIMIT_BYTES or any(word["other"] is not None for word in words):
        yield None
        return
    as_json = _LITERAL.sub(lambda word: _NAMES.get(word[0], word[0].replace("'", '"')), text)
    try:
        given = msgspec.json.decode(as_json, type=dict[str, Any])
        yield tuple((name, msgspec.json.encode(value).decode()) for name, value in given.items())
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        yield None
