"""The evidence that checks may need, and why it may be missing: decided here and nowhere else."""

import re

from kit.bundle.bag import HOST_FACTS, NCCL_LOG, SERVER_LOG, TELEMETRY
from kit.check.check import Need
from kit.check.evidence import Evidence

PINNED_VLLM = "0.17.0"

_BUILD = re.compile(r"\+(?:cpu|cu[0-9]{2,3})\Z")


def release_of(version: str) -> str:
    """Return a version without the label of vLLM's own builds (PEP 440: `0.17.0+cpu`)."""
    return _BUILD.sub("", version)


def _server_log(evidence: Evidence) -> str | None:
    """Only the pinned release's log is understood."""
    log = evidence.observed.server_log
    if log is None:
        return "no server log"
    if not log.engine_versions:
        return "the log does not contain vLLM's version"
    others = [name for name in log.engine_versions if release_of(name) != PINNED_VLLM]
    return f"a log of vLLM {others[0]}, which this kit does not read" if others else None


def _nccl_log(evidence: Evidence) -> str | None:
    """NCCL's log is optional with one rank."""
    has_peers = evidence.engine.tensor_parallel_size > 1
    return "no NCCL log" if has_peers and evidence.observed.nccl_log is None else None


def _telemetry(evidence: Evidence) -> str | None:
    if evidence.observed.telemetry is not None:
        return None
    return "no telemetry" if evidence.observed.telemetry_fault is None else "not readable"


def _host_facts(evidence: Evidence) -> str | None:
    is_there = evidence.observed.host_facts is not None
    return None if is_there else "started without the kit: nothing was recorded on the host"


READABLE_SERVER_LOG = Need(subject=SERVER_LOG, missing=_server_log)
NCCL_LOG_THERE = Need(subject=NCCL_LOG, missing=_nccl_log)
TELEMETRY_THERE = Need(subject=TELEMETRY, missing=_telemetry)
HOST_FACTS_THERE = Need(subject=HOST_FACTS, missing=_host_facts)
