"""Honest or suspect forms that no GPU run of the kit has shown yet: each is a warning, no more."""

from tests.cases.case import edit, group, suspected
from tests.cases.runs import NVLINK, PCIE
from tests.cases.telemetry import count_nvlink
from tests.edits.host_facts import set_host_facts
from tests.edits.logs import append_nccl_log, append_server_log, edit_nccl_log, edit_server_log
from tests.edits.metrics import each_exposition
from tests.edits.telemetry import set_readings
from tests.factory import Draft

NEW_CHANNEL = b"node:41:41 [0] NCCL INFO Channel 09/0 : 0[0] -> 1[1] via P2P/FABRIC\n"
NEW_KERNEL = (
    b"INFO 03-06 12:00:00 [x.py:1] Using TritonWNA16LinearKernel for CompressedTensorsWNA16\n"
)
MATRIX = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \t{link}\t0-15\nGPU1\t{link}\t X \t0-15\n"


def enlarge_cache(draft: Draft) -> None:
    """Let the metrics agree with a cache of 312,864 tokens in place of 123,456."""
    each_exposition(draft, lambda text: text.replace(b'blocks="7716"', b'blocks="19554"'))


UNSEEN = group(
    "Evidence in a form that no GPU run has shown yet",
    suspected("One channel has a form that is not known", "topology-transport",
              edit(append_nccl_log, NEW_CHANNEL), runs=(PCIE, NVLINK)),
    suspected("NCCL does not log that it took a planned variable", "topology-nccl-environment",
              edit(edit_nccl_log, b"NCCL_P2P_DISABLE set by environment to 1", b"NCCL_DEBUG"),
              runs=(PCIE,)),
    suspected("A kernel's name is not known", "topology-kernels",
              edit(append_server_log, NEW_KERNEL), runs=(PCIE,)),
    suspected("A quantization method's name is not known", "topology-arguments",
              edit(edit_server_log, b"quantization=compressed-tensors",
                   b"quantization=compressed_tensors_marlin"), runs=(PCIE,)),
    suspected("The KV cache is 3 % larger than weights leave room for", "topology-model",
              edit(edit_server_log, b"123,456 tokens", b"312,864 tokens"), enlarge_cache,
              runs=(NVLINK,)),
    suspected("NCCL's log is of other processes than the server's log", "topology-log",
              edit(edit_nccl_log, b"node:41:41", b"node:57:57"),
              edit(edit_nccl_log, b"node:42:42", b"node:58:58"), runs=(NVLINK,)),
    suspected("The lines of one rank are of another process than the server's log", "topology-log",
              edit(edit_nccl_log, b"node:42:42", b"node:58:58"), runs=(PCIE,)),
    suspected("NCCL's log is of another release than the server's log names", "topology-log",
              edit(edit_nccl_log, b"NCCL version 2.27.5", b"NCCL version 2.21.5"), runs=(PCIE,)),
    suspected("NVLink's counters stand still", "topology-nvlink",
              edit(set_readings, nvlink_received_bytes=5, nvlink_sent_bytes=5), runs=(NVLINK,)),
    suspected("NVLink carries traffic, in a topology of shared memory", "topology-nvlink",
              edit(count_nvlink, 0, 0, 2**20), runs=(PCIE,)),
    suspected("The host's matrix has a word for a link that is not known", "topology-nvlink",
              edit(set_host_facts, topology_matrix=MATRIX.format(link="C2C")), runs=(NVLINK,)),
)  # fmt: skip
