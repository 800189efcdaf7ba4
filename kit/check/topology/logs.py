"""Whether logs are of this run: a completion for each response, and NCCL's log by its ranks."""

from collections.abc import Iterator, Sequence

from kit.bundle.bag import NCCL_LOG, SERVER_LOG
from kit.bundle.document import Status
from kit.check.check import Check, ForFigures, Problem, fail, unchecked, warn
from kit.check.evidence import Evidence, counted_before
from kit.check.needs import READABLE_SERVER_LOG
from kit.parse.vllm_log import ServerLog


def _logs(evidence: Evidence) -> Iterator[Problem]:
    yield from _completions(evidence)
    if READABLE_SERVER_LOG.missing(evidence) is None:
        yield from _ranks(evidence, evidence.server_log)


def _completions(evidence: Evidence) -> Iterator[Problem]:
    """Count the log's completions; a response that was cut while streaming may have one."""
    log, answered = evidence.observed.server_log, len(evidence.answered)
    expected = f"{answered} chat completions"
    if log is None or log.is_cut:
        reason = "no server log" if log is None else "more lines than are read"
        yield unchecked(SERVER_LOG, reason, expected)
        return
    why = READABLE_SERVER_LOG.missing(evidence) if answered else "no request was answered"
    if not log.completions and why is not None:
        yield unchecked(SERVER_LOG, f"no completion in the log: {why}", expected)
        return
    most = len(evidence.records) + (evidence.document.status is Status.PARTIAL)
    if any(counted_before(evidence).values()):
        if log.completions < answered:
            yield fail(SERVER_LOG, f"{log.completions} chat completions", expected)
        observed = "requests before the first pass are in the log, too"
        yield unchecked(SERVER_LOG, observed, "completions of the records alone")
    elif not answered <= log.completions <= most:
        yield fail(SERVER_LOG, f"{log.completions} chat completions", expected)


def _ranks(evidence: Evidence, log: ServerLog) -> Iterator[Problem]:
    """Compare the processes that wrote the logs: each logs its own id, in containers as well.

    How NCCL spells processes and releases, and vLLM its NCCL, follows from their sources.
    """
    ranks, nccl = evidence.engine.tensor_parallel_size, evidence.observed.nccl_log
    if len(log.rank_pids) > ranks:
        observed = f"ranks in processes {', '.join(map(str, log.rank_pids))}"
        yield fail(SERVER_LOG, observed, f"{ranks}, of one start of the engine")
    if nccl is None:
        return
    in_server, in_nccl = _releases(log.nccl_versions), _releases(nccl.versions)
    if in_server and in_nccl and in_server.isdisjoint(in_nccl):
        expected = f"NCCL {', '.join(log.nccl_versions)}, by the server's log"
        yield warn(NCCL_LOG, f"NCCL {', '.join(nccl.versions)}", expected)
    if nccl.pids and not nccl.is_cut and not set(log.rank_pids) <= set(nccl.pids):
        observed = f"written by processes {', '.join(map(str, nccl.pids))}"
        expected = f"by processes {', '.join(map(str, log.rank_pids))}, the server's ranks"
        yield warn(NCCL_LOG, observed, expected)


def _releases(versions: Sequence[str]) -> set[str]:
    """Spell versions alike: NCCL adds CUDA's, and vLLM leaves out a last 0."""
    return {version.partition("+")[0].removesuffix(".0") for version in versions}


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="topology-log",
        holds="logs are of this run: a completion for each response; NCCL's is by its ranks",
        hint="ask for the original: these logs and these records are not of one run",
        look=_logs,
        for_figures=ForFigures.CHECKED,
    ),
)
