"""The client's side of a run in containers: measures the engine next door, and seals the bundle.

What the engine and the host wrote down comes over volumes, never over the Docker socket.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit import canonical
from kit.bundle import EngineIdentity, Runtime
from kit.containers import HostFacts
from kit.edge import disk
from kit.edge.cell import Collected, Session, Site, request_failed
from kit.errors import SpecError
from kit.plan import Plan

_NO_FACTS = b"null"
"""What stands in place of the host's facts where nobody wrote them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Volumes:
    """Where the client finds what others in the project wrote: the engine its log."""

    evidence: Path


def run_in_container(
    plan: Plan, engine_url: str, facts: HostFacts | None, volumes: Volumes, site: Site
) -> Path:
    """Measure the engine at `engine_url`, and return the bundle's folder.

    Raises `RunError` after a partial bundle is sealed where a request fails.
    """
    identity = EngineIdentity(model_files=facts.model_files if facts else None)
    session = Session(plan, Runtime.DOCKER, identity, site)
    session.collect = lambda: Collected(server_log=_log(volumes), host_facts=facts)
    with session.sealed():
        site.watch.ready(0.0)
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


def _log(volumes: Volumes) -> bytes:
    """Return the server's log; an engine that died before its first word has none."""
    path = volumes.evidence / "server.log"
    return disk.read_log(path) if path.exists() else b""
