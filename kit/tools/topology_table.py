"""Markdown tables of the topologies, from the Compose files."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kit.plan.topology import Device, Service, Topology, Transport, fill_variables, interpolate

_OVER = {
    Transport.NONE: "none: one rank",
    Transport.GLOO: "Gloo on loopback",
    Transport.NVLINK: "NVLink, peer to peer",
    Transport.SHARED_MEMORY: "host shared memory",
    Transport.SOCKET: "TCP sockets",
}
_CONTEXT = "--max-model-len="


def table(topologies: Sequence[Topology]) -> str:
    """Return a Markdown table, a row a topology."""
    head = (
        "Topology",
        "Devices",
        "Transport",
        "NCCL variables",
        "Models, and context limit in tokens",
    )
    return _markdown(head, map(_row, topologies))


def commands(topologies: Sequence[Topology]) -> str:
    """Return a table of engine commands, with equal ones of several topologies in one row."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for topology in topologies:
        for model, service in topology.services.items():
            alike[model, _words(service)].append(f"`{topology.id}`")
    rows = ((model, " ".join(names), words) for (model, words), names in alike.items())
    return _markdown(("Model", "Topologies", "Options of `vllm serve /models/MODEL`"), rows)


def environments(topologies: Sequence[Topology]) -> str:
    """Return a table of environment variables and the topologies that set them."""
    alike: dict[str, list[Topology]] = defaultdict(list)
    for topology in topologies:
        first = fill_variables(next(iter(topology.services.values())), {})
        for name, value in first.environment:
            alike[f"`{name}={value}`".replace("|", "\\|")].append(topology)
    rows = ((variable, _on(found, topologies)) for variable, found in sorted(alike.items()))
    return _markdown(("Variable", "Topologies"), rows)


def limits(services: Mapping[str, Any]) -> str:
    """Return a table of the containers' limits, from the services of `base.yaml`."""
    head = ("Container", "Memory", "Processes", "Shared memory", "Locked memory")
    return _markdown(head, (_limit(services, name) for name in services))


def _on(some: Sequence[Topology], topologies: Sequence[Topology]) -> str:
    """Return the names of some topologies, shortened if these are all, or all of a device."""
    if len(some) == len(topologies):
        return "all"
    for device in Device:
        if list(some) == [topology for topology in topologies if topology.device is device]:
            return f"all on {device.value.upper()}"
    return " ".join(f"`{topology.id}`" for topology in some)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _words(service: Service) -> str:
    """Return the options of a command, except for address, port and served model name."""
    own = ("--served-model-name=", "--host=", "--port=")
    words = (word for word in fill_variables(service, {}).command if word.startswith("--"))
    return " ".join(f"`{word}`" for word in words if not word.startswith(own))


def _limit(services: Mapping[str, Any], name: str) -> tuple[str, ...]:
    body = {**services[services[name]["extends"]["service"]]} if "extends" in services[name] else {}
    body |= services[name]
    locked = body.get("ulimits", {}).get("memlock", "Docker's default")
    limits = (body["mem_limit"], body["pids_limit"], body.get("shm_size", "64m"), locked)
    memory, processes, shared, locked = (interpolate(str(word), {}) for word in limits)
    return f"`{name}`", memory, processes, shared, "no limit" if locked == "-1" else locked


def _row(topology: Topology) -> tuple[str, ...]:
    first = fill_variables(next(iter(topology.services.values())), {})
    nccl = [f"`{name}={value}`" for name, value in first.environment if _chooses_transport(name)]
    cores = dict(first.environment).get("VLLM_CPU_OMP_THREADS_BIND", "")
    return (
        f"`{topology.id}`",
        f"GPU {' and '.join(first.gpus)}" if first.gpus else f"core {cores.replace('|', ' and ')}",
        _OVER[topology.transport],
        " ".join(nccl) or "none",
        ", ".join(_contexts(topology)),
    )


def _chooses_transport(name: str) -> bool:
    return name.startswith("NCCL_") and not name.startswith("NCCL_DEBUG")


def _contexts(topology: Topology) -> Iterator[str]:
    for model, service in topology.services.items():
        yield f"{model} {_context(service)}"


def _context(service: Service) -> str:
    command = fill_variables(service, {}).command
    words = (word for word in command if word.startswith(_CONTEXT))
    return next(words, _CONTEXT).removeprefix(_CONTEXT) or "the model's own"
