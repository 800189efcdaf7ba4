"""The topologies as a table: what each Compose file promises, read from the file itself."""

from collections.abc import Iterator, Sequence

from kit import spec
from kit.spec import Service, Topology, Transport

_OVER = {
    Transport.NONE: "nothing: one rank",
    Transport.GLOO: "Gloo, on loopback",
    Transport.NVLINK: "NVLink, peer to peer",
    Transport.SHARED_MEMORY: "shared memory of the host",
    Transport.SOCKET: "TCP sockets",
}
_CONTEXT = "--max-model-len="


def table(topologies: Sequence[Topology]) -> str:
    """Return a Markdown table, a row a topology."""
    head = ("Topology", "Devices", "Ranks talk over", "NCCL is told", "Context limit, tokens")
    rows = [head, tuple("---" for _ in head), *map(_row, topologies)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(topology: Topology) -> tuple[str, ...]:
    first = spec.fill(next(iter(topology.services.values())), {})
    told = [f"`{name}={value}`" for name, value in first.environment if _chooses(name)]
    cores = dict(first.environment).get("VLLM_CPU_OMP_THREADS_BIND", "")
    return (
        f"`{topology.id}`",
        f"GPU {' and '.join(first.gpus)}" if first.gpus else f"core {cores.replace('|', ' and ')}",
        _OVER[topology.transport],
        " ".join(told) or "nothing",
        ", ".join(_contexts(topology)),
    )


def _chooses(name: str) -> bool:
    return name.startswith("NCCL_") and not name.startswith("NCCL_DEBUG")


def _contexts(topology: Topology) -> Iterator[str]:
    for model, service in topology.services.items():
        yield f"{model} {_context(service)}"


def _context(service: Service) -> str:
    words = (word for word in service.command if word.startswith(_CONTEXT))
    return next(words, _CONTEXT).removeprefix(_CONTEXT) or "the model's own"
