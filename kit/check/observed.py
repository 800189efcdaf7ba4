"""What a bundle's logs, telemetry and metrics say, read once; None where there is none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, TypeVar

from kit.bundle import bag, telemetry
from kit.bundle.host_facts import HostFacts
from kit.bundle.record import Moment
from kit.bundle.telemetry import Telemetry
from kit.format.canonical import NotCanonical
from kit.parse import nccl_log, vllm_log
from kit.parse.nccl_log import NcclLog
from kit.parse.vllm_log import ServerLog
from kit.parse.vllm_metrics import Labels, Metrics
from kit.plan.schedule import Phase

T = TypeVar("T")


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
    finished: Mapping[MetricsKey, Counters] = field(default_factory=dict)
    served_names: tuple[str, ...] = ()
    cache_configs: tuple[Labels, ...] = ()


class OfLogs(TypedDict, total=False):
    """What logs say, as `Observed` has it."""

    server_log: ServerLog
    nccl_log: NcclLog
    telemetry: Telemetry
    telemetry_fault: str


def of_log(name: str, text: bytes) -> OfLogs:
    """Read the text of a bundle's log or telemetry, by its name of `bag.LOGS`."""
    match name:
        case bag.SERVER_LOG:
            return {"server_log": vllm_log.read(text)}
        case bag.NCCL_LOG:
            return {"nccl_log": nccl_log.read(text)}
    try:
        return {"telemetry": telemetry.read(text)}
    except NotCanonical as error:
        return {"telemetry_fault": str(error)}


def observe(
    logs: Iterable[OfLogs], expositions: Mapping[MetricsKey, Metrics], *, has_server_log: bool
) -> Observed:
    """Put together what logs and the server's metrics say."""
    of_logs = OfLogs()
    for log in logs:
        of_logs.update(log)
    return Observed(
        **of_logs,
        has_server_log=has_server_log,
        finished={key: metrics.finished for key, metrics in expositions.items()},
        served_names=_distinct(metrics.served_name for metrics in expositions.values()),
        cache_configs=_distinct(metrics.cache_config for metrics in expositions.values()),
    )


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(filter(None, dict.fromkeys(values)))
