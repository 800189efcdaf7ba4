"""The topology tier's look at how GPUs are linked: NVLink, and PCI Express.

What telemetry says of NVLink is the driver's; what NCCL says of it is in its log (subsystem GRAPH).
"""

import re
from collections.abc import Iterator, Sequence

from kit.bundle.bag import HOST_FACTS, NCCL_LOG
from kit.bundle.host_facts import connections
from kit.bundle.telemetry import GpuFacts, Reading, by_gpu
from kit.check.evidence import Evidence, while_measured, while_serving
from kit.check.problem import Problem, clip, fail, unchecked, warn
from kit.check.topology.samples import no_telemetry
from kit.plan.plan import Engine
from kit.plan.topology import Transport

LEAST_OF_A_LINK = 0.7
"""What NCCL takes a link for, of what its driver says: in GB/s 12.0 of 14.06 on compute capability
8.6, 20.0 of 25.78 on 8.0, 20.6 of 26.56 on 9.0, 40.1 of 53.13 on 10.0 (`src/graph/topo.h`)."""

_BONDED = re.compile(r"NV[0-9]{1,3}")
"""What `nvidia-smi topo -m` calls "a bonded set of # NVLinks"."""

STILL_BYTES = 2**20
"""What a link may carry and still count as unused; a single response moves more."""


def nvlink(evidence: Evidence, engine: Engine) -> Iterator[Problem]:
    """Yield what is wrong with NVLink: in use where it is promised, and still elsewhere."""
    if engine.transport not in (Transport.NONE, Transport.GLOO):
        yield from _as_nccl_has_it(evidence)
    match engine.transport:
        case Transport.NVLINK:
            yield from _links_up(evidence)
            yield from _links_used(evidence)
            yield from _as_the_host_has_it(evidence)
        case Transport.SHARED_MEMORY | Transport.SOCKET:
            yield from _links_unused(evidence)
        case Transport.NONE | Transport.GLOO:
            return


def _links_up(evidence: Evidence) -> Iterator[Problem]:
    """Peer to peer may also be PCI Express: only links that are up make NVLink of it."""
    expected = "NVLink links that are up"
    for gpu in gpus_of(evidence):
        if gpu.nvlink_links_active == 0:
            yield fail(gpu_name(gpu), "no NVLink link is up", expected)
    log = evidence.observed.nccl_log
    if not (log and log.nvlink_gb_s):
        yield unchecked(NCCL_LOG, "NCCL tells of no NVLink in its topology", expected)


def _as_nccl_has_it(evidence: Evidence) -> Iterator[Problem]:
    """Hold the bandwidth of NCCL's connections against the links that the driver says are up.

    NCCL multiplies a figure of its own for a link by the number of those to a peer, which may be
    fewer than all (`src/graph/topo.cc`, `ncclTopoAddNvLinks`).
    """
    log = evidence.observed.nccl_log
    told = [_link_gb_s(gpu) for gpu in gpus_of(evidence)]
    up = [one for one in told if one is not None]
    if log is None or not up or len(up) < len(told):
        return
    least, most = min(least for least, _ in up), max(most for _, most in up)
    for told_gb_s in log.nvlink_gb_s:
        if not least * LEAST_OF_A_LINK <= told_gb_s <= most:
            expected = f"{least:g} for a link to {most:g} for all, by the driver, or a little less"
            yield fail(NCCL_LOG, f"NVLink of {told_gb_s:g} GB/s", expected)


def _link_gb_s(gpu: GpuFacts) -> tuple[float, float] | None:
    """Return the bandwidth of one link and of all that are up; None where it is not known."""
    links, one_gb_s = gpu.nvlink_links_active, gpu.nvlink_link_gb_s
    if links == 0:
        return 0.0, 0.0
    return None if links is None or one_gb_s is None else (one_gb_s, links * one_gb_s)


def _as_the_host_has_it(evidence: Evidence) -> Iterator[Problem]:
    """Hold that the cards that were asked for are linked to each other, by the host's matrix.

    Links may be up and lead to others. Device ids and the matrix have the host's numbers.
    """
    told = evidence.observed.host_facts
    if told is None or told.topology_matrix is None:
        yield unchecked(HOST_FACTS, "nobody asked the host how its GPUs are linked", "NV#")
        return
    model = evidence.document.plan.cell.model
    asked = {
        index
        for container in told.containers
        for request in container.device_requests
        for index in request.device_ids
        if container.service == model
    }
    for (one, other), word in connections(told.topology_matrix).items():
        if one != other and {one, other} <= asked and not _BONDED.fullmatch(word):
            yield fail(
                HOST_FACTS, f"GPU {one} to GPU {other}: {clip(word)}", "NV#, linked by NVLink"
            )


def _links_used(evidence: Evidence) -> Iterator[Problem]:
    """A card that counts bytes must have counted some; GeForce cards do not count."""
    served = by_gpu(while_serving(evidence))
    for gpu in gpus_of(evidence):
        moved = _nvlink_bytes(served[gpu.index])
        if moved is not None and moved <= STILL_BYTES:
            yield fail(gpu_name(gpu), f"{moved} bytes over NVLink in the run", "the ranks' traffic")


def _links_unused(evidence: Evidence) -> Iterator[Problem]:
    expected = "NVLink counters that stand still, or no link that is up"
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, expected)
    served = by_gpu(while_serving(evidence))
    for gpu in gpus_of(evidence):
        moved = _nvlink_bytes(served[gpu.index])
        if moved is not None and moved > STILL_BYTES:
            yield fail(gpu_name(gpu), f"{moved} bytes over NVLink in the run", expected)
        elif moved is None and gpu.nvlink_links_active != 0:
            yield unchecked(gpu_name(gpu), "the card does not count bytes on its links", expected)


def _nvlink_bytes(readings: Sequence[Reading]) -> int | None:
    """Return the bytes that one GPU moved over its links, by its counters; None without them."""
    totals = [
        one.nvlink_received_bytes + one.nvlink_sent_bytes
        for one in readings
        if one.nvlink_received_bytes is not None and one.nvlink_sent_bytes is not None
    ]
    return max(totals) - min(totals) if len(totals) > 1 else None


def pcie(evidence: Evidence) -> Iterator[Problem]:
    """Yield the links over PCI Express that are below what they can be.

    An idle card lowers its link: what counts is the best that it had in measured passes.
    """
    expected = "the link's generation and width under load"
    if evidence.observed.telemetry is None:
        yield no_telemetry(evidence, expected)
    measured = by_gpu(while_measured(evidence))
    for gpu in gpus_of(evidence):
        yield from _link(gpu, measured[gpu.index], expected)


def _link(gpu: GpuFacts, readings: Sequence[Reading], expected: str) -> Iterator[Problem]:
    pairs = (
        ("generation", gpu.pcie_generation_max, [one.pcie_generation for one in readings]),
        ("width", gpu.pcie_width_max, [one.pcie_width for one in readings]),
    )
    for name, best, values in pairs:
        told = [value for value in values if value is not None]
        if best is None or not told:
            yield unchecked(gpu_name(gpu), f"no {name} is told", expected)
        elif max(told) < best:
            yield warn(gpu_name(gpu), f"PCI Express {name} {max(told)} under load", f"{best}")


def gpus_of(evidence: Evidence) -> tuple[GpuFacts, ...]:
    """Return the cards of the inventory; none without telemetry."""
    told = evidence.observed.telemetry
    return () if told is None else told.header.inventory.gpus


def gpu_name(gpu: GpuFacts) -> str:
    """Name a card as a finding's subject."""
    return f"GPU {gpu.index}"
