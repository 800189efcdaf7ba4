"""What kind of run is simulated, and when."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kit.bundle.document import Runtime
from kit.check.evidence import Catalog
from kit.plan.options import Options
from kit.plan.plan import CachePolicy, Dialect, Engine, ProtocolName, filled, option
from kit.plan.topology import Device
from kit.roofline.model import Shape, shape_of
from tests.catalog import CATALOG, SUITE, TWIN, options_of

START = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
"""The start of every simulated run."""

BLOCK_TOKENS = 16
"""Tokens in a block of the KV cache on GPUs, and here wherever the plan has no block size."""

KV_TOKENS = {("moe", 1): 49_152, ("dense", 1): 16_384, ("dense", 2): 78_128}
"""Tokens of the KV cache that 24 GiB a card hold beside the weights, by model and ranks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What kind of run is simulated.

    A run with `stop_after` stops after so many records, with one more that failed. The plan is made
    from `catalog`: the one of the tests, or the checkout's own. `encode` tokenizes prompts; None
    takes the tokenizer of the tests.
    """

    protocol: ProtocolName = ProtocolName.KIT
    cache: CachePolicy = CachePolicy.WARM
    runtime: Runtime = Runtime.PROCESS
    dialect: Dialect = Dialect.VLLM
    has_metrics: bool = True
    is_shared: bool = False
    tells_cached_tokens: bool = True
    passes: int | None = 3
    stop_after: int | None = None
    seed: int = 1
    topology: str = "cpu-tp1"
    model: str = TWIN.id
    rehearsal: bool = False
    suite: str = SUITE.id
    agents: int | None = None
    duration_s: float | None = None
    tokens: int | None = None
    eager: bool = False
    prefix_caching: bool = True
    catalog: Catalog = CATALOG
    encode: Callable[[str], Sequence[int]] | None = None

    @property
    def engine(self) -> Engine:
        """The engine that the topology's Compose file describes, with the options of the run."""
        sequences = option(filled(self.template, None), "max-num-seqs") or math.inf
        options = Options(
            max_num_seqs=self.agents if sequences < (self.agents or 1) else None,
            enforce_eager=self.eager or None,
            enable_prefix_caching=None if self.prefix_caching else False,
        )
        return filled(self.template, options)

    @property
    def template(self) -> Engine:
        """The same, its variables not filled in."""
        return self.catalog.engines[self.topology, self.model]

    @property
    def shape(self) -> Shape | None:
        """The shape of the model, where its configuration is known."""
        return shape_of(self.catalog.models[self.model].config)

    @property
    def is_own_engine(self) -> bool:
        """Whether the kit started the engine."""
        return self.runtime is not Runtime.ENDPOINT

    @property
    def on_gpu(self) -> bool:
        """Whether the kit started an engine on GPUs."""
        return self.is_own_engine and self.engine.device is Device.GPU

    @property
    def block_tokens(self) -> int:
        """Tokens in a block of the engine's KV cache."""
        return int(options_of(self.engine).get("block_size", BLOCK_TOKENS))

    @property
    def kv_tokens(self) -> int:
        """Tokens of the engine's KV cache: on CPU as many as whole blocks of its space hold."""
        engine, shape = self.engine, self.shape
        space_gib = dict(engine.environment).get("VLLM_CPU_KVCACHE_SPACE")
        ranks = engine.tensor_parallel_size
        if shape is None or space_gib is None:
            context_limit = int(options_of(engine).get("max_model_len", 0))
            return max(KV_TOKENS.get((self.model, ranks), 123_456), context_limit)
        tokens = int(space_gib) * 2**30 * ranks // shape.kv_bytes_per_token
        return tokens // self.block_tokens * self.block_tokens

    def startable(self) -> "Settings":
        """Return the settings with a runtime that can start the engine: on GPUs, containers."""
        if self.runtime is Runtime.PROCESS and self.on_gpu:
            return dataclasses.replace(self, runtime=Runtime.DOCKER)
        return self


def utc(seconds: float) -> str:
    """Return the UTC time this long after the run's start."""
    return f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}Z"
