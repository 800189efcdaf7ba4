"""How GPUs are linked: NVLink, and PCI Express.

Not tested on GPUs yet: findings that rest on the driver's counters alone are warnings.
"""

import re
from collections.abc import Iterator, Sequence

from kit.bundle.bag import HOST_FACTS, NCCL_LOG
from kit.bundle.host_facts import connections
from kit.bundle.telemetry import GpuFacts, Reading, by_gpu
from kit.check.check import Check, ForFigures, Problem, Seen, fail, unchecked, warn
from kit.check.evidence import Evidence, while_measured, while_serving
from kit.check.needs import TELEMETRY_THERE
from kit.check.topology.containers import serving_devices
from kit.plan.topology import Transport

_BONDED = re.compile(r"NV[0-9]{1,3}")
"""What `nvidia-smi topo -m` calls "a bonded set of # NVLinks"."""

_NOT_NVLINK = ("NODE", "PHB", "PIX", "PXB", "SYS")
"""The other connections of its legend: over PCI Express, or between sockets."""

STILL_BYTES = 2**20
"""What a link may carry and still count as unused; a single response moves more."""


def _nvlink(evidence: Evidence) -> Iterator[Problem]:
    match evidence.engine.transport:
        case Transport.NVLINK:
            yield from _links_up(evidence)
            yield from _links_used(evidence)
            yield from _linked_to_each_other(evidence)
        case Transport.SHARED_MEMORY | Transport.SOCKET:
            yield from _links_unused(evidence)
        case Transport.NONE | Transport.GLOO:
            return


def _links_up(evidence: Evidence) -> Iterator[Problem]:
    """Peer to peer may also be PCI Express: only links that are up make NVLink of it."""
    expected = "NVLink links that are up"
    for gpu in evidence.gpus:
        if gpu.nvlink_links_active == 0:
            yield fail(f"GPU {gpu.index}", "no NVLink link is up", expected)
    log = evidence.observed.nccl_log
    if not (log and log.nvlink_gb_s):
        yield unchecked(NCCL_LOG, "no NVLink in NCCL's topology", expected)


def _linked_to_each_other(evidence: Evidence) -> Iterator[Problem]:
    """Links may lead to other cards; device ids and the matrix have the host's numbers."""
    facts, model = evidence.observed.host_facts, evidence.document.plan.cell.model
    if facts is None or facts.topology_matrix is None:
        yield unchecked(HOST_FACTS, "no matrix of how GPUs are linked", "NV#, linked by NVLink")
        return
    serving = serving_devices(facts, model)
    pairs = {
        (gpu, peer): word
        for (gpu, peer), word in connections(facts.topology_matrix).items()
        if gpu != peer and {gpu, peer} <= serving
    }
    if not pairs:  # an empty matrix, or cards that are named by UUID
        yield unchecked(HOST_FACTS, "the matrix lacks the serving GPUs", "NV#, linked by NVLink")
    for (gpu, peer), word in pairs.items():
        if not _BONDED.fullmatch(word):
            problem = fail if word in _NOT_NVLINK else warn
            yield problem(HOST_FACTS, f"GPU {gpu} to GPU {peer}: {word}", "NV#, linked by NVLink")


def _links_used(evidence: Evidence) -> Iterator[Problem]:
    """A card that counts bytes must have counted some; GeForce cards do not count."""
    readings = by_gpu(while_serving(evidence))
    for gpu in evidence.gpus:
        moved = _nvlink_bytes(readings[gpu.index])
        if moved is not None and moved <= STILL_BYTES:
            observed = f"{moved} bytes over NVLink in the run"
            yield warn(f"GPU {gpu.index}", observed, "the ranks' traffic")


def _links_unused(evidence: Evidence) -> Iterator[Problem]:
    expected = "NVLink counters that stand still, or no link that is up"
    readings = by_gpu(while_serving(evidence))
    for gpu in evidence.gpus:
        moved = _nvlink_bytes(readings[gpu.index])
        if moved is not None and moved > STILL_BYTES:
            yield warn(f"GPU {gpu.index}", f"{moved} bytes over NVLink in the run", expected)
        elif moved is None and gpu.nvlink_links_active != 0:
            yield unchecked(
                f"GPU {gpu.index}", "the card does not count bytes on its links", expected
            )


def _nvlink_bytes(readings: Sequence[Reading]) -> int | None:
    """Return the bytes that one GPU moved over its links, by its counters; None without them."""
    totals = [
        reading.nvlink_received_bytes + reading.nvlink_sent_bytes
        for reading in readings
        if reading.nvlink_received_bytes is not None and reading.nvlink_sent_bytes is not None
    ]
    return max(totals) - min(totals) if len(totals) > 1 else None


def _pcie(evidence: Evidence) -> Iterator[Problem]:
    """An idle card lowers its link: what counts is the best that it had in measured passes."""
    readings = by_gpu(while_measured(evidence))
    for gpu in evidence.gpus:
        generations = [reading.pcie_generation for reading in readings[gpu.index]]
        yield from _below(gpu, "generation", gpu.pcie_generation_max, generations)
        widths = [reading.pcie_width for reading in readings[gpu.index]]
        yield from _below(gpu, "width", gpu.pcie_width_max, widths)


def _below(
    gpu: GpuFacts, name: str, most: int | None, values: Sequence[int | None]
) -> Iterator[Problem]:
    known = [value for value in values if value is not None]
    if most is None or not known:
        yield unchecked(
            f"GPU {gpu.index}", f"no {name} in telemetry", f"the link's {name} under load"
        )
    elif max(known) < most:
        yield warn(f"GPU {gpu.index}", f"PCI Express {name} {max(known)} under load", f"{most}")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-nvlink",
        holds="NVLink is up and in use where the topology promises it, and unused elsewhere",
        hint="nvidia-smi nvlink --status",
        look=_nvlink,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(TELEMETRY_THERE,),
        seen=Seen.SOURCE,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-pcie",
        holds="under load every GPU had the PCI Express generation and width that it can have",
        hint="reseat the card, or use a slot or riser that serves it in full",
        look=_pcie,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(TELEMETRY_THERE,),
    ),
)
