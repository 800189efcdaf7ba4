"""Good bundles without an engine: a simulated server answers a real plan, by the kit's own rules.

What comes out obeys every check. Tests change one thing of a draft, or of the sealed files, and
look for the code that names the change.
"""

import dataclasses
import hashlib
import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from kit.bundle import bag, telemetry
from kit.bundle.bag import Attachments
from kit.bundle.document import (
    SCHEMA_VERSION,
    Clock,
    Document,
    EngineIdentity,
    Failure,
    Host,
    Load,
    ModelFile,
    Runtime,
    Status,
)
from kit.bundle.host_facts import BASE_LABEL, Container, DeviceRequest, HostFacts
from kit.bundle.record import ErrorCode, FinishReason, Record
from kit.bundle.telemetry import Telemetry
from kit.check.evidence import Catalog
from kit.check.finding import Outcome, Verdict
from kit.check.topology.options import planned_options
from kit.check.verify import Known, known, verify
from kit.format import canonical
from kit.parse import detokenizer, vllm_metrics
from kit.plan import plan, schedule
from kit.plan.models import Twin, parse_models
from kit.plan.plan import CachePolicy, Choices, Dialect, Engine, Plan, ProtocolName
from kit.plan.schedule import Phase, Request
from kit.plan.suite import Prompt, Suite, SuiteMode
from kit.plan.topology import Device, Transport
from kit.roofline import gpus
from kit.roofline import model as roofline
from tests.gpu_evidence import (
    MATRIX,
    NCCL_LOGS,
    access_log,
    gpu_engine,
    server_log,
    telemetry_of,
    throughput_log,
)

ROOT = Path(__file__).resolve().parents[1]

SUITE = Suite(
    id="small",
    mode=SuiteMode.SERIAL,
    system="Answer at once.",
    prompts=(
        Prompt(id="impl", text="Write a stack."),
        Prompt(id="debug", text="Mend this stack: ünïcödé."),
        Prompt(id="test", text="Test a stack."),
    ),
)

TOKENIZER_SHA256 = "7e" * 32
ASKED = {
    text: 1000 + number
    for number, text in enumerate([SUITE.system, *(prompt.text for prompt in SUITE.prompts)])
}
"""A token for the whole of each text that is asked."""

END_OF_TURN, END_OF_TEXT = 1100, 1101

SPECIALS = {END_OF_TURN: "<|im_end|>", END_OF_TEXT: "<|endoftext|>"}
PIECES = {
    **{number: f" {number}".encode() for number in range(1000)},
    **{number: text.encode() for text, number in ASKED.items()},
    1102: b" \xe2\x80",
}
TOKENIZER = detokenizer.of_vocabulary(PIECES, SPECIALS)
"""Each token is the number of its id, but for those at the end: the last is half a character."""

TWIN = Twin(
    id="tiny",
    twin_of="moe",
    seed=1,
    max_tokens=8,
    sha256="ab" * 32,
    config={},
    files={"tokenizer.json": TOKENIZER_SHA256},
)

ENGINE = Engine(
    device=Device.CPU,
    tensor_parallel_size=1,
    transport=Transport.NONE,
    command=("vllm", "serve", "/models/tiny", "--max-model-len=64", "--disable-custom-all-reduce"),
    environment=(("VLLM_CPU_OMP_THREADS_BIND", "0"),),
)

TRANSPORTS = {
    "tp1": Transport.NONE,
    "tp2-nvlink": Transport.NVLINK,
    "tp2-pcie": Transport.SHARED_MEMORY,
    "tp2-socket": Transport.SOCKET,
}
"""The GPU topologies, and what each promises."""

SHAPES = {
    name: model.config
    for name, model in parse_models((ROOT / "docker/models.toml").read_bytes(), "").items()
}
GPUS = gpus.parse_gpus((ROOT / "docker/gpus.toml").read_bytes(), "")

MODELS = {
    name: dataclasses.replace(TWIN, id=name, config=SHAPES.get(name, {}))
    for name in ("tiny", "moe", "dense", "moe-fp8")
}
"""A twin, and the GPU models with their real shapes and a twin's short responses."""

ENGINES = {
    ("cpu-tp1", TWIN.id): ENGINE,
    ("cpu-tp2", TWIN.id): replace(
        ENGINE,
        tensor_parallel_size=2,
        transport=Transport.GLOO,
        environment=(("VLLM_CPU_OMP_THREADS_BIND", "0|1"),),
    ),
    **{
        (topology, model): gpu_engine(model, transport)
        for topology, transport in TRANSPORTS.items()
        for model in MODELS
    },
}

BASE_IMAGE = "docker.io/library/python:3.11@sha256:" + "ef" * 32
CATALOG = Catalog(
    suites={SUITE.id: SUITE},
    models=MODELS,
    engines=ENGINES,
    gpus=GPUS,
    tokenizers={TOKENIZER_SHA256: TOKENIZER},
    base_image=BASE_IMAGE,
)

START = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
OVERHEAD_S = 0.004

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
KV_TOKENS = {("moe", 1): 49_152, ("dense", 1): 16_384, ("dense", 2): 78_128}
"""By model and ranks, what cards of 24 GiB hold beside the weights; else it is 123,456, or as many
as the longest request takes."""

E2E_BUCKET = "vllm:e2e_request_latency_seconds_bucket"

BLOCK_TOKENS = 16
"""Of the KV cache on a GPU, and here wherever the plan does not say."""

CLASSES = {"qwen3_moe": "Qwen3MoeForCausalLM", "qwen2": "Qwen2ForCausalLM"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What kind of run is simulated. `stop_after` records it breaks off, with a failed one.

    `catalog` is what its plan is made of: the fakes of this file, or a checkout's own. `encode` is
    a tokenizer for its prompts; None takes the fake one.
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
    catalog: Catalog = CATALOG
    encode: Callable[[str], Sequence[int]] | None = None

    @property
    def engine(self) -> Engine:
        return self.catalog.engines[self.topology, self.model]


@dataclass(kw_only=True, slots=True)
class Draft:
    """A bundle before it is sealed: what a forger would edit."""

    document: Document
    records: list[Record]
    metrics: dict[str, bytes]
    server_log: bytes | None
    nccl_log: bytes | None = None
    telemetry: Telemetry | None = None
    host_facts: HostFacts | None = None

    def seal(self) -> dict[str, bytes]:
        """Return the bag's files."""
        samples = None if self.telemetry is None else telemetry.write(self.telemetry)
        payload = bag.payload(
            self.document,
            tuple(self.records),
            self.metrics,
            Attachments(
                server_log=self.server_log,
                nccl_log=self.nccl_log,
                telemetry=samples,
                host_facts=None if self.host_facts is None else canonical.encode(self.host_facts),
            ),
        )
        return bag.seal(payload)


@dataclass(kw_only=True, slots=True)
class FakeServer:
    """Counts what it is asked for, as vLLM does; time passes only while it works."""

    settings: Settings
    noise: random.Random
    kv_tokens: int | None = None
    now_s: float = 0.5
    counters: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            (
                "generation",
                "prompt",
                "hits",
                "requests",
                "end_to_end_s",
                "first_token_s",
                "between_tokens_s",
                "steps",
                "inference_s",
                "budgets",
                "http_s",
            ),
            0.0,
        )
    )
    latencies_s: list[float] = field(default_factory=list)
    gap_counts: list[int] = field(default_factory=lambda: [0] * len(GAP_BOUNDS_S))
    ended: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Start at a moment of its own, without a throw of the dice that others are made with."""
        start = f"{self.settings.topology} {self.settings.model} {hash(self.noise.getstate())}"
        self.started_s = START.timestamp() - random.Random(start).uniform(0, 1e3)

    def send(self, planned: Plan, request: Request) -> Record:
        """Answer one request with its whole token budget."""
        prompt_ids = self._asked(planned, request)
        tokens = planned.sampling.max_tokens
        ids = tuple(self.noise.randrange(1000) for _ in range(tokens))
        cached = self._cached(planned, request, len(prompt_ids))
        arrivals_s = self._work(tokens, len(prompt_ids) - cached)
        server_s = arrivals_s[-1]
        wall_s = round(server_s + OVERHEAD_S + self.noise.uniform(0, 2e-4), 6)
        sent_s = round(self.now_s, 6)
        self._count(tokens, len(prompt_ids), cached, (arrivals_s[0], server_s), tokens)
        self._count_gaps(arrivals_s)
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
            finish_reason=FinishReason.LENGTH,
            prompt_token_ids=prompt_ids if has_ids else None,
            token_ids=ids if has_ids else None,
            text="".join(f" {token_id}" for token_id in ids),
            chunks=chunks if request.phase is Phase.STREAM else None,
        )

    def metrics(self) -> bytes:
        """Return the counters as vLLM 0.17 words them."""
        label = f'{{engine="0",model_name="{self.settings.model}"}}'
        handler = '{handler="/v1/chat/completions",method="POST"}'
        lines = [
            self._cache_config(),
            "# HELP vllm:num_requests_running Number of requests in model execution batches.",
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{label} 0.0",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total{label} {self.counters['generation']}",
            f"vllm:generation_tokens_created{label} {self.started_s!r}",
            f"vllm:prompt_tokens_total{label} {self.counters['prompt']}",
            f"vllm:prefix_cache_hits_total{label} {self.counters['hits']}",
            *self._finished(label),
            *e2e_buckets(self.latencies_s),
            f"vllm:e2e_request_latency_seconds_count{label} {self.counters['requests']}",
            f"vllm:e2e_request_latency_seconds_sum{label} {self.counters['end_to_end_s']}",
            f"vllm:request_prompt_tokens_sum{label} {self.counters['prompt']}",
            f"vllm:request_generation_tokens_sum{label} {self.counters['generation']}",
            f"vllm:time_to_first_token_seconds_sum{label} {self.counters['first_token_s']}",
            *gap_buckets(self.gap_counts),
            f"vllm:inter_token_latency_seconds_count{label} {self.counters['steps']}",
            f"vllm:inter_token_latency_seconds_sum{label} {self.counters['between_tokens_s']}",
            f"vllm:request_decode_time_seconds_sum{label} {self.counters['between_tokens_s']}",
            f"vllm:request_prefill_time_seconds_sum{label} {self.counters['first_token_s']}",
            f"vllm:request_inference_time_seconds_sum{label} {self.counters['inference_s']}",
            f"vllm:request_params_max_tokens_sum{label} {self.counters['budgets']}",
            f"http_request_duration_highr_seconds_count {self.counters['requests']}",
            f"http_request_duration_highr_seconds_sum {self.counters['http_s']}",
            f"http_request_duration_seconds_sum{handler} {self.counters['http_s']}",
        ]
        if self.settings.is_shared:
            generated, prompt = self.noise.randrange(1, 50), self.noise.randrange(1, 50)
            self._count(generated, prompt, 4, (0.5, 1.5), 50)
        return ("\n".join(lines) + "\n").encode()

    def _count_gaps(self, arrivals_s: Sequence[float]) -> None:
        """Count gaps between tokens as Prometheus does, each in all buckets from its own on."""
        gaps_s = sorted(later_s - one_s for one_s, later_s in pairwise(arrivals_s))
        for place, bound_s in enumerate(GAP_BOUNDS_S):
            self.gap_counts[place] += bisect_right(gaps_s, bound_s)

    def _finished(self, label: str) -> list[str]:
        """Return the requests by why they ended, and the comment that follows."""
        counts = {"stop": 0, "length": 0, "abort": 0, "error": 0} | Counter(self.ended)
        inner = label.strip("{}")
        lines = [
            f'vllm:request_success_total{{finished_reason="{reason}",{inner}}} {count}.0'
            for reason, count in counts.items()
        ]
        return ["# TYPE vllm:request_success_total counter", *lines, "# TYPE a histogram"]

    def _cache_config(self) -> str:
        """Return the configuration of the KV cache, as labels."""
        settings = self.settings
        is_own = settings.runtime is not Runtime.ENDPOINT
        block = block_tokens(settings.engine) if is_own else BLOCK_TOKENS
        told = planned_options(settings.engine.command) if is_own else {}
        space_gib = dict(settings.engine.environment).get("VLLM_CPU_KVCACHE_SPACE", "4")
        config = {
            "block_size": block,
            "cache_dtype": told.get("kv_cache_dtype") or "auto",
            "cpu_kvcache_space_bytes": int(space_gib) * 2**30,
            "enable_prefix_caching": True,
            "engine": 0,
            "gpu_memory_utilization": float(told.get("gpu_memory_utilization") or 0.9),
            "num_gpu_blocks": (self.kv_tokens or _kv_tokens(settings)) // block,
            "num_gpu_blocks_override": None,
        }
        pairs = ",".join(f'{name}="{value}"' for name, value in config.items())
        return f"# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{{{pairs}}} 1.0"

    def _asked(self, planned: Plan, request: Request) -> tuple[int, ...]:
        """Return the ids of a prompt: system message and text in a template's words."""
        if self.settings.encode is not None:
            return tuple(self.settings.encode(f"{planned.system}\n{request.prompt}"))
        asked = (ASKED.get(planned.system, 6), ASKED.get(request.prompt, 7))
        return (5, *asked, *range(8, 5 + 150 + len(request.prompt_id)))

    def _cached(self, planned: Plan, request: Request, prompt_tokens: int) -> int:
        if planned.cache is CachePolicy.COLD or request.prompt_id not in self.seen:
            self.seen.add(request.prompt_id)
            return 0
        block = block_tokens(self.settings.engine)
        return (prompt_tokens - 1) // block * block

    def _work(self, tokens: int, uncached: int) -> list[float]:
        """Return when each token is done, in seconds: a pace of the request's own, and jitter."""
        token_s, prompt_token_s = PACES[self.settings.model]
        pace_s = token_s * self.noise.uniform(0.995, 1.005)
        steps_s = [pace_s * self.noise.uniform(0.98, 1.02) for _ in range(tokens)]
        return list(accumulate(steps_s, initial=uncached * prompt_token_s))[1:]

    def _count(
        self,
        generated: int,
        prompt: int,
        hits: int,
        first_and_last_s: tuple[float, float],
        budget: int,
        ended: FinishReason = FinishReason.LENGTH,
    ) -> None:
        first_s, last_s = first_and_last_s
        self.counters["generation"] += generated
        self.counters["prompt"] += prompt
        self.counters["hits"] += hits
        self.counters["requests"] += 1
        self.counters["end_to_end_s"] += last_s
        self.latencies_s.append(last_s)
        self.ended.append(ended.value)
        self.counters["first_token_s"] += first_s
        self.counters["between_tokens_s"] += last_s - first_s
        self.counters["steps"] += generated - 1
        self.counters["inference_s"] += last_s
        self.counters["budgets"] += budget
        self.counters["http_s"] += last_s + OVERHEAD_S / 2


GAP_BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, math.inf)
"""As vLLM 0.17 has them, up to a second (vllm/v1/metrics/loggers.py)."""


def gap_buckets(counts: Sequence[int]) -> list[str]:
    """Return the lines of the histogram in which vLLM counts gaps between tokens."""
    return [
        f'vllm:inter_token_latency_seconds_bucket{{engine="0",le="{_bound(bound_s)}"}} {count}.0'
        for bound_s, count in zip(GAP_BOUNDS_S, counts, strict=True)
    ]


def _bound(bound_s: float) -> str:
    return str(bound_s).replace("inf", "+Inf")


def e2e_buckets(latencies_s: Sequence[float]) -> list[str]:
    """Return the lines of the histogram in which vLLM counts requests by their latency."""
    bounds_s = vllm_metrics.E2E_BOUNDS_S
    counts = [sum(each <= bound_s for each in latencies_s) for bound_s in bounds_s]
    labels = [f'engine="0",le="{str(bound).replace("inf", "+Inf")}"' for bound in bounds_s]
    return [
        f'{E2E_BUCKET}{{{label},model_name="tiny"}} {count}.0'
        for label, count in zip(labels, counts, strict=True)
    ]


def block_tokens(engine: Engine) -> int:
    """Return the tokens in a block of an engine's KV cache."""
    return int(planned_options(engine.command).get("block_size") or BLOCK_TOKENS)


def draft(settings: Settings | None = None) -> Draft:
    """Simulate one run; the kit starts GPU topologies in containers only."""
    settings = _startable(settings or Settings())
    planned = planned_by(settings)
    server = FakeServer(settings=settings, noise=random.Random(settings.seed))
    records, metrics = _walk(settings, planned, server)
    end_s = round(server.now_s + 0.5, 6)
    is_process = settings.runtime is not Runtime.ENDPOINT
    document = Document(
        schema_version=SCHEMA_VERSION,
        kit_version="0.1.0",
        status=Status.COMPLETE if settings.stop_after is None else Status.PARTIAL,
        failure=None if settings.stop_after is None else Failure(stage="measure", code="timed-out"),
        runtime=settings.runtime,
        host_id="0123456789abcdef" * 2,
        plan=planned,
        plan_digest=planned.digest(),
        run_salt="5a" * 16 if settings.cache is CachePolicy.COLD else None,
        clock=Clock(start_utc=utc(0.0), end_utc=utc(end_s), end_s=end_s),
        engine=_identity(settings),
        host=_host(),
        packages={"msgspec": "0.21.0"},
        absent=_absent(settings, is_process, bool(metrics)),
    )
    made = Draft(document=document, records=records, metrics=metrics, server_log=None)
    if is_process:
        made.server_log = logged(records, settings)
    if settings.runtime is Runtime.DOCKER:
        made.host_facts = host_facts(document, settings)
    if is_process and settings.engine.device is Device.GPU:
        made.nccl_log = NCCL_LOGS.get(settings.engine.transport)
        made.telemetry = telemetry_of(utc(0.0), end_s)
    return made


def logged(records: Iterable[Record], settings: Settings, kv_tokens: int | None = None) -> bytes:
    """Return the log of a server that answered these records."""
    answered = [one for one in records if one.error is None]
    ends_s = [one.sent_s + one.wall_s for one in answered]
    moments = (START + timedelta(seconds=end_s) for end_s in ends_s)
    each_ten_s = range(10, int(max(ends_s, default=0)) + 1, 10)
    rates = ((START + timedelta(seconds=at_s), _rate(answered, at_s)) for at_s in each_ten_s)
    model = settings.catalog.models[settings.model]
    model_class = CLASSES.get(model.config.get("model_type", ""))
    tokens = kv_tokens or _kv_tokens(settings)
    held_gib = _held_gib(settings, tokens)
    started = server_log(settings.engine, settings.model, model_class, tokens, held_gib)
    log = started + throughput_log(rates) + access_log(moments)
    return log.replace(b"pid=8", b"pid=%d" % (8 + settings.seed))  # no two starts have one


def _rate(records: Iterable[Record], at_s: float) -> float:
    """Return the tokens per second of the last ten, as if each response came evenly."""
    tokens = 0.0
    for one in records:
        since_s, until_s = max(one.sent_s, at_s - 10), min(one.sent_s + one.wall_s, at_s)
        tokens += (one.completion_tokens or 0) * max(0.0, until_s - since_s) / one.wall_s
    return tokens / 10


def _held_gib(settings: Settings, kv_tokens: int) -> tuple[float, float] | None:
    """Return a rank's share of the weights and of the cache of a model whose shape is known."""
    shape = roofline.shape_of(settings.catalog.models[settings.model].config)
    if shape is None:
        return None
    step = roofline.step_bytes(shape, shape.experts)
    whole = step + shape.output_weights * shape.plain_bytes  # the embedding has as many
    each = settings.engine.tensor_parallel_size * 2**30
    return whole / each, kv_tokens * shape.kv_bytes_per_token / each


def _kv_tokens(settings: Settings) -> int:
    """Return the tokens of the KV cache: on CPU what whole blocks of its space hold."""
    engine = settings.engine
    shape = roofline.shape_of(settings.catalog.models[settings.model].config)
    space_gib = dict(engine.environment).get("VLLM_CPU_KVCACHE_SPACE")
    if shape is None or space_gib is None:
        longest = int(planned_options(engine.command).get("max_model_len") or 0)
        return max(KV_TOKENS.get((settings.model, engine.tensor_parallel_size), 123_456), longest)
    tokens = int(space_gib) * 2**30 * engine.tensor_parallel_size // shape.kv_bytes_per_token
    block = block_tokens(engine)
    return tokens // block * block


def host_facts(document: Document, settings: Settings) -> HostFacts:
    """Return what the host would have written of a run in containers."""
    ranks = settings.engine.tensor_parallel_size
    gpus = DeviceRequest(
        driver="nvidia", device_ids=tuple(map(str, range(ranks))), capabilities=("gpu",)
    )
    looks = replace(gpus, capabilities=("utility",))
    on_gpu = settings.engine.device is Device.GPU
    return HostFacts(
        host_id=document.host_id,
        docker_version="26.1.5",
        compose_version="2.26.1",
        containers=(
            _container(f"client-{settings.model}"),
            _container(settings.model, *([gpus] if on_gpu else [])),
            *([_container(f"telemetry-{settings.model}", looks)] if on_gpu else []),
        ),
        model_files=document.engine.model_files or (),
        gpu_processes=() if on_gpu else None,
        topology_matrix=MATRIX if on_gpu else None,
    )


def _container(service: str, *requests: DeviceRequest) -> Container:
    kind = "client" if service.startswith(("client-", "telemetry-")) else service
    return Container(
        service=service,
        image=f"kit/{kind}:0.1.0",
        image_id=f"sha256:{hashlib.sha256(kind.encode()).hexdigest()}",
        image_digest="sha256:" + "cd" * 32,
        image_labels={BASE_LABEL: BASE_IMAGE},
        device_requests=requests,
        memory_bytes=2**31,
        pids=256,
        shm_bytes=2**30,
        read_only=True,
        capabilities_dropped=("ALL",),
    )


def planned_by(settings: Settings) -> Plan:
    """Return the plan of a kind of run."""
    choices = Choices(
        protocol=settings.protocol,
        passes=settings.passes,
        cache=settings.cache,
        rehearsal=settings.rehearsal,
    )
    suite = settings.catalog.suites[settings.suite]
    if settings.runtime is not Runtime.ENDPOINT:
        model = settings.catalog.models[settings.model]
        return plan.plan_engine(model, settings.engine, settings.topology, suite, choices)
    return plan.plan_endpoint("some/model", suite, choices, settings.dialect, 16)


def utc(seconds: float) -> str:
    """Return the UTC time this long after the simulated run's start."""
    return f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}Z"


def known_here() -> Known:
    """Return what the fakes are held against, with the project's own schemas."""
    return known(schemas(), CATALOG)


def schemas() -> dict[str, Mapping[str, Any]]:
    """Return the JSON Schemas of the checkout by name."""
    return {
        path.name.removesuffix(".schema.json"): msgspec.json.decode(path.read_bytes())
        for path in (ROOT / "schemas").glob("*.schema.json")
    }


KNOWN = known_here()


def judge(files: Mapping[str, bytes]) -> Verdict:
    """Verify some files as a bundle."""
    return verify("case", files, (), KNOWN)


def change_record(made: Draft, position: int, **changes: object) -> None:
    """Replace fields of one record of a draft."""
    made.records[position] = replace(made.records[position], **changes)


def change_plan(made: Draft, **changes: object) -> None:
    """Replace fields of the plan, and its digest with it, as a forger would."""
    changed = replace(made.document.plan, **changes)
    made.document = replace(made.document, plan=changed, plan_digest=changed.digest())


def outcomes_of(made: Draft, code: str) -> set[Outcome]:
    """Return the outcomes of a code's findings."""
    return {one.outcome for one in judge(made.seal()).findings if one.code == code}


def sealed(change: Callable[[Draft], None], settings: Settings | None = None) -> dict[str, bytes]:
    """Return the files of a good bundle that was changed before it was sealed."""
    made = draft(settings)
    change(made)
    return made.seal()


def _walk(
    settings: Settings, planned: Plan, server: FakeServer
) -> tuple[list[Record], dict[str, bytes]]:
    records: list[Record] = []
    metrics: dict[str, bytes] = {}
    wanted = list(schedule.requests(planned))
    for position, request in enumerate(wanted):
        name = f"{request.phase.value}-{request.pass_number}"
        if position % len(planned.prompts) == 0 and settings.has_metrics:
            metrics[f"{name}-before"] = server.metrics()
        if position == settings.stop_after:
            records.append(_failed(request, server.now_s))
            server.now_s += 1.0
            break
        records.append(server.send(planned, request))
        if (position + 1) % len(planned.prompts) == 0 and settings.has_metrics:
            metrics[f"{name}-after"] = server.metrics()
    return records, metrics


def _failed(request: Request, now_s: float) -> Record:
    return Record(
        phase=request.phase,
        pass_number=request.pass_number,
        prompt_id=request.prompt_id,
        seed=request.seed,
        sent_s=round(now_s, 6),
        wall_s=0.7,
        chunks=() if request.phase is Phase.STREAM else None,
        error=ErrorCode.TIMED_OUT,
    )


def _startable(settings: Settings) -> Settings:
    """Return the settings with the runtime that the kit would take for this topology."""
    if settings.runtime is Runtime.PROCESS and settings.engine.device is Device.GPU:
        return dataclasses.replace(settings, runtime=Runtime.DOCKER)
    return settings


def _identity(settings: Settings) -> EngineIdentity:
    """Return what is known of an engine: of one in a container, what the host says of its image."""
    if settings.runtime is Runtime.ENDPOINT:
        return EngineIdentity()
    files = (
        ModelFile(name="model.safetensors", size_bytes=9, sha256=TWIN.sha256),
        ModelFile(name="tokenizer.json", size_bytes=9, sha256=TOKENIZER_SHA256),
    )
    if settings.runtime is Runtime.DOCKER:
        return EngineIdentity(version="0.17.0", model_files=files)
    return EngineIdentity(
        version="0.17.0",
        build="cpu",
        lock_sha256="cd" * 32,
        cores=tuple(range(settings.engine.tensor_parallel_size)),
        model_files=files,
    )


def _host() -> Host:
    return Host(
        system="Linux",
        kernel="6.1.0",
        machine="x86_64",
        python="3.11.7",
        cpu_model="A CPU",
        cpu_count=2,
        memory_bytes=8 * 2**30,
        governor="performance",
        load_before=Load(load_average=0.1, steal_ratio=0.0),
        load_after=Load(load_average=1.4, steal_ratio=0.001),
    )


def _absent(settings: Settings, is_process: bool, has_metrics: bool) -> dict[str, str]:
    on_gpu = is_process and settings.engine.device is Device.GPU
    absent = {} if on_gpu else {"telemetry": "not collected on CPU"}
    if not is_process:
        absent |= dict.fromkeys(("engine", "server_log", "model_files"), "somebody else's server")
    if not has_metrics:
        absent["metrics"] = "the server told no counters"
    if settings.dialect is not Dialect.VLLM:
        absent["token_ids"] = "the server does not return token ids"
    return absent
