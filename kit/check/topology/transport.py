"""How ranks talk: over what the topology promises, on every channel.

NCCL's lines follow its sources (2.4 to 2.27); none was seen from a GPU host of this kit yet.
"""

from collections.abc import Iterator

from kit.bundle.bag import NCCL_LOG, SERVER_LOG
from kit.check.check import Check, ForFigures, Problem, Seen, fail, unchecked, warn
from kit.check.evidence import Evidence
from kit.check.needs import NCCL_LOG_THERE, READABLE_SERVER_LOG
from kit.parse.nccl_log import NcclLog, Via
from kit.parse.vllm_log import ServerLog
from kit.plan.topology import Transport

VIA = {
    Transport.NVLINK: (Via.P2P, "peer to peer (P2P/CUMEM or P2P/IPC)"),
    Transport.SHARED_MEMORY: (Via.SHM, "shared memory of the host (SHM)"),
    Transport.SOCKET: (Via.SOCKET, "TCP sockets (NET/Socket)"),
}

LOGGED_WHEN_SET = ("NCCL_NET", "NCCL_P2P_DISABLE", "NCCL_P2P_LEVEL", "NCCL_SHM_DISABLE")
"""Variables that choose a transport: NCCL logs at level INFO that it took them."""

BACKENDS = ("gloo", "mpi", "nccl", "ucc")
"""Of torch.distributed."""


def _transport(evidence: Evidence) -> Iterator[Problem]:
    promised, channels = evidence.engine.transport, evidence.observed.nccl_log
    yield from _world(evidence)
    if promised in VIA:
        yield from _channels(evidence, channels)
        if not evidence.document.plan.rehearsal:
            yield from _backend(evidence.server_log, "nccl")
        return
    for channel in () if channels is None else channels.channels:
        yield fail(f"channel {channel.number}", channel.wording, "no channel of NCCL's")
    if promised is Transport.GLOO:
        yield from _gloo(evidence, evidence.server_log)


def _channels(evidence: Evidence, log: NcclLog | None) -> Iterator[Problem]:
    """A channel over another transport fails; one in a form that is not known is a warning."""
    via, expected = VIA[evidence.engine.transport]
    ranks = evidence.engine.tensor_parallel_size
    if log is None or not log.channels:
        observed = "no NCCL log" if log is None else "no channel in NCCL's log"
        yield unchecked(NCCL_LOG, observed, expected)
        return
    for channel in log.channels:
        subject = f"channel {channel.number}, rank {channel.source_rank} to {channel.target_rank}"
        if channel.via is Via.OTHER:
            yield warn(subject, f"a form that is not known: {channel.wording}", expected)
        elif channel.via is not via:
            yield fail(subject, channel.wording, expected)
        if max(channel.source_rank, channel.target_rank) >= ranks:
            yield fail(subject, "a rank too many", f"{ranks} ranks")
    sources = {channel.source_rank for channel in log.channels}
    both_ways = sources & {channel.target_rank for channel in log.channels}
    if len(both_ways) < ranks:
        observed = f"{len(both_ways)} of {ranks} ranks have channels both ways"
        yield unchecked(NCCL_LOG, observed, expected)
    if log.is_cut:
        yield unchecked(NCCL_LOG, "more lines than are read", expected)


def _world(evidence: Evidence) -> Iterator[Problem]:
    log, expected = evidence.server_log, f"{evidence.engine.tensor_parallel_size} ranks"
    if not log.worlds:
        yield unchecked(SERVER_LOG, "the log does not contain the number of ranks", expected)
    for world in log.worlds:
        if world.size != evidence.engine.tensor_parallel_size:
            yield fail(SERVER_LOG, f"{world.size} ranks", expected)


def _backend(log: ServerLog, expected: str) -> Iterator[Problem]:
    for world in log.worlds:
        if world.backend != expected:
            problem = fail if world.backend in BACKENDS else warn
            yield problem(SERVER_LOG, f"backend {world.backend}", f"backend {expected}")


def _gloo(evidence: Evidence, log: ServerLog) -> Iterator[Problem]:
    """On CPU vLLM can also go through shared memory, and logs when that is disabled."""
    yield from _backend(log, "gloo")
    if log.worlds and not log.cpu_shm_disabled:
        observed = "the log does not say that the way through shared memory is disabled"
        yield unchecked(SERVER_LOG, observed, "Gloo alone")
    peers = evidence.engine.tensor_parallel_size - 1
    if log.gloo_peers and peers not in log.gloo_peers:
        observed = f"Gloo connected {max(log.gloo_peers)} peers"
        yield fail(SERVER_LOG, observed, f"{peers}, all other ranks")


def _environment(evidence: Evidence) -> Iterator[Problem]:
    log, environment = evidence.observed.nccl_log, evidence.engine.environment
    if log is None:  # of a single rank
        return
    planned = {name: value for name, value in environment if name.startswith("NCCL_")}
    for name, value in log.environment:
        if value != planned.get(name):
            expected = f"`{planned[name]}`" if name in planned else "unset, as in the plan"
            yield fail(name, f"`{value}`", expected)
    logged = {name for name, _ in log.environment}
    for name in LOGGED_WHEN_SET:
        if name in planned and name not in logged:
            yield warn(name, "NCCL's log does not say that it took it", f"`{planned[name]}`")
    if log.is_cut:
        yield unchecked(NCCL_LOG, "more lines than are read", "the plan's variables alone")


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-transport",
        holds="the ranks talk over what the topology promises, on every channel",
        hint="these figures belong to another topology: find out why NCCL chose another way",
        look=_transport,
        needs=(READABLE_SERVER_LOG,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="topology-nccl-environment",
        holds="NCCL took the variables of the plan, and no others",
        hint="unset NCCL_* variables and /etc/nccl.conf on the host, then measure again",
        look=_environment,
        applies=lambda evidence: evidence.is_on_gpus,
        needs=(NCCL_LOG_THERE,),
        seen=Seen.SOURCE,
        for_figures=ForFigures.CHECKED,
    ),
)
