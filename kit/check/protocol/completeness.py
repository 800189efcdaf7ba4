"""Whether all evidence is there: metrics around each pass, logs, facts of the engine."""

from collections.abc import Iterator, Sequence

from kit.bundle.document import Document, Runtime, Status
from kit.bundle.record import Moment
from kit.check.check import BUNDLE, Check, Problem, fail, unchecked
from kit.check.evidence import Evidence, subject_of
from kit.check.observed import MetricsKey
from kit.plan.plan import Dialect
from kit.plan.schedule import passes

MAY_BE_ABSENT = ("telemetry", "nccl_log")
"""On CPU there is neither. On GPUs the topology tier says what it cannot check without them, and
the figures are not reportable; a driver may have no telemetry, so that such a bundle is valid."""

ONLY_THE_HOST = ("host_facts", "model_files")


def _metrics_files(evidence: Evidence) -> Iterator[Problem]:
    document, is_partial = evidence.document, evidence.document.status is Status.PARTIAL
    planned = [
        (phase, number, moment) for phase, number in passes(document.plan) for moment in Moment
    ]
    for key in evidence.metrics:
        if key not in planned:
            yield fail(_file_name(key), "metrics of a pass that is not in the plan", "no such file")
    if is_partial and not evidence.is_own_engine:
        return
    if not evidence.metrics and not evidence.is_own_engine:
        yield unchecked(BUNDLE, "no server metrics were collected", "metrics around each pass")
        return
    problem = fail if evidence.is_own_engine else unchecked
    for key in _due_of_partial(evidence) if is_partial else planned:
        if key not in evidence.metrics:
            yield problem(_file_name(key), "not there", "metrics around each pass of the plan")


def _due_of_partial(evidence: Evidence) -> Iterator[MetricsKey]:
    """Yield the metrics due of a run that broke off: an engine that died has none after it."""
    for pass_ in evidence.passes[:-1]:
        yield pass_.phase, pass_.number, Moment.BEFORE
    for pass_ in evidence.passes[:-2]:
        yield pass_.phase, pass_.number, Moment.AFTER


def _file_name(key: MetricsKey) -> str:
    phase, number, moment = key
    return f"data/metrics/{phase.value}-{number}-{moment.value}.prom.gz"


def _evidence(evidence: Evidence) -> Iterator[Problem]:
    document = evidence.document
    for name in _not_there(evidence):
        if name not in document.absent:
            yield fail(BUNDLE, f"no {name}, and no reason for it", f"{name} named in `absent`")
    if evidence.is_own_engine:
        yield from _of_own_engine(evidence)
    if document.plan.dialect is Dialect.VLLM:
        for record in evidence.answered:
            if record.token_ids is None or record.prompt_token_ids is None:
                yield fail(subject_of(record), "no token ids", "token ids, as requested")


def _of_own_engine(evidence: Evidence) -> Iterator[Problem]:
    """Of its own engine the kit knows all; one that never became ready reported no version."""
    document = evidence.document
    if not evidence.observed.has_server_log:
        yield fail(BUNDLE, "no server log", "the log of the kit's own engine")
    if document.status is Status.PARTIAL:
        return
    for name in _known_of_engine(document):
        if not getattr(document.engine, name):
            yield fail(BUNDLE, f"no {name} of the engine", f"the engine's {name}")
    may_be_absent = MAY_BE_ABSENT + (ONLY_THE_HOST if _is_started_by_hand(document) else ())
    for name in document.absent:
        if name not in may_be_absent:
            yield fail(BUNDLE, f"{name} named in `absent`", "all evidence of the kit's own engine")


def _known_of_engine(document: Document) -> Sequence[str]:
    """Return what the kit knows of its engine: of one in a container, what the image contains."""
    if document.runtime is Runtime.PROCESS:
        return document.engine.__struct_fields__
    return ("version",) if _is_started_by_hand(document) else ("version", "model_files")


def _is_started_by_hand(document: Document) -> bool:
    """Tell whether `docker compose` was started without the kit, so that no host facts exist."""
    return document.runtime is Runtime.DOCKER and "host_facts" in document.absent


def _not_there(evidence: Evidence) -> Iterator[str]:
    """Name the evidence that is missing, in the words of `absent`."""
    observed, engine = evidence.observed, evidence.document.plan.engine
    if not evidence.metrics:
        yield "metrics"
    if not evidence.observed.has_server_log:
        yield "server_log"
    if not evidence.document.engine.model_files:
        yield "model_files"
    if evidence.document.runtime is Runtime.DOCKER and observed.host_facts is None:
        yield "host_facts"
    if observed.telemetry is None and observed.telemetry_fault is None:
        yield "telemetry"
    has_peers = engine is not None and engine.tensor_parallel_size > 1
    if observed.nccl_log is None and evidence.is_on_gpus and has_peers:
        yield "nccl_log"
    if evidence.answered and all(record.token_ids is None for record in evidence.answered):
        yield "token_ids"


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-metrics-files",
        holds="the server's metrics are there from before and after each pass of the plan",
        hint="measure again: without its metrics a pass cannot be compared with the server",
        look=_metrics_files,
    ),
    Check(
        id="protocol-evidence",
        holds="evidence that is not there is named in `absent`, and none is missing of our own "
        "engine",
        hint="measure again: a bundle of the kit's own engine holds all of its evidence",
        look=_evidence,
    ),
)
