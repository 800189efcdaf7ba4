"""A bundle as handed in: its files, what a reader refused, and what could be read of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.bundle import bag
from kit.bundle.document import Document
from kit.bundle.host_facts import HostFacts
from kit.bundle.record import Record
from kit.check.check import Problem
from kit.check.observed import Counters, MetricsKey, Observed
from kit.check.refusal import Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedBag:
    """A bag's payload, each file hashed once and inflated once.

    `listed` are the digests by the manifest, `digests` those that were computed, `manifest` the
    manifest that these imply. `problems` are those of compressed files.
    """

    listed: Mapping[str, str]
    digests: Mapping[str, str]
    manifest: bytes
    metrics: Mapping[MetricsKey, Counters]
    observed: Observed
    problems: tuple[Problem, ...]

    @property
    def id(self) -> str:
        return bag.identifier(self.manifest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Document and records; None where they cannot be read. `problems` by the id of a check."""

    document: Document | None
    records: tuple[Record, ...] | None
    host_facts: HostFacts | None
    problems: Mapping[str, Sequence[Problem]]
    is_other_version: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """What the schema tier and the integrity tier look at."""

    files: Mapping[str, bytes]
    refused: Sequence[Refusal]
    opened: OpenedBag
    reading: Reading
