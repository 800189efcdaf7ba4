"""The client of a run in containers: measures the engine's container and seals the bundle.

Logs of the engine, telemetry of the sampler and facts of the host reach it through volumes; the
client has no access to the Docker socket.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kit.bundle import telemetry
from kit.bundle.bag import Attachments
from kit.bundle.document import EngineIdentity, Runtime
from kit.bundle.host_facts import HostFacts
from kit.edge.files import disk
from kit.edge.host import sampler
from kit.errors import SpecError
from kit.format import canonical

TELEMETRY, END = "telemetry.jsonl", "end"

_NO_FACTS = b"null"
"""Content of the host's facts file where `docker compose` was started without the kit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Volumes:
    """Where other containers of the project write.

    The sampler writes telemetry until the file `END` is there. Its last line is waited for
    `patience_s`, since a call into the driver may hang.
    """

    evidence: Path
    telemetry: Path
    patience_s: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEngine:
    """The engine in the next container; implements `kit.edge.session.Engine`."""

    base_url: str
    served_model: str
    host_facts: HostFacts | None
    volumes: Volumes
    runtime: Runtime = Runtime.DOCKER

    @property
    def identity(self) -> EngineIdentity:
        """The model files, as the host read them in the engine's image."""
        return EngineIdentity(model_files=self.host_facts.model_files if self.host_facts else None)

    @property
    def private_words(self) -> dict[str, str]:
        """None: paths in a container are the same everywhere."""
        return {}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Yield the base URL: Compose starts the client once the engine is healthy."""
        yield self.base_url

    def attachments(self, origin_s: float) -> Attachments:
        """Stop the sampler, and read all that is in the volumes."""
        facts = self.host_facts
        return Attachments(
            server_log=_logs(self.volumes.evidence, "server.log") or b"",
            nccl_log=_logs(self.volumes.evidence, "nccl.*.log"),
            telemetry=_telemetry(self.volumes, origin_s),
            host_facts=None if facts is None else canonical.encode(facts),
        )


def read_host_facts(path: Path) -> HostFacts | None:
    """Return what the kit on the host wrote before the start; None where it was not used."""
    data = path.read_bytes()
    if data.strip() == _NO_FACTS:
        return None
    try:
        return canonical.decode(data, HostFacts)
    except (canonical.NotCanonical, msgspec.MsgspecError) as error:
        raise SpecError(
            f"cannot read the host's facts in {path}: {error}",
            "the client's image is of another version than the kit on the host",
            "make images",
        ) from error


def _logs(folder: Path, pattern: str) -> bytes | None:
    """Return all logs of this pattern, joined; None where there is none."""
    logs = [disk.read_log(path) for path in sorted(folder.glob(pattern))]
    return b"".join(logs) if logs else None


def _telemetry(volumes: Volumes, origin_s: float) -> bytes | None:
    """Stop the sampler and return its file, in seconds since the run's start; None if unusable."""
    path = volumes.telemetry / TELEMETRY
    if not path.exists():
        return None
    (volumes.telemetry / END).touch()
    sampler.wait_for_end(path, volumes.patience_s)  # a missing last line is a finding of `verify`
    try:
        return telemetry.from_start(path.read_bytes(), origin_s)
    except canonical.NotCanonical:  # recorded as absent
        return None
