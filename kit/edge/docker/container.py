"""The client's side of a run in containers: measures the engine next door, and seals the bundle.

What the engine and the host wrote down comes over volumes, never over the Docker socket.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.bundle import telemetry
from kit.bundle.bag import Attachments
from kit.bundle.document import EngineIdentity, Runtime
from kit.bundle.host_facts import HostFacts
from kit.edge.files import disk
from kit.edge.host import sampler
from kit.edge.session import RunContext, Session, request_failed
from kit.errors import SpecError
from kit.format import canonical
from kit.plan.plan import Plan

TELEMETRY, END = "telemetry.jsonl", "end"

_NO_FACTS = b"null"
"""What stands in place of the host's facts where nobody wrote them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Volumes:
    """Where the client finds what others in the project wrote.

    The engine its logs, and the sampler its telemetry, which goes on until `END` is put beside it:
    `patience_s` is how long its last line is waited for, since a sampler may hang in the driver.
    """

    evidence: Path
    telemetry: Path
    patience_s: float = 10.0


def run_in_container(
    plan: Plan, engine_url: str, facts: HostFacts | None, volumes: Volumes, context: RunContext
) -> Path:
    """Measure the engine at `engine_url`, and return the bundle's folder.

    Raises `RunError` after a partial bundle is sealed where a request fails.
    """
    identity = EngineIdentity(model_files=facts.model_files if facts else None)
    session = Session(plan, Runtime.DOCKER, identity, context)
    session.collect = lambda origin_s: _attachments(volumes, facts, origin_s)
    with session.sealed():
        context.watch.ready(0.0)
        failed = session.measure(engine_url, plan.cell.model)
        if failed is not None:
            raise request_failed(failed)
    return session.path


def read_host_facts(path: Path) -> HostFacts | None:
    """Return what the host wrote before the start; None where it wrote nothing."""
    data = path.read_bytes()
    if data.strip() == _NO_FACTS:
        return None
    try:
        return canonical.decode(data, HostFacts)
    except (canonical.NotCanonical, msgspec.MsgspecError) as error:
        raise SpecError(
            f"cannot use the host's facts in {path}: {error}",
            "client image and kit are of different versions",
            "make images",
        ) from error


def _attachments(volumes: Volumes, facts: HostFacts | None, origin_s: float) -> Attachments:
    return Attachments(
        server_log=_log(volumes.evidence, "server.log") or b"",
        nccl_log=_log(volumes.evidence, "nccl.*.log"),
        telemetry=_telemetry(volumes, origin_s),
        host_facts=None if facts is None else canonical.encode(facts),
    )


def _log(folder: Path, pattern: str) -> bytes | None:
    """Return the logs of this name, one after the other; None where there is none."""
    found = [disk.read_log(path) for path in sorted(folder.glob(pattern))]
    return b"".join(found) if found else None


def _telemetry(volumes: Volumes, origin_s: float) -> bytes | None:
    """Have the sampler come to its end, and return what it wrote; None where there is none."""
    written = volumes.telemetry / TELEMETRY
    if not written.exists():
        return None
    (volumes.telemetry / END).touch()
    sampler.wait_for_end(written, volumes.patience_s)  # without a last line the checks say so
    try:
        return telemetry.from_start(written.read_bytes(), origin_s)
    except canonical.NotCanonical:  # said to be absent, rather than sealed as what it is not
        return None
