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
from kit.plan.options import Options, variables
from kit.plan.suite import Prompt, Suite, SuiteMode
from kit.plan.topology import Device, Service, Topology, Transport, interpolate

PUBLISHED_SWARM_PROMPTS = 4
"""Of each level, however many agents there were (the data files of the article's Parts 2 and 3)."""

PROMPTS_PER_AGENT = 4

MOST_PASSES = 1000
"""Of a run that goes on for a time; it ends long before."""

TOLERATED_FAILURES = 0.05
"""Of the requests of a pass of agents: with more of them failed the run ends, without a figure."""

PROMPT_ROOM_TOKENS = 1024
"""Of the context, for a prompt of the suites with its template."""

MOST_AGENTS = 16
"""Four times as many prompts are needed as agents, and the suite has 64."""

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
Agents = Annotated[int, msgspec.Meta(ge=1, le=MOST_AGENTS)]
Duration = Annotated[float, msgspec.Meta(ge=1, le=86400)]
UpTo100 = Annotated[float, msgspec.Meta(ge=0, le=100)]


class _PlanPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Base of the parts of a plan."""


class Cell(_PlanPart, frozen=True, kw_only=True):
    """Model x topology x suite, and the number of agents where several work at once."""

    model: FullLine
    topology: Id
    suite: Id
    agents: Agents | None = None

    def __str__(self) -> str:
        words = f"{self.model} x {self.topology} x {self.suite}"
        return words if self.agents is None else f"{words} x {self.agents} agents"


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
    max_tokens=4096,
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

    `options` are those of the engine that differ from the topology's Compose file. With
    `duration_s` measured passes follow each other until that has passed, and a bundle's plan has as
    many as that took.

    In a rehearsal the CPU engine serves a twin in place of the model and devices of the plan: it
    tries every step without a GPU, and its figures are not results.
    """

    cell: Cell
    rehearsal: bool = False
    twin_of: Name | None = None
    engine: Engine | None = None
    options: Options | None = None
    protocol: ProtocolName
    warmup_passes: Count
    measured_passes: Count
    duration_s: Duration | None = None
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

    @property
    def is_concurrent(self) -> bool:
        """Whether agents send requests at once; then every response is streamed."""
        return self.cell.agents is not None

    def digest(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON."""
        return canonical.digest(self)


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the user; None takes the protocol's default."""

    protocol: ProtocolName = ProtocolName.KIT
    passes: int | None = None
    agents: int | None = None
    duration_s: float | None = None
    eager: bool = False
    prefix_caching: bool = True
    connection: Connection | None = None
    cache: CachePolicy = CachePolicy.WARM
    timeout_s: float = 600.0
    rehearsal: bool = False


def plan_engine(
    model: Model, template: Engine, topology: str, suite: Suite, choices: Choices
) -> Plan:
    """Plan one cell on an engine that the kit starts.

    `template` is the engine as the Compose file has it, its variables not filled in.
    """
    published = filled(template, None)
    cell = Cell(model=model.id, topology=topology, suite=suite.id, agents=_agents(suite, choices))
    options = _options(published, cell, choices)
    engine = filled(template, options)
    max_tokens = max_tokens_of(model, suite, engine)
    return _plan(cell, suite, choices, Dialect.VLLM, max_tokens, (model, engine, options))


def plan_endpoint(
    model: str, suite: Suite, choices: Choices, dialect: Dialect, max_tokens: int | None
) -> Plan:
    """Plan one cell on a server that is already running, whose set-up is unknown."""
    if choices.cache is CachePolicy.COLD and dialect is Dialect.OPENAI:
        raise UsageError(
            "this server cannot keep its cache cold (--cache cold)",
            "it needs vLLM's `cache_salt` field, and the server is not vLLM",
            "leave out --cache cold",
        )
    cell = Cell(model=model, topology="endpoint", suite=suite.id, agents=_agents(suite, choices))
    return _plan(cell, suite, choices, dialect, max_tokens or suite.max_tokens)


def max_tokens_of(model: Model, suite: Suite, engine: Engine) -> int:
    """Return the token budget of one request.

    A twin's own; of a model the published one, or what the context leaves beside a prompt.
    """
    match model:
        case Twin():
            return model.max_tokens
        case HubModel():
            context = option(engine, "max-model-len") or suite.max_tokens + PROMPT_ROOM_TOKENS
            return min(suite.max_tokens, max(1, context - PROMPT_ROOM_TOKENS))
    assert_never(model)


def twin_of(model: Model) -> str | None:
    """Return the id of the model that a twin is shaped after; None if it is no twin."""
    return model.twin_of if isinstance(model, Twin) else None


def describe_engine(topology: Topology, service: Service) -> Engine:
    """Return the form stored in a plan, with the service's variables as they are."""
    return Engine(
        device=topology.device,
        tensor_parallel_size=topology.tensor_parallel_size,
        transport=topology.transport,
        command=service.command,
        environment=service.environment,
    )


def filled(template: Engine, options: Options | None) -> Engine:
    """Return an engine with these options, and every other variable at its default."""
    values = {} if options is None else variables(options)
    return replace(
        template,
        command=tuple(interpolate(word, values) for word in template.command),
        environment=tuple(
            (name, interpolate(value, values)) for name, value in template.environment
        ),
    )


def option(engine: Engine, name: str) -> int | None:
    """Return the number that an option of the server's command has."""
    prefix = f"--{name}="
    values = (word.removeprefix(prefix) for word in engine.command if word.startswith(prefix))
    return next((int(value) for value in values), None)


def _agents(suite: Suite, choices: Choices) -> int | None:
    """Return the number of agents; raise `UsageError` where they do not go with the suite."""
    if suite.mode is SuiteMode.SERIAL:
        if choices.agents is not None:
            raise UsageError(
                f"--agents does not go with suite {suite.id}",
                "its requests are sent one at a time",
                f"the same command with --suite swarm --agents {choices.agents}",
            )
        return None
    agents = 1 if choices.agents is None else choices.agents
    if not 1 <= agents <= MOST_AGENTS:
        raise UsageError(
            f"{agents} agents are not supported",
            f"from 1 to {MOST_AGENTS}: {len(suite.prompts)} prompts are four for each",
            f"the same command with --agents {MOST_AGENTS}",
        )
    return agents


def _options(published: Engine, cell: Cell, choices: Choices) -> Options | None:
    """Return what is other than published: a sequence for each agent, and what the user chose."""
    sequences = option(published, "max-num-seqs")
    is_enough = cell.agents is None or sequences is None or sequences >= cell.agents
    options = Options(
        max_num_seqs=None if is_enough else cell.agents,
        enforce_eager=True if choices.eager else None,
        enable_prefix_caching=None if choices.prefix_caching else False,
    )
    return None if options == Options() else options


def _prompts(suite: Suite, cell: Cell, protocol: ProtocolName) -> tuple[Prompt, ...]:
    """Return the prompts of one pass: of agents equally many at each level, four each at least."""
    if cell.agents is None:
        return suite.prompts
    if protocol is ProtocolName.ARTICLE:
        return suite.prompts[:PUBLISHED_SWARM_PROMPTS]
    few = len(suite.prompts) // 2
    return suite.prompts[:few] if PROMPTS_PER_AGENT * cell.agents <= few else suite.prompts


def _plan(
    cell: Cell,
    suite: Suite,
    choices: Choices,
    dialect: Dialect,
    max_tokens: int,
    served: tuple[Model, Engine, Options | None] | tuple[None, None, None] = (None, None, None),
) -> Plan:
    model, engine, options = served
    article = choices.protocol is ProtocolName.ARTICLE
    is_serial = cell.agents is None
    if choices.duration_s is not None and (article or is_serial):
        raise UsageError(
            "--duration does not go with this run",
            "only agents that send the kit's own protocol go on for a time",
            "kit bench --suite swarm --agents 4 --duration 30m",
        )
    return Plan(
        cell=cell,
        rehearsal=choices.rehearsal,
        twin_of=twin_of(model) if model else None,
        engine=engine,
        options=options,
        protocol=choices.protocol,
        warmup_passes=1,
        measured_passes=choices.passes or _passes(suite, choices),
        duration_s=choices.duration_s,
        stream_passes=0 if article or not is_serial else 1,
        connection=choices.connection or _connection(choices.protocol),
        cache=choices.cache,
        dialect=dialect,
        seed=PLAN_SEED,
        sampling=replace(PUBLISHED_SAMPLING, max_tokens=max_tokens),
        published_max_tokens=suite.max_tokens,
        timeout_s=float(choices.timeout_s),
        system=suite.system,
        prompts=_prompts(suite, cell, choices.protocol),
        deviations=(
            *_setup_deviations(model, engine, dialect, max_tokens, suite),
            *_agent_deviations(cell, options, choices),
            *_chosen_deviations(options, choices),
            *_protocol_deviations(choices, is_serial=is_serial),
        ),
    )


def _passes(suite: Suite, choices: Choices) -> int:
    """Return how many passes are measured where the user does not say."""
    if choices.duration_s is not None:
        return MOST_PASSES
    if choices.protocol is ProtocolName.ARTICLE:
        return 1
    return 5 if suite.mode is SuiteMode.SERIAL else 3


def _setup_deviations(
    model: Model | None, engine: Engine | None, dialect: Dialect, max_tokens: int, suite: Suite
) -> Iterator[Deviation]:
    if suite.mode is SuiteMode.SERIAL:
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
            f"model, {max_tokens} tokens a request in place of {suite.max_tokens}, on CPU",
            why="the whole path can then be run without a GPU; a twin's result is never evidence "
            "about its model",
        )
    elif max_tokens != suite.max_tokens:
        yield Deviation(
            what=f"{max_tokens} tokens a request in place of {suite.max_tokens}",
            why="requested with --max-tokens" if model is None else "more do not fit the context",
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


def _agent_deviations(cell: Cell, options: Options | None, choices: Choices) -> Iterator[Deviation]:
    if cell.agents is None:
        return
    yield Deviation(
        what="the kit's own prompts for the agents",
        why="the article did not publish the prompts of its agents",
    )
    if options is not None and options.max_num_seqs is not None:
        yield Deviation(
            what=f"--max-num-seqs={options.max_num_seqs}",
            why="with the published number the server would let some of the agents wait",
        )
    if choices.protocol is not ProtocolName.ARTICLE:
        yield Deviation(
            what=f"{PROMPTS_PER_AGENT} prompts or more for each agent, the same at every level",
            why="with the published four a level of five or more agents never has more than four "
            "requests in flight",
        )


def _connection(protocol: ProtocolName) -> Connection:
    return Connection.PER_REQUEST if protocol is ProtocolName.ARTICLE else Connection.KEPT


def _chosen_deviations(options: Options | None, choices: Choices) -> Iterator[Deviation]:
    """Yield what the user set to see what it does."""
    if options is not None and options.enforce_eager:
        yield Deviation(
            what="--enforce-eager: no CUDA graphs, and nothing is compiled",
            why="requested with --eager; Part 2 of the article ran its dense model so",
        )
    if options is not None and options.enable_prefix_caching is False:
        yield Deviation(
            what="--no-enable-prefix-caching",
            why="requested with --no-prefix-cache; the published server had its cache on",
        )
    if choices.connection is Connection.KEPT and choices.protocol is ProtocolName.ARTICLE:
        yield Deviation(
            what="one kept connection in place of a new one for each request",
            why="requested with --connection kept",
        )


def _protocol_deviations(choices: Choices, *, is_serial: bool) -> Iterator[Deviation]:
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
        if choices.duration_s is not None:
            repeated = f"measured passes for {choices.duration_s:g} s, "
        kept = "" if choices.connection is Connection.PER_REQUEST else "one kept connection, "
        streamed = "a streaming pass of its own"
        if not is_serial:
            kept = kept and "a kept connection for each agent, "
            streamed = "every response streamed"
        yield Deviation(
            what=f"{repeated}{kept}{streamed}",
            why="a single pass, as published, has no interval; PROTOCOL=article omits these",
        )
    if choices.cache is CachePolicy.COLD:
        yield Deviation(
            what="each request has a cache_salt, so that it shares no prefix-cache block",
            why="requested with --cache cold; the published runs had a warm cache",
        )
