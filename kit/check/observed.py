"""What a bundle's logs, telemetry and metrics say, read once; None where there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kit.bundle.host_facts import HostFacts
from kit.bundle.load import LoadSample
from kit.bundle.record import Moment
from kit.bundle.telemetry import Telemetry
from kit.parse.nccl_log import NcclLog
from kit.parse.vllm_log import ServerLog
from kit.parse.vllm_metrics import Labels
from kit.plan.schedule import Phase

Counters = Mapping[str, float]
"""Name of a Prometheus sample to its total, as `kit.parse.vllm_metrics` reads them."""

MetricsKey = tuple[Phase, int, Moment]


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What logs, telemetry and metrics say of the engine and its GPUs; None where there is none.

    `has_server_log` is true of a file, readable or not; `telemetry_fault` says why telemetry that
    is there cannot be read. Of the server's metrics, `finished` are its requests by finish reason,
    `served_names` and `cache_configs` each different model name and KV cache configuration once.
    """

    has_server_log: bool = False
    server_log: ServerLog | None = None
    nccl_log: NcclLog | None = None
    telemetry: Telemetry | None = None
    telemetry_fault: str | None = None
    host_facts: HostFacts | None = None
    load: tuple[LoadSample, ...] | None = None
    finished: Mapping[MetricsKey, Counters] = field(default_factory=dict)
    served_names: tuple[str, ...] = ()
    cache_configs: tuple[Labels, ...] = ()
