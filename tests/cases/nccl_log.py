"""Cases that tamper with NCCL's log. Its lines are the files of `tests/logs/`."""

from kit.plan.topology import Transport
from tests.cases.case import edit, forged, group
from tests.cases.runs import CPU, NVLINK, PCIE, TP1
from tests.edits.logs import append_nccl_log, edit_nccl_log
from tests.edits.telemetry import each_card
from tests.factory import Draft
from tests.fake_logs import NCCL_LOGS

NVLINK_CHANNEL = next(
    line for line in NCCL_LOGS[Transport.NVLINK].splitlines(keepends=True) if b" via P2P/" in line
)


def replace_nccl_log(draft: Draft, log: bytes | None) -> None:
    """Replace the whole log, or remove it."""
    draft.nccl_log = log


def nvlink_graph(gb_s: str) -> bytes:
    """Return the line of NCCL's graph that tells an NVLink bandwidth."""
    return f"n [0] NCCL INFO + NVL[{gb_s}] - GPU/0-b3000\n".encode()


NCCL_LOG = group(
    "NCCL's log",
    forged("The log is missing, and not declared absent", "protocol-evidence",
           edit(replace_nccl_log, None), runs=(PCIE,)),
    forged("One channel uses NVLink, in a topology of shared memory", "topology-transport",
           edit(append_nccl_log, NVLINK_CHANNEL), runs=(PCIE,)),
    forged("Two ranks use NVLink, in a topology of one rank", "topology-transport",
           edit(replace_nccl_log, NCCL_LOGS[Transport.NVLINK]), runs=(CPU, TP1)),
    forged("The log has a third rank", "topology-transport",
           edit(edit_nccl_log, b"1[1]", b"2[2]"), runs=(PCIE,)),
    forged("An NCCL variable is set that is not planned", "topology-nccl-environment",
           edit(append_nccl_log,
                b"node:4:4 [0] NCCL INFO NCCL_NTHREADS set by environment to 64.\n"),
           runs=(NVLINK,)),
    forged("A planned NCCL variable has another value", "topology-nccl-environment",
           edit(edit_nccl_log, b"DISABLE set by environment to 1",
                b"DISABLE set by environment to 0"), runs=(PCIE,)),
    forged("The log is of other processes than the server's log", "topology-log",
           edit(edit_nccl_log, b"node:41:41", b"node:57:57"),
           edit(edit_nccl_log, b"node:42:42", b"node:58:58"), runs=(NVLINK,)),
    forged("The lines of one rank are of another process than the server's log", "topology-log",
           edit(edit_nccl_log, b"node:42:42", b"node:58:58"), runs=(PCIE,)),
    forged("The log is of another release of NCCL", "topology-log",
           edit(edit_nccl_log, b"NCCL version 2.27.5", b"NCCL version 2.21.5"), runs=(PCIE,)),
    forged("NCCL's graph has five times the NVLink bandwidth of the cards' links",
           "topology-nvlink",
           edit(append_nccl_log, nvlink_graph("240.0")), runs=(NVLINK,)),
    forged("NCCL's graph has NVLink, while the driver reports no active link", "topology-nvlink",
           edit(each_card, nvlink_links_active=0, nvlink_link_gb_s=None),
           edit(append_nccl_log, nvlink_graph("48.0")), runs=(PCIE,)),
    forged("The driver reports links four times as fast as NCCL's graph has them",
           "topology-nvlink",
           edit(each_card, nvlink_link_gb_s=53.125), edit(append_nccl_log, nvlink_graph("24.0")),
           runs=(NVLINK,)),
)  # fmt: skip
