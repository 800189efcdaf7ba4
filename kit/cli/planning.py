"""From the user's choices to plans, and the plan as text."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from kit.bundle.capacity import capacities
from kit.bundle.document import Runtime
from kit.edge.files import checkout
from kit.edge.host import probes
from kit.errors import ExitCode, UsageError
from kit.format import canonical
from kit.plan import plan
from kit.plan.plan import CachePolicy, Choices, Plan, ProtocolName
from kit.plan.topology import Device, Service, Topology, fill_variables

CPU_DEFAULT = "cpu-tp1"


@dataclass(frozen=True, kw_only=True, slots=True)
class CellOptions:
    """What the command line says of the cells to run."""

    topology: str | None
    models: tuple[str, ...]
    suite: str
    passes: int | None
    protocol: str
    cache: str
    timeout_s: int
    runtime: str | None
    rehearsal: bool = False

    def choices(self) -> Choices:
        """Return the part of them that a plan is made from."""
        protocols = {name.value: name for name in ProtocolName}
        policies = {policy.value: policy for policy in CachePolicy}
        return Choices(
            protocol=checkout.choose("protocol", self.protocol, protocols),
            passes=self.passes,
            cache=checkout.choose("cache", self.cache, policies),
            timeout_s=self.timeout_s,
            rehearsal=self.rehearsal,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCell:
    """A plan, and the service (variables still open) that would serve it."""

    plan: Plan
    topology: Topology
    service: Service


def planned_cells(options: CellOptions) -> tuple[PlannedCell, ...]:
    """Return one planned cell for each model, in the order asked for."""
    topology = checkout.topology(options.topology or default_topology())
    if options.rehearsal and topology.device is Device.CPU:
        raise UsageError(
            f"a rehearsal of {topology.id} makes no sense",
            "it runs on a CPU as it is; a rehearsal is of a GPU topology, without a GPU",
            "kit bench --rehearsal --topology tp2-pcie",
        )
    return tuple(
        _planned(options, topology, model) for model in options.models or tuple(topology.services)
    )


def chosen_runtime(wanted: str | None, topology: Topology) -> Runtime:
    """Return what is to start the engine: GPU topologies run in containers only."""
    fitting = (
        [Runtime.DOCKER] if topology.device is Device.GPU else [Runtime.PROCESS, Runtime.DOCKER]
    )
    if wanted is None:
        return fitting[0]
    return checkout.choose("runtime", wanted, {runtime.value: runtime for runtime in fitting})


def that_fits(planned: Plan) -> Plan:
    """Return the plan; raise `UsageError` for one whose bundle `kit verify` would refuse."""
    room = min(capacities(planned), key=lambda one: one.passes)
    if planned.measured_passes <= room.passes:
        return planned
    raise UsageError(
        f"a bundle has no room for {planned.measured_passes} passes of {planned.cell}",
        f"it may hold {room.what}: with {planned.sampling.max_tokens} tokens a response, that is "
        f"{room.passes} passes",
        f"take {room.passes} passes at most, and run it again for more"
        if room.passes
        else "ask for fewer tokens a response (--max-tokens)",
    )


def default_topology() -> str:
    """Return the topology that needs nothing but the checkout, and say in a line what else may be.

    Never one on GPUs: that takes images, which somebody has built.
    """
    found = "an NVIDIA GPU is here, and TOPOLOGY=tp1 uses it once `make doctor` says so"
    reason = found if probes.has_nvidia_gpu() else "no NVIDIA GPU here"
    click.echo(f"{reason}: taking the CPU default, {CPU_DEFAULT}", err=True)
    return CPU_DEFAULT


def show(options: CellOptions, *, as_json: bool) -> int:
    """Print the plans, whole as JSON or in short for a reader."""
    for cell in planned_cells(options):
        chosen_runtime(options.runtime, cell.topology)
        if as_json:
            click.echo(canonical.encode(cell.plan), nl=False)
        else:
            click.echo(describe(cell.plan))
    return ExitCode.DONE


def describe(planned: Plan) -> str:
    """Return a plan in short, for a reader."""
    return "\n".join(
        (
            f"{planned.cell}   plan {planned.digest()[:16]}",
            *_protocol_lines(planned),
            *_engine_lines(planned),
            *_deviation_lines(planned),
        )
    )


def _protocol_lines(planned: Plan) -> Iterator[str]:
    sampling = planned.sampling
    yield (
        f"  protocol    {planned.protocol.value}: {planned.warmup_passes} warm-up, "
        f"{planned.measured_passes} measured, {planned.stream_passes} streaming; "
        f"connection {planned.connection.value}, cache {planned.cache.value}"
    )
    yield f"  prompts     {' '.join(prompt.id for prompt in planned.prompts)}"
    yield f"  max_tokens  {sampling.max_tokens} (published: {planned.published_max_tokens})"
    yield (
        f"  sampling    temperature {sampling.temperature}, top_p {sampling.top_p}, "
        f"top_k {sampling.top_k}, repetition_penalty {sampling.repetition_penalty}, "
        f"seed {planned.seed}"
    )


def _engine_lines(planned: Plan) -> Iterator[str]:
    if planned.engine is None:
        return
    yield f"  engine      {' '.join(planned.engine.command)}"
    yield "              (in a container; a process gets folders, a port and cores of this machine)"
    for name, value in planned.engine.environment:
        yield f"              {name}={value}"


def _deviation_lines(planned: Plan) -> Iterator[str]:
    for deviation in planned.deviations:
        yield f"  deviates    {deviation.what}"
        yield f"              because {deviation.why}"


def _require_served(topology: Topology, model: str) -> None:
    """Refuse a model that only other topologies serve, and name these."""
    if model in topology.services:
        return
    names = sorted(path.stem for path in checkout.compose_files())
    others = [name for name in names if model in checkout.topology(name).services]
    if others:
        raise UsageError(
            f"{topology.id} does not serve {model}",
            f"of the topologies, {', '.join(others)} serve it",
            f"kit plan --topology {others[0]} --model {model}",
        )


def _planned(options: CellOptions, topology: Topology, model: str) -> PlannedCell:
    _require_served(topology, model)
    service = checkout.choose("model", model, topology.services)
    known = checkout.choose("model", model, checkout.models())
    engine = plan.describe_engine(topology, fill_variables(service, {}))
    suite = checkout.suite(options.suite)
    planned = plan.plan_engine(known, engine, topology.id, suite, options.choices())
    return PlannedCell(plan=that_fits(planned), topology=topology, service=service)
