"""The plan: everything that a run does, frozen before anything starts and stored in the bundle."""

from collections.abc import Iterator
from enum import Enum
from typing import Annotated, assert_never

import msgspec
from msgspec.structs import replace

from kit.errors import UsageError
from kit.format import canonical
from kit.format.fields import Count, FullLine, Id, Line, Name, Seed, Text
from kit.plan.models import HubModel, Model, Twin
from kit.plan.suite import Prompt, Suite
from kit.plan.topology import Device, Service, Topology, Transport

PUBLISHED_MAX_TOKENS = 4096
"""The article: "Each prompt at max_tokens=4096"."""

PLAN_SEED = 20260306
"""Arbitrary but fixed: the article's day of measurement."""


class ProtocolName(Enum):
    """`kit`: repeated passes and a streaming pass. `article`: as published, one pass."""

    KIT = "kit"
    ARTICLE = "article"


class Connection(Enum):
    """`kept`: one connection for the run. `per-request`: a new one each, as published."""

    KEPT = "kept"
    PER_REQUEST = "per-request"


class CachePolicy(Enum):
    """`warm`: requests may share prefix-cache blocks, as published. `cold`: each has a salt."""

    WARM = "warm"
    COLD = "cold"


class Dialect(Enum):
    """Request fields that a server accepts: vLLM's extensions too, or OpenAI's only."""

    VLLM = "vllm"
    OPENAI = "openai"


Budget = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
UpTo100 = Annotated[float, msgspec.Meta(ge=0, le=100)]


class _PlanPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Base of the parts of a plan."""


class Cell(_PlanPart, frozen=True, kw_only=True):
    """Model x topology x suite."""

    model: FullLine
    topology: Id
    suite: Id

    def __str__(self) -> str:
        return f"{self.model} x {self.topology} x {self.suite}"


class Sampling(_PlanPart, frozen=True, kw_only=True):
    """Sampling parameters, sent with every request: a server takes defaults from the model's files.

    Temperature and token budget are the article's. The rest should be what the models'
    `generation_config.json` say, which the article's server would have applied. This is
    unconfirmed: those files have not been read yet.
    """

    max_tokens: Budget
    temperature: UpTo100
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)]
    top_k: Annotated[int, msgspec.Meta(ge=-1, le=10_000_000)]
    repetition_penalty: UpTo100


PUBLISHED_SAMPLING = Sampling(
    max_tokens=PUBLISHED_MAX_TOKENS,
    temperature=0.7,
    top_p=0.8,
    top_k=20,
    repetition_penalty=1.05,
)


class Engine(_PlanPart, frozen=True, kw_only=True):
    """How the server is started, from a Compose file with its variables at their defaults."""

    device: Device
    tensor_parallel_size: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    transport: Transport
    command: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)]
    environment: Annotated[tuple[tuple[Line, Text], ...], msgspec.Meta(max_length=1000)]


class Deviation(_PlanPart, frozen=True, kw_only=True):
    """A difference from the published measurement, and its reason."""

    what: Line
    why: Line


class Plan(_PlanPart, frozen=True, kw_only=True):
    """The run of one cell. `timeout_s` is that of one request; `engine` is absent for an endpoint.

    In a rehearsal the CPU engine serves a twin in place of the model and devices of the plan: it
    tries every step without a GPU, and its figures are not results.
    """

    cell: Cell
    rehearsal: bool = False
    twin_of: Name | None = None
    engine: Engine | None = None
    protocol: ProtocolName
    warmup_passes: Count
    measured_passes: Count
    stream_passes: Count
    connection: Connection
    cache: CachePolicy
    dialect: Dialect
    seed: Seed
    sampling: Sampling
    published_max_tokens: Budget
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=86400)]
    system: Text
    prompts: Annotated[tuple[Prompt, ...], msgspec.Meta(min_length=1, max_length=10_000)]
    deviations: Annotated[tuple[Deviation, ...], msgspec.Meta(max_length=100)]

    def digest(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON."""
        return canonical.digest(self)


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the user; None takes the protocol's default."""

    protocol: ProtocolName = ProtocolName.KIT
    passes: int | None = None
    cache: CachePolicy = CachePolicy.WARM
    timeout_s: float = 600.0
    rehearsal: bool = False


def plan_engine(
    model: Model, engine: Engine, topology: str, suite: Suite, choices: Choices
) -> Plan:
    """Plan one cell on an engine that the kit starts."""
    cell = Cell(model=model.id, topology=topology, suite=suite.id)
    return _plan(cell, suite, choices, Dialect.VLLM, max_tokens_of(model), (model, engine))


def plan_endpoint(
    model: str, suite: Suite, choices: Choices, dialect: Dialect, max_tokens: int
) -> Plan:
    """Plan one cell on a server that is already running, whose set-up is unknown."""
    if choices.cache is CachePolicy.COLD and dialect is Dialect.OPENAI:
        raise UsageError(
            "this server cannot keep its cache cold (--cache cold)",
            "it needs vLLM's `cache_salt` field, and the server is not vLLM",
            "leave out --cache cold",
        )
    cell = Cell(model=model, topology="endpoint", suite=suite.id)
    return _plan(cell, suite, choices, dialect, max_tokens)


def max_tokens_of(model: Model) -> int:
    """Return the token budget of one request: a twin's own, or the published one."""
    match model:
        case Twin():
            return model.max_tokens
        case HubModel():
            return PUBLISHED_MAX_TOKENS
    assert_never(model)


def twin_of(model: Model) -> str | None:
    """Return the id of the model that a twin is shaped after; None if it is no twin."""
    return model.twin_of if isinstance(model, Twin) else None


def describe_engine(topology: Topology, service: Service) -> Engine:
    """Return the form stored in a plan; the service's variables must be filled in."""
    return Engine(
        device=topology.device,
        tensor_parallel_size=topology.tensor_parallel_size,
        transport=topology.transport,
        command=service.command,
        environment=service.environment,
    )


def _plan(
    cell: Cell,
    suite: Suite,
    choices: Choices,
    dialect: Dialect,
    max_tokens: int,
    served: tuple[Model, Engine] | tuple[None, None] = (None, None),
) -> Plan:
    model, engine = served
    article = choices.protocol is ProtocolName.ARTICLE
    return Plan(
        cell=cell,
        rehearsal=choices.rehearsal,
        twin_of=twin_of(model) if model else None,
        engine=engine,
        protocol=choices.protocol,
        warmup_passes=1,
        measured_passes=choices.passes or (1 if article else 5),
        stream_passes=0 if article else 1,
        connection=Connection.PER_REQUEST if article else Connection.KEPT,
        cache=choices.cache,
        dialect=dialect,
        seed=PLAN_SEED,
        sampling=replace(PUBLISHED_SAMPLING, max_tokens=max_tokens),
        published_max_tokens=PUBLISHED_MAX_TOKENS,
        timeout_s=float(choices.timeout_s),
        system=suite.system,
        prompts=suite.prompts,
        deviations=(
            *_setup_deviations(model, engine, dialect, max_tokens),
            *_protocol_deviations(choices),
        ),
    )


def _setup_deviations(
    model: Model | None, engine: Engine | None, dialect: Dialect, max_tokens: int
) -> Iterator[Deviation]:
    yield Deviation(
        what="the kit's own prompts for the article's five tasks",
        why="the article names its tasks and did not publish its prompts",
    )
    if engine is not None:
        yield Deviation(
            what="client and server on one host; the article's client was across 1 Gb/s Ethernet",
            why="one machine is enough to check the article",
        )
        yield _added_flags(engine.device)
        yield Deviation(
            what="no --trust-remote-code, PYTORCH_CUDA_ALLOC_CONF unset",
            why="neither is needed, and a benchmark should not run code from a model's repository",
        )
    if isinstance(model, Twin):
        yield Deviation(
            what=f"the small twin {model.id} with random weights in place of the {model.twin_of} "
            f"model, {max_tokens} tokens a request in place of {PUBLISHED_MAX_TOKENS}, on CPU",
            why="the whole path can then be run without a GPU; a twin's result is never evidence "
            "about its model",
        )
    elif max_tokens != PUBLISHED_MAX_TOKENS:
        yield Deviation(
            what=f"{max_tokens} tokens a request in place of {PUBLISHED_MAX_TOKENS}",
            why="requested with --max-tokens",
        )
    if dialect is Dialect.OPENAI:
        yield Deviation(
            what="top_k and repetition_penalty not sent",
            why="the server may not know vLLM's fields; its own defaults apply",
        )


def _added_flags(device: Device) -> Deviation:
    match device:
        case Device.CPU:
            return Deviation(
                what="--enable-prompt-tokens-details and --block-size=32 added",
                why="the first reports cached prompt tokens; with the second most of a prompt can "
                "be cached on CPU, as it can on a GPU, whose blocks are smaller",
            )
        case Device.GPU:
            return Deviation(
                what="--enable-prompt-tokens-details and --enable-auto-tool-choice added",
                why="the first reports cached prompt tokens; without the second vLLM refuses "
                "requests with tools, which the article's server accepted",
            )
    assert_never(device)


def _protocol_deviations(choices: Choices) -> Iterator[Deviation]:
    if choices.rehearsal:
        yield Deviation(
            what="a rehearsal: the CPU engine serves a small twin in place of the model",
            why="every step can then be tested without a GPU; its numbers are never results",
        )
    if choices.protocol is ProtocolName.ARTICLE and (choices.passes or 1) > 1:
        yield Deviation(
            what=f"{choices.passes} measured passes in place of one",
            why="requested with --passes",
        )
    if choices.protocol is not ProtocolName.ARTICLE:
        repeated = "" if choices.passes == 1 else "repeated measured passes, "
        yield Deviation(
            what=f"{repeated}one kept connection, a streaming pass of its own",
            why="a single pass, as published, has no interval; PROTOCOL=article omits these",
        )
    if choices.cache is CachePolicy.COLD:
        yield Deviation(
            what="each request has a cache_salt, so that it shares no prefix-cache block",
            why="requested with --cache cold; the published runs had a warm cache",
        )
