"""A simulated server: it answers requests and counts them in metrics as vLLM 0.17 does."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate

from kit.bundle.record import FinishReason, Record
from kit.plan.plan import CachePolicy, Dialect, Plan
from kit.plan.schedule import Request, is_streamed
from tests.catalog import TEXT_IDS, options_of
from tests.settings import BLOCK_TOKENS, START, Settings

OVERHEAD_S = 0.004
"""Between the engine and the client, for each request."""

QUEUED_S = 0.001
"""A request's time in the server's queue."""

PACES = {
    "moe": (1 / 168, 2e-4),
    "dense": (1 / 40, 1e-3),
    "moe-fp8": (1 / 154, 2e-4),
    "tiny": (0.02, 0.0),
    "moe-mini": (1 / 58, 0.0),
    "dense-mini": (1 / 15, 0.0),
}
"""Seconds of a token, about as published or measured, and of a prompt's token that is not cached:
about 3 to 7 times what the arithmetic of a 3090 takes at least."""


@dataclass(kw_only=True, slots=True)
class Totals:
    """What the server has counted since its start."""

    completion_tokens: float = 0.0
    prompt_tokens: float = 0.0
    cache_hits: float = 0.0
    requests: float = 0.0
    e2e_s: float = 0.0
    first_token_s: float = 0.0
    decode_s: float = 0.0
    gaps: float = 0.0
    budgets: float = 0.0
    http_s: float = 0.0


@dataclass(kw_only=True, slots=True)
class FakeServer:
    """Answers and counts requests; time passes only while it works."""

    settings: Settings
    noise: random.Random
    kv_tokens: int | None = None
    now_s: float = 0.5
    totals: Totals = field(default_factory=Totals)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    prompts_seen: set[str] = field(default_factory=set)
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Start at a moment of its own, the same in every process."""
        start = f"{self.settings.topology} {self.settings.model} {self.settings.seed}"
        self.started_s = START.timestamp() - random.Random(start).uniform(0, 1e3)

    def send(self, plan: Plan, request: Request) -> Record:
        """Answer one request with as many tokens as the plan allows."""
        prompt_ids = self._prompt_ids(plan, request)
        tokens = self.settings.tokens or plan.sampling.max_tokens
        is_cut = tokens >= plan.sampling.max_tokens
        finish_reason = FinishReason.LENGTH if is_cut else FinishReason.STOP
        ids = tuple(self.noise.randrange(1000) for _ in range(tokens))
        cached = self._cached_tokens(plan, request, len(prompt_ids))
        arrivals_s = self._work(tokens, len(prompt_ids) - cached)
        wall_s = round(arrivals_s[-1] + OVERHEAD_S + self.noise.uniform(0, 2e-4), 6)
        sent_s = round(self.now_s, 6)
        times_s = arrivals_s[0], arrivals_s[-1]
        budget = plan.sampling.max_tokens
        self.count(tokens, len(prompt_ids), cached, times_s, budget, finish_reason)
        self.now_s = sent_s + wall_s + self.noise.uniform(0.001, 0.002)
        has_ids = self.settings.dialect is Dialect.VLLM
        chunks = tuple((round(arrival_s + 0.001, 6), 1) for arrival_s in arrivals_s)
        return Record(
            phase=request.phase,
            pass_number=request.pass_number,
            prompt_id=request.prompt_id,
            seed=request.seed,
            sent_s=sent_s,
            wall_s=wall_s,
            prompt_tokens=len(prompt_ids),
            cached_tokens=(cached or None) if self.settings.tells_cached_tokens else None,
            completion_tokens=tokens,
            finish_reason=finish_reason,
            prompt_token_ids=prompt_ids if has_ids else None,
            token_ids=ids if has_ids else None,
            text="".join(f" {token_id}" for token_id in ids),
            chunks=chunks if is_streamed(plan, request.phase) else None,
        )

    def count(
        self,
        tokens: int,
        prompt_tokens: int,
        cache_hits: int,
        first_and_last_s: tuple[float, float],
        budget: int,
        finish_reason: FinishReason = FinishReason.LENGTH,
    ) -> None:
        """Count one request whose first and last token were generated after these seconds."""
        first_s, last_s = first_and_last_s
        totals = self.totals
        totals.completion_tokens += tokens
        totals.prompt_tokens += prompt_tokens
        totals.cache_hits += cache_hits
        totals.requests += 1
        totals.e2e_s += last_s
        totals.first_token_s += first_s
        totals.decode_s += last_s - first_s
        totals.gaps += tokens - 1
        totals.budgets += budget
        totals.http_s += last_s + OVERHEAD_S / 2
        self.finish_reasons[finish_reason.value] += 1

    def metrics(self) -> bytes:
        """Return the metrics of this moment; another client is counted after it, if one shares."""
        totals = self.totals
        model = f'engine="0",model_name="{self.settings.model}"'
        handler = 'handler="/v1/chat/completions",method="POST"'
        lines = [
            "# TYPE vllm:cache_config_info gauge",
            f"vllm:cache_config_info{{{self._cache_config()}}} 1.0",
            "# HELP vllm:num_requests_running Number of requests in model execution batches.",
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{{{model}}} 0.0",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total{{{model}}} {totals.completion_tokens}",
            f"vllm:generation_tokens_created{{{model}}} {self.started_s!r}",
            f"vllm:prompt_tokens_total{{{model}}} {totals.prompt_tokens}",
            f"vllm:prefix_cache_hits_total{{{model}}} {totals.cache_hits}",
            "# TYPE vllm:request_success_total counter",
            *(
                f'vllm:request_success_total{{finished_reason="{reason}",{model}}} '
                f"{self.finish_reasons[reason]}.0"
                for reason in ("stop", "length", "abort", "error")
            ),
            f"vllm:e2e_request_latency_seconds_count{{{model}}} {totals.requests}",
            f"vllm:e2e_request_latency_seconds_sum{{{model}}} {totals.e2e_s}",
            f"vllm:request_prompt_tokens_sum{{{model}}} {totals.prompt_tokens}",
            f"vllm:request_generation_tokens_sum{{{model}}} {totals.completion_tokens}",
            f"vllm:time_to_first_token_seconds_sum{{{model}}} {totals.first_token_s}",
            f"vllm:inter_token_latency_seconds_count{{{model}}} {totals.gaps}",
            f"vllm:inter_token_latency_seconds_sum{{{model}}} {totals.decode_s}",
            f"vllm:request_queue_time_seconds_sum{{{model}}} {totals.requests * QUEUED_S}",
            f"vllm:request_decode_time_seconds_sum{{{model}}} {totals.decode_s}",
            f"vllm:request_prefill_time_seconds_sum{{{model}}} {totals.first_token_s}",
            f"vllm:request_inference_time_seconds_sum{{{model}}} {totals.e2e_s}",
            f"vllm:request_params_max_tokens_sum{{{model}}} {totals.budgets}",
            f"http_request_duration_highr_seconds_count {totals.requests}",
            f"http_request_duration_highr_seconds_sum {totals.http_s}",
            f"http_request_duration_seconds_sum{{{handler}}} {totals.http_s}",
        ]
        if self.settings.is_shared:
            tokens, prompt_tokens = self.noise.randrange(1, 50), self.noise.randrange(1, 50)
            self.count(tokens, prompt_tokens, 4, (0.5, 1.5), 50)
        return ("\n".join(lines) + "\n").encode()

    def _cache_config(self) -> str:
        """Return the configuration of the KV cache, as labels."""
        settings = self.settings
        block = settings.block_tokens if settings.is_own_engine else BLOCK_TOKENS
        options = options_of(settings.engine) if settings.is_own_engine else {}
        space_gib = dict(settings.engine.environment).get("VLLM_CPU_KVCACHE_SPACE", "4")
        config = {
            "block_size": block,
            "cache_dtype": options.get("kv_cache_dtype", "auto"),
            "cpu_kvcache_space_bytes": int(space_gib) * 2**30,
            "enable_prefix_caching": settings.prefix_caching,
            "engine": 0,
            "gpu_memory_utilization": float(options.get("gpu_memory_utilization", 0.9)),
            "num_gpu_blocks": (self.kv_tokens or settings.kv_tokens) // block,
            "num_gpu_blocks_override": None,
        }
        return ",".join(f'{name}="{value}"' for name, value in config.items())

    def _prompt_ids(self, plan: Plan, request: Request) -> tuple[int, ...]:
        """Return the token ids of system message and prompt, between those of a chat template."""
        if self.settings.encode is not None:
            return tuple(self.settings.encode(f"{plan.system}\n{request.prompt}"))
        texts = (TEXT_IDS.get(plan.system, 6), TEXT_IDS.get(request.prompt, 7))
        return (5, *texts, *range(8, 5 + 150 + len(request.prompt_id)))

    def _cached_tokens(self, plan: Plan, request: Request, prompt_tokens: int) -> int:
        """Return the tokens of a repeated prompt that fill whole blocks, all but its last token."""
        is_off = plan.cache is CachePolicy.COLD or not self.settings.prefix_caching
        if is_off or request.prompt_id not in self.prompts_seen:
            self.prompts_seen.add(request.prompt_id)
            return 0
        block = self.settings.block_tokens
        return (prompt_tokens - 1) // block * block

    def _work(self, tokens: int, uncached_tokens: int) -> list[float]:
        """Return when each token is generated, in seconds: each request has its pace and jitter."""
        token_s, prompt_token_s = PACES[self.settings.model]
        pace_s = token_s * self.noise.uniform(0.995, 1.005)
        steps_s = [pace_s * self.noise.uniform(0.98, 1.02) for _ in range(tokens)]
        return list(accumulate(steps_s, initial=uncached_tokens * prompt_token_s))[1:]
