"""Cases that tamper with NCCL's log. Its lines are the files of `tests/logs/`."""

from kit.plan.topology import Transport
from tests.cases.case import edit, forged, group
from tests.cases.runs import CPU, NVLINK, PCIE, TP1
from tests.edits.logs import append_nccl_log, edit_nccl_log
from tests.factory import Draft
from tests.fake_logs import NCCL_LOGS

NVLINK_CHANNEL = next(
    line for line in NCCL_LOGS[Transport.NVLINK].splitlines(keepends=True) if b" via P2P/" in line
)


def replace_nccl_log(draft: Draft, log: bytes | None) -> None:
    """Replace the whole log, or remove it."""
    draft.nccl_log = log


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
)  # fmt: skip
