"""From what a run recorded to the files of its bundle: the document, and every text redacted."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from kit import __version__
from kit.bundle import bag, load
from kit.bundle.bag import Attachments
from kit.bundle.document import (
    SCHEMA_VERSION,
    Clock,
    Document,
    EngineIdentity,
    Failure,
    Load,
    Runtime,
    Status,
)
from kit.bundle.redact import redact
from kit.edge.host import probes
from kit.plan.plan import Dialect, Plan
from kit.plan.topology import Device
from kit.run.walk import RunLog


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """What is known of a run before its engine starts.

    `private_words` maps what must not enter a bundle to its placeholder; `origin_s` is the start on
    `time.monotonic()`.
    """

    plan: Plan
    runtime: Runtime
    identity: EngineIdentity
    host_id: str
    run_salt: str | None
    private_words: Mapping[str, str]
    load_before: Load | None
    start_utc: datetime
    origin_s: float


def payload(
    facts: RunFacts, run_log: RunLog, attachments: Attachments, failure: Failure | None
) -> dict[str, bytes]:
    """Return the payload files of the bundle of a run that ends now."""
    redacted = Attachments(
        server_log=_redacted(attachments.server_log, facts),
        nccl_log=_redacted(attachments.nccl_log, facts),
        telemetry=attachments.telemetry,
        host_facts=attachments.host_facts,
        load=load.write(run_log.load) if facts.plan.is_concurrent else None,
    )
    return bag.payload(
        _document(facts, run_log, attachments, failure),
        tuple(run_log.records),
        {name: redact(text, facts.private_words) for name, text in run_log.metrics.items()},
        redacted,
    )


def _redacted(log: bytes | None, facts: RunFacts) -> bytes | None:
    return None if log is None else redact(log, facts.private_words)


def _document(
    facts: RunFacts, run_log: RunLog, attachments: Attachments, failure: Failure | None
) -> Document:
    return Document(
        schema_version=SCHEMA_VERSION,
        kit_version=__version__,
        status=Status.PARTIAL if failure else Status.COMPLETE,
        failure=failure,
        runtime=facts.runtime,
        host_id=facts.host_id,
        plan=facts.plan,
        plan_digest=facts.plan.digest(),
        run_salt=facts.run_salt,
        clock=Clock(
            start_utc=_utc(facts.start_utc),
            end_utc=_utc(datetime.now(UTC)),
            end_s=round(time.monotonic() - facts.origin_s, 6),
        ),
        calibrations=tuple(run_log.calibrations),
        engine=replace(facts.identity, version=run_log.engine_version),
        host=probes.host(facts.load_before, probes.load()),
        packages=probes.packages(),
        absent=_absent(facts, run_log, attachments),
    )


def _absent(facts: RunFacts, run_log: RunLog, attachments: Attachments) -> dict[str, str]:
    """Return the evidence that this run could not collect, each with the reason."""
    absent = _absent_of_runtime(facts, attachments)
    if not run_log.metrics:
        absent["metrics"] = "the server's /metrics did not answer"
    if facts.plan.dialect is not Dialect.VLLM:
        absent["token_ids"] = "the server does not return token ids"
    return absent


def _absent_of_runtime(facts: RunFacts, attachments: Attachments) -> dict[str, str]:
    if facts.runtime is Runtime.ENDPOINT:
        names = ("engine", "server_log", "model_files", "telemetry")
        return dict.fromkeys(names, "the kit did not start this server")
    engine = facts.plan.engine
    on_gpu = engine is not None and engine.device is Device.GPU
    absent = {} if on_gpu else {"telemetry": "not collected on CPU"}
    if on_gpu and attachments.telemetry is None:
        absent["telemetry"] = "the sampler wrote nothing that can be read"
    if on_gpu and attachments.nccl_log is None:
        absent["nccl_log"] = "NCCL wrote nothing: one rank alone does not use it"
    if facts.runtime is Runtime.DOCKER and attachments.host_facts is None:
        reason = "started by `docker compose` alone: only the kit on the host collects them"
        absent |= dict.fromkeys(("host_facts", "model_files"), reason)
    return absent


def _utc(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}Z"
