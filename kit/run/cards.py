"""Which of a machine's GPUs serve a topology, and why the others cannot. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from kit.bundle.telemetry import GpuFacts, GpuProcesses
from kit.plan.topology import Service, Topology, Transport, fill_variables
from kit.roofline.model import Shape, checkpoint_bytes

OLDEST_CAPABILITY = (8, 0)
"""Marlin's kernels are compiled for compute capability 8.0, and run on newer GPUs."""

WORKSPACE_BYTES = 1.5 * 2**30
"""A GPU's memory for activations, CUDA graphs and the driver's context."""

_SETTINGS = ("--max-model-len=", "--gpu-memory-utilization=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cards:
    """The GPUs of a machine; `connections` are those of `nvidia-smi topo -m`, between indexes."""

    gpus: tuple[GpuFacts, ...]
    processes: tuple[GpuProcesses, ...] = ()
    connections: Mapping[tuple[str, str], str]


def memory_needed_bytes(shape: Shape, service: Service, ranks: int) -> float:
    """Return the memory that each card must have for a model on a topology.

    Its share of the weights and of the KV cache of one request of the greatest length, and room to
    work in, are the share of a card's memory that vLLM takes (`--gpu-memory-utilization`).
    """
    filled = fill_variables(service, {})
    length, utilization = (_setting(filled, name) for name in _SETTINGS)
    share = (checkpoint_bytes(shape) + length * shape.kv_bytes_per_token) / ranks
    return (share + WORKSPACE_BYTES) / utilization


def choose(
    cards: Cards, topology: Topology, needed_bytes: float, named: Sequence[str] = ()
) -> tuple[GpuFacts, ...]:
    """Return the cards to serve with: of one kind, idle before busy, linked where that is asked.

    Only `named` indexes are considered, if there are any. Returns nothing where no cards fit.
    """
    ranks, busy = topology.tensor_parallel_size, busy_indexes(cards)
    fitting = [gpu for gpu in considered(cards, named) if not list(misfits(gpu, needed_bytes))]
    candidates = [
        group
        for group in combinations(fitting, ranks)
        if len({gpu.name for gpu in group}) == 1
        and (topology.transport is not Transport.NVLINK or is_linked(cards, group))
    ]
    free_first = sorted(candidates, key=lambda group: sum(gpu.index in busy for gpu in group))
    return free_first[0] if free_first else ()


def considered(cards: Cards, named: Sequence[str]) -> list[GpuFacts]:
    """Return the named cards, or all."""
    return [gpu for gpu in cards.gpus if not named or str(gpu.index) in named]


def misfits(gpu: GpuFacts, needed_bytes: float) -> Iterator[str]:
    """Yield why a card cannot serve."""
    if _version(gpu.compute_capability) < OLDEST_CAPABILITY:
        yield f"compute capability {gpu.compute_capability or 'unknown'}, needs 8.0"
    if gpu.memory_bytes is not None and gpu.memory_bytes < needed_bytes:
        yield f"{gpu.memory_bytes / 2**30:.1f} GiB of memory, needs {needed_bytes / 2**30:.1f}"


def is_linked(cards: Cards, group: Iterable[GpuFacts]) -> bool:
    """Return whether every two of these cards have NVLink between them.

    Where the machine does not say what is between two cards, links that are up count.
    """
    return all(
        cards.connections.get((str(one.index), str(other.index)), "NV").startswith("NV")
        and bool(one.nvlink_links_active and other.nvlink_links_active)
        for one, other in combinations(group, 2)
    )


def busy_indexes(cards: Cards) -> set[int]:
    """Return the cards on which some process computes."""
    return {running.index for running in cards.processes if running.compute_count}


def _setting(service: Service, name: str) -> float:
    return next(float(word.removeprefix(name)) for word in service.command if word.startswith(name))


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "").split(".") if part.isdecimal())
