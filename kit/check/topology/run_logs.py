"""The topology tier's look at whether logs are of this run: its responses, its ranks.

No GPU was seen: how NCCL spells the processes that write, and vLLM its NCCL, is from their sources.
"""

import math
from collections.abc import Collection, Iterator, Sequence

from kit.bundle.bag import NCCL_LOG, SERVER_LOG
from kit.bundle.document import Status
from kit.check.codes import Code
from kit.check.evidence import Evidence, counted_before
from kit.check.finding import Finding
from kit.check.problem import Problem, clip, fail, findings, unchecked
from kit.check.topology.settings import unread
from kit.parse.nccl_log import NcclLog
from kit.parse.vllm_log import ServerLog


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield whether the server's log, and NCCL's where there is one, are of this run."""
    server, ranks = evidence.observed.server_log, evidence.observed.nccl_log
    found = (*_of_this_run(evidence, server), *_of_one_engine(evidence, server, ranks))
    yield from findings(Code.TOPOLOGY_LOG, found)


def _of_this_run(evidence: Evidence, log: ServerLog | None) -> Iterator[Problem]:
    expected = f"{len(evidence.answered)} chat completions"
    if log is None or log.is_cut:
        reason = "no server log" if log is None else "more lines than are looked at"
        yield unchecked(SERVER_LOG, reason, expected)
        return
    why = unread(log) if evidence.answered else "no request was answered"
    if not log.completions and why is not None:
        yield unchecked(SERVER_LOG, f"the log tells of no completion: {why}", expected)
        return
    was_cut = evidence.document.status is Status.PARTIAL
    was_asked = any(counted_before(evidence).values())  # of which the protocol tier warns
    most = len(evidence.records) + was_cut  # by the response that was being streamed
    if not len(evidence.answered) <= log.completions <= (math.inf if was_asked else most):
        yield fail(SERVER_LOG, f"{log.completions} chat completions", expected)
    if was_asked:
        observed = "it also tells of requests before the first pass"
        yield unchecked(SERVER_LOG, observed, "counts of the records alone")


def _of_one_engine(
    evidence: Evidence, server: ServerLog | None, ranks: NcclLog | None
) -> Iterator[Problem]:
    """Hold the ranks that wrote the logs: those of one start, the same in the server's and NCCL's.

    Each tells its own process id, so that containers make no difference.
    """
    engine = evidence.document.plan.engine
    if server is None or unread(server) is not None or engine is None:
        return
    if len(server.rank_pids) > engine.tensor_parallel_size:
        observed = f"ranks in processes {', '.join(map(str, server.rank_pids))}"
        expected = f"{engine.tensor_parallel_size}, of one start of the engine"
        yield fail(SERVER_LOG, clip(observed), expected)
    if ranks is None:
        return
    if _differ(_releases(server.nccl_versions), _releases(ranks.versions)):
        observed = f"NCCL {', '.join(ranks.versions)}"
        expected = f"NCCL {', '.join(server.nccl_versions)}, by the server's log"
        yield fail(NCCL_LOG, clip(observed), clip(expected))
    if ranks.pids and not ranks.is_cut and not set(server.rank_pids) <= set(ranks.pids):
        observed = f"written by processes {', '.join(map(str, ranks.pids))}"
        expected = f"by processes {', '.join(map(str, server.rank_pids))}, the server's ranks"
        yield fail(NCCL_LOG, clip(observed), clip(expected))


def _releases(versions: Sequence[str]) -> set[str]:
    """Return versions as both spell them: NCCL adds CUDA's, and vLLM leaves out a last 0."""
    return {version.partition("+")[0].removesuffix(".0") for version in versions}


def _differ(some: Collection[object], others: Collection[object]) -> bool:
    """Tell whether both name something, and nothing that the other names too."""
    return bool(some) and bool(others) and set(some).isdisjoint(others)
