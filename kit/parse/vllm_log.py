"""The log of a vLLM server: how it was started, what it chose, and how often it answered.

Formats are those of vLLM 0.17.0, from its sources and, where no GPU is involved, from real logs of
its CPU build. Lines may have a prefix such as `(EngineCore_DP0 pid=7) `. There are several
expressions because one that begins with literal text is ten times as fast; every branch is bounded
in length.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from kit.parse import vllm_config
from kit.parse.vllm_config import ARGUMENTS_LIMIT_BYTES, Arguments

LOG_LIMIT_BYTES = 8 * 2**20
"""A run of an hour writes about 100 KiB; what is read is mostly at the beginning."""

DISTINCT_LIMIT = 256
"""Values of a kind; a server that is started once writes one of most kinds."""

LONG_LIMIT = 16
"""The same for arguments and configurations, which take longer to parse."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Number of ranks, and their backend of torch.distributed."""

    size: int
    backend: str


class ServerLog(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a log; each distinct value once, in the order of first appearance.

    An item of `arguments` is None if its line could not be read. `devices` are torch's names.
    `models` are the folders of model and tokenizer, `architectures` the resolved model classes.
    `settings` are the engine's, with vLLM's names and values. `rank_pids` are the ranks' process
    ids in their own namespace. `context_limits` and `kv_cache_tokens` are in tokens. `model_gib` is
    a rank's memory for its weights. `kernels` are those for 4-bit weights; `fallbacks` are messages
    that Marlin kernels cannot be used. `graph_registrations` are numbers of CUDA graph addresses
    that custom all-reduce registered, which shows its use. `gloo_peers` are numbers of ranks that a
    rank is connected to by Gloo.

    `completions` counts the answered chat completions. `is_cut` is true if limits kept part of the
    log from being read.
    """

    engine_versions: tuple[str, ...]
    arguments: tuple[Arguments | None, ...]
    context_limits: tuple[int, ...]
    devices: tuple[str, ...]
    models: tuple[str, ...]
    architectures: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    rank_pids: tuple[int, ...]
    kv_cache_tokens: tuple[int, ...]
    model_gib: tuple[float, ...]
    attention_backends: tuple[str, ...]
    kernels: tuple[str, ...]
    fallbacks: tuple[str, ...]
    custom_all_reduce_disabled: tuple[bool, ...]
    graph_registrations: tuple[int, ...]
    nccl_versions: tuple[str, ...]
    worlds: tuple[World, ...]
    gloo_peers: tuple[int, ...]
    cpu_shm_disabled: bool
    completions: int
    is_cut: bool


_MESSAGES = {
    "engine": rb"Initializing a V1 LLM engine \(v(?P<version>[^)\s]{1,64})\) "
    rb"with config: (?P<config>[^\n]{0,16384})",
    "architecture": rb"Resolved architecture: (?P<class_name>[A-Za-z0-9_]{1,80})",
    "given": rb"non-default args: (?P<given_text>[^\n]{0,%d})" % (ARGUMENTS_LIMIT_BYTES + 1),
    "kv_cache": rb"GPU KV cache size: (?P<tokens>[0-9,]{1,20}) tokens",
    "concurrency": rb"Maximum concurrency for (?P<context>[0-9,]{1,20}) tokens per request: "
    rb"[0-9]{1,9}\.[0-9]{1,4}x",
    "loading": rb"Model loading took (?P<gib>[0-9]{1,6}(?:\.[0-9]{1,6})?) GiB",
    "attention": rb"Using (?P<backend>[A-Z0-9_]{1,40}) attention backend out of potential",
    "linear": rb"Using (?P<linear_kernel>[A-Za-z0-9_]{1,60}) for CompressedTensorsWNA16\b",
    "experts": rb"Using (?P<method>CompressedTensorsWNA16[A-Za-z]{0,20}MoEMethod)\b",
    "convertible": rb"The model is convertible to (?P<to>[a-z_]{1,30}) during runtime\. Using",
    "fallback": rb"(?P<why>Layer '[^'\n]{0,120}' is not supported by AWQ(?:Moe)?Marlin"
    rb"|Detected that the model can run with [a-z_]{0,20}marlin, however)",
    "graphs": rb"Registering (?P<addresses>[0-9]{1,9}) cuda graph addresses",
    "nccl": rb"vLLM is using nccl==(?P<nccl_version>[0-9]{1,3}(?:\.[0-9]{1,3}){1,3})",
    "world": rb"world_size=(?P<size>[0-9]{1,6}) rank=[0-9]{1,6} local_rank=-?[0-9]{1,6} "
    rb"distributed_init_method=[^\s]{0,200} backend=(?P<over>[a-z:,_]{1,40})",
    "cpu_shm": rb"CPU SHM communicator disabled for group ",
}
_FACT = re.compile(
    rb"\] (?=[A-Zvnw])(?:"  # what every message of vLLM's follows: `[file.py:line] `
    + b"|".join(b"(?P<%s>%s)" % (name.encode(), form) for name, form in _MESSAGES.items())
    + rb")"
)
_GLOO = re.compile(
    rb"\[Gloo\] (?P<gloo>Rank [0-9]{1,6} is connected to (?P<peers>[0-9]{1,6}) peer ranks)"
)
_RANK = re.compile(
    rb" pid=(?P<rank>(?P<pid>[0-9]{1,10})\) [A-Z]{4,8} [0-9: -]{14} "
    rb"\[[a-z_]{1,40}\.py:[0-9]{1,6}\] world_size=)"
)
_COMPLETION = b'"POST /v1/chat/completions HTTP/1.1" 200'


def read(log: bytes) -> ServerLog:
    """Read a log; lines of unknown form are skipped, so another release's may give little."""
    facts = _Facts()
    for form in (_FACT, _GLOO, _RANK):
        for match in form.finditer(log, 0, LOG_LIMIT_BYTES):
            facts.add(match)
    values = {field: tuple(facts.values[field]) for field in _FIELDS}
    return ServerLog(
        **values,
        cpu_shm_disabled=bool(facts.values["cpu_shm_disabled"]),
        completions=log.count(_COMPLETION, 0, LOG_LIMIT_BYTES),
        is_cut=facts.is_cut or len(log) > LOG_LIMIT_BYTES,
    )


class _Facts:
    """Values by field of `ServerLog` so far, and whether there were too many to keep.

    Each distinct text is parsed once. Texts are limited too, since many may have the same value.
    """

    def __init__(self) -> None:
        self.values: defaultdict[str, dict[Any, None]] = defaultdict(dict)
        self.is_cut = False
        self._texts: defaultdict[tuple[str, str], set[bytes]] = defaultdict(set)

    def add(self, match: re.Match[bytes]) -> None:
        """Keep the values of one line."""
        for field, group, values in _READERS[match.lastgroup or ""]:
            text, texts = match[group], self._texts[field, group]
            if text in texts:
                continue
            if len(texts) == _LIMITS.get(group, DISTINCT_LIMIT):
                self.is_cut = True
                continue
            texts.add(text)
            for value in _values(text, values):
                self._keep(field, value)

    def _keep(self, field: str, value: object) -> None:
        values = self.values[field]
        if len(values) < DISTINCT_LIMIT:
            values[value] = None
        self.is_cut |= value not in values


def _values(text: bytes, values: "_Values") -> tuple[object, ...]:
    return tuple(values(text.decode("utf-8", "replace")))


def _word(text: str) -> Iterator[str]:
    yield text


def _whole(text: str) -> Iterator[int]:
    digits = text.replace(",", "")
    if digits:
        yield int(digits)


def _number(text: str) -> Iterator[float]:
    yield float(text)


def _world(text: str) -> Iterator[World]:
    fields = dict(pair.split("=", 1) for pair in text.split(" ") if "=" in pair)
    yield World(size=int(fields["world_size"]), backend=fields["backend"])


_Values: TypeAlias = Callable[[str], Iterator[object]]
_Reader: TypeAlias = tuple[str, str, _Values]

_READERS: dict[str, tuple[_Reader, ...]] = {
    "engine": (
        ("engine_versions", "version", _word),
        ("context_limits", "config", vllm_config.context),
        ("devices", "config", vllm_config.device),
        ("custom_all_reduce_disabled", "config", vllm_config.all_reduce_disabled),
        ("models", "config", vllm_config.models),
        ("settings", "config", vllm_config.settings),
    ),
    "architecture": (("architectures", "class_name", _word),),
    "given": (("arguments", "given_text", vllm_config.arguments),),
    "kv_cache": (("kv_cache_tokens", "tokens", _whole),),
    "concurrency": (("context_limits", "context", _whole),),
    "loading": (("model_gib", "gib", _number),),
    "attention": (("attention_backends", "backend", _word),),
    "linear": (("kernels", "linear_kernel", _word),),
    "experts": (("kernels", "method", _word),),
    "convertible": (("kernels", "to", _word),),
    "fallback": (("fallbacks", "why", _word),),
    "graphs": (("graph_registrations", "addresses", _whole),),
    "nccl": (("nccl_versions", "nccl_version", _word),),
    "world": (("worlds", "world", _world),),
    "cpu_shm": (("cpu_shm_disabled", "cpu_shm", _word),),
    "gloo": (("gloo_peers", "peers", _whole),),
    "rank": (("rank_pids", "pid", _whole),),
}
"""For each kind of line: field, group of the expression, and parser of the group's text."""

_FIELDS = {field for readers in _READERS.values() for field, _, _ in readers} - {"cpu_shm_disabled"}

_LIMITS = {"config": LONG_LIMIT, "given_text": LONG_LIMIT}
"""Limits of distinct texts of a group that are below `DISTINCT_LIMIT`."""
