"""The topology tier's look at how ranks talk: over what the topology promises, on every channel."""

from collections.abc import Iterator

from kit.bundle import bag
from kit.check.codes import Code
from kit.check.evidence import Evidence
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.check.topology.settings import unread
from kit.parse.nccl_log import NcclLog, Via
from kit.parse.vllm_log import ServerLog
from kit.plan.plan import Engine
from kit.plan.topology import Device, Transport

_VIA = {
    Transport.NVLINK: (Via.P2P, "peer to peer (P2P/CUMEM or P2P/IPC)"),
    Transport.SHARED_MEMORY: (Via.SHM, "shared memory of the host (SHM)"),
    Transport.SOCKET: (Via.SOCKET, "TCP sockets (NET/Socket)"),
}

_TOLD_FOR_SURE = ("NCCL_NET", "NCCL_P2P_DISABLE", "NCCL_P2P_LEVEL", "NCCL_SHM_DISABLE")
"""Variables that choose a transport: NCCL says at level INFO that it took them."""


def check(evidence: Evidence, engine: Engine) -> Iterator[Finding]:
    """Yield what logs say of the way between the ranks of the plan's engine."""
    yield from findings(Code.TOPOLOGY_TRANSPORT, _transport(evidence, engine))
    if engine.device is Device.GPU:
        log = evidence.observed.nccl_log
        yield from findings(Code.TOPOLOGY_NCCL_ENVIRONMENT, _environment(engine, log))


def _transport(evidence: Evidence, engine: Engine) -> Iterator[Problem]:
    ranks, server = evidence.observed.nccl_log, evidence.observed.server_log
    match engine.transport:
        case Transport.NONE:
            yield from _no_channels(ranks)
            yield from _world(engine, server)
        case Transport.GLOO:
            yield from _no_channels(ranks)
            yield from _world(engine, server)
            yield from _gloo(engine, server)
        case Transport.NVLINK | Transport.SHARED_MEMORY | Transport.SOCKET:
            yield from _channels(engine, ranks)
            yield from _world(engine, server)
            if not evidence.document.plan.rehearsal:
                yield from _backend(server, "nccl")


def _channels(engine: Engine, log: NcclLog | None) -> Iterator[Problem]:
    """Hold every channel against the promise; where there is none, nothing has been shown."""
    via, expected = _VIA[engine.transport]
    if log is None or not log.channels:
        observed = "no NCCL log" if log is None else "no channel in NCCL's log"
        yield unchecked(bag.NCCL_LOG, observed, expected)
        return
    for one in log.channels:
        subject = f"channel {one.number}, rank {one.source_rank} to {one.target_rank}"
        if one.via is not via:
            yield fail(subject, clip(one.wording), expected)
        if max(one.source_rank, one.target_rank) >= engine.tensor_parallel_size:
            yield fail(subject, "a rank too many", f"{engine.tensor_parallel_size} ranks")
    heard = {one.source_rank for one in log.channels} & {one.target_rank for one in log.channels}
    if len(heard) < engine.tensor_parallel_size:
        observed = f"{len(heard)} of {engine.tensor_parallel_size} ranks have channels both ways"
        yield unchecked(bag.NCCL_LOG, observed, expected)
    if log.is_cut:
        yield unchecked(bag.NCCL_LOG, "more lines than are looked at", expected)


def _no_channels(log: NcclLog | None) -> Iterator[Problem]:
    for one in () if log is None else log.channels:
        yield fail(f"channel {one.number}", clip(one.wording), "no channel of NCCL's")


def _world(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    """Hold the number of ranks, by the server's log, against the topology's."""
    expected = f"{engine.tensor_parallel_size} ranks"
    if (reason := unread(log)) is not None or log is None:
        yield unchecked(bag.SERVER_LOG, reason or "no server log", expected)
        return
    if not log.worlds:
        yield unchecked(bag.SERVER_LOG, "the log does not tell the number of ranks", expected)
    for world in log.worlds:
        if world.size != engine.tensor_parallel_size:
            yield fail(bag.SERVER_LOG, f"{world.size} ranks", expected)


def _backend(log: ServerLog | None, expected: str) -> Iterator[Problem]:
    for world in () if log is None or unread(log) is not None else log.worlds:
        if world.backend != expected:
            yield fail(bag.SERVER_LOG, f"backend {clip(world.backend)}", f"backend {expected}")


def _gloo(engine: Engine, log: ServerLog | None) -> Iterator[Problem]:
    """On CPU vLLM has a way through shared memory besides Gloo, and says when it is disabled."""
    if log is None or unread(log) is not None or not log.worlds:
        return  # which has been said
    yield from _backend(log, "gloo")
    if not log.cpu_shm_disabled:
        observed = "the log does not say that the way through shared memory is disabled"
        yield unchecked(bag.SERVER_LOG, observed, "Gloo alone")
    peers = engine.tensor_parallel_size - 1
    if log.gloo_peers and peers not in log.gloo_peers:
        observed = f"Gloo connected {max(log.gloo_peers)} peers"
        yield fail(bag.SERVER_LOG, observed, f"{peers}, all other ranks")


def _environment(engine: Engine, log: NcclLog | None) -> Iterator[Problem]:
    """Hold what NCCL says that it was told against the plan's environment."""
    planned = {name: value for name, value in engine.environment if name.startswith("NCCL_")}
    if log is None:
        if engine.tensor_parallel_size > 1:
            yield unchecked(bag.NCCL_LOG, "no NCCL log", Code.TOPOLOGY_NCCL_ENVIRONMENT.holds)
        return
    for name, value in log.environment:
        if value != planned.get(name):
            expected = f"`{planned[name]}`" if name in planned else "unset, as in the plan"
            yield fail(clip(name), f"`{clip(value)}`", clip(expected))
    told = {name for name, _ in log.environment}
    for name in _TOLD_FOR_SURE:
        if name in planned and name not in told:
            observed = "NCCL's log does not say that it took it"
            yield unchecked(name, observed, clip(f"`{planned[name]}`"))
    if log.is_cut:
        observed = "more lines than are looked at"
        yield unchecked(bag.NCCL_LOG, observed, Code.TOPOLOGY_NCCL_ENVIRONMENT.holds)
