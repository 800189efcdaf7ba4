"""From a user's choices to planned cells: topologies, models and suites are the checkout's."""

from dataclasses import dataclass

from kit.bundle.capacity import capacities
from kit.bundle.document import Runtime
from kit.edge import server_probe
from kit.edge.engine.endpoint import Endpoint
from kit.edge.files import checkout
from kit.errors import UsageError
from kit.plan import plan
from kit.plan.plan import CachePolicy, Choices, Connection, Plan, ProtocolName
from kit.plan.suite import Suite, SuiteMode
from kit.plan.topology import Device, Service, Topology

LEVELS = (1, 2, 4, 8)
"""Numbers of agents."""

DEFAULT_TOPOLOGY = "cpu-tp1"
"""Never one on GPUs: these need images, which take hours to build."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellChoices:
    """Which cells to run, as words of the command line; without models, all of the topology.

    `agents` are the levels of a suite that is sent by several at once; none takes `LEVELS`.
    """

    topology: str | None
    models: tuple[str, ...]
    suite: str
    agents: tuple[int, ...]
    passes: int | None
    duration_s: float | None = None
    eager: bool = False
    prefix_cache: bool = True
    connection: str | None = None
    protocol: str
    cache: str
    timeout_s: int
    runtime: str | None
    rehearsal: bool = False

    def for_plan(self, agents: int | None = None) -> Choices:
        """Return the part that is in a plan; raise `UsageError` for unknown names."""
        if self.duration_s is not None and self.passes is not None:
            raise UsageError(
                "--duration and --passes exclude each other",
                "a run that goes on for a time has as many passes as that takes",
                "the same command without --passes",
            )
        connections = {kind.value: kind for kind in Connection}
        protocols = {name.value: name for name in ProtocolName}
        policies = {policy.value: policy for policy in CachePolicy}
        return Choices(
            protocol=checkout.choose("protocol", self.protocol, protocols),
            passes=self.passes,
            agents=agents,
            duration_s=self.duration_s,
            eager=self.eager,
            prefix_caching=self.prefix_cache,
            connection=None
            if self.connection is None
            else checkout.choose("connection", self.connection, connections),
            cache=checkout.choose("cache", self.cache, policies),
            timeout_s=self.timeout_s,
            rehearsal=self.rehearsal,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCell:
    """A plan, how its engine is started, and its Compose service with variables unfilled."""

    plan: Plan
    runtime: Runtime
    topology: Topology
    service: Service


def planned_cells(choices: CellChoices) -> tuple[PlannedCell, ...]:
    """Return one planned cell for each model and number of agents, in the order of the choices.

    Raises `UsageError` for choices that do not exist or do not fit together.
    """
    topology = checkout.topology(choices.topology or DEFAULT_TOPOLOGY)
    if choices.rehearsal and topology.device is Device.CPU:
        raise UsageError(
            f"{topology.id} cannot be rehearsed",
            "a rehearsal runs a GPU topology on the CPU engine; this topology is a CPU one",
            "kit bench --rehearsal --topology tp2-pcie",
        )
    models = choices.models or topology.default_models
    return tuple(
        _planned(choices, topology, model, agents)
        for model in models
        for agents in levels(choices, checkout.suite(choices.suite))
    )


def levels(choices: CellChoices, suite: Suite) -> tuple[int | None, ...]:
    """Return the numbers of agents to measure with; None for a suite without agents."""
    return choices.agents or ((None,) if suite.mode is SuiteMode.SERIAL else LEVELS)


def endpoint_plan(
    endpoint: Endpoint, choices: CellChoices, agents: int | None, max_tokens: int | None
) -> Plan:
    """Return the plan for a server that runs already."""
    return _checked_size(
        plan.plan_endpoint(
            endpoint.model,
            checkout.suite(choices.suite),
            choices.for_plan(agents),
            server_probe.dialect_of(endpoint.base_url),
            max_tokens,
        )
    )


def _planned(
    choices: CellChoices, topology: Topology, model: str, agents: int | None
) -> PlannedCell:
    _require_served(topology, model)
    example = f"make bench TOPOLOGY={topology.id} MODEL={min(topology.services)}"
    service = checkout.choose("model", model, topology.services, example)
    planned = plan.plan_engine(
        checkout.choose("model", model, checkout.models()),
        plan.describe_engine(topology, service),
        topology.id,
        checkout.suite(choices.suite),
        choices.for_plan(agents),
    )
    return PlannedCell(
        plan=_checked_size(planned),
        runtime=_runtime(choices.runtime, topology),
        topology=topology,
        service=service,
    )


def _runtime(name: str | None, topology: Topology) -> Runtime:
    """Return the runtime of this name, or the topology's default."""
    on_gpu = topology.device is Device.GPU
    valid = [Runtime.DOCKER] if on_gpu else [Runtime.PROCESS, Runtime.DOCKER]
    if name is None:
        return valid[0]
    return checkout.choose("runtime", name, {runtime.value: runtime for runtime in valid})


def _require_served(topology: Topology, model: str) -> None:
    """Raise `UsageError` for a model that only other topologies serve."""
    if model in topology.services:
        return
    names = sorted(path.stem for path in checkout.compose_files())
    others = [name for name in names if model in checkout.topology(name).services]
    if others:
        raise UsageError(
            f"{topology.id} does not serve {model}",
            f"topologies that do: {', '.join(others)}",
            f"kit plan --topology {others[0]} --model {model}",
        )


def _checked_size(planned: Plan) -> Plan:
    """Return the plan; raise `UsageError` where its bundle would be too large for `kit verify`."""
    limit = min(capacities(planned), key=lambda capacity: capacity.passes)
    if planned.duration_s is not None and limit.passes:
        return planned
    if planned.measured_passes <= limit.passes:
        return planned
    raise UsageError(
        f"a bundle has no room for {planned.measured_passes} passes of {planned.cell}",
        f"it may hold {limit.what}: with {planned.sampling.max_tokens} tokens a response, "
        f"{limit.passes} passes",
        f"choose --passes {limit.passes} or fewer, and run it again for more"
        if limit.passes
        else "choose fewer tokens a response (--max-tokens)",
    )
