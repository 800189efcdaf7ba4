"""`bundle.json`: what is known of a run besides its records, as types that a decoder enforces."""

from enum import Enum
from typing import Annotated

import msgspec

from kit.format.fields import FullLine, Key, Line, Seconds, Sha256, Size, Utc
from kit.plan.plan import Plan

SCHEMA_VERSION = 1
"""Format history. 1: first version."""


class Status(Enum):
    """Whether the run went to its end; a partial bundle holds all that was recorded before."""

    COMPLETE = "complete"
    PARTIAL = "partial"


class Runtime(Enum):
    """Who started the server: the kit, as a process or in a container, or somebody else."""

    PROCESS = "process"
    DOCKER = "docker"
    ENDPOINT = "endpoint"


Core = Annotated[int, msgspec.Meta(ge=0, le=65535)]


HostId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}", max_length=32)]


Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*\Z", max_length=64)]


class _DocumentPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A piece of `bundle.json`."""


class Failure(_DocumentPart, frozen=True, kw_only=True):
    """Where a run stopped short, and a code for why."""

    stage: Line
    code: Line


class Clock(_DocumentPart, frozen=True, kw_only=True):
    """A monotonic and UTC pair at both ends of the run; monotonic time starts at 0."""

    start_utc: Utc
    end_utc: Utc
    end_s: Seconds


class ModelFile(_DocumentPart, frozen=True, kw_only=True):
    """One file that the engine was given as part of its model."""

    name: FullLine
    size_bytes: Size
    sha256: Sha256


class EngineIdentity(_DocumentPart, frozen=True, kw_only=True):
    """What served. `version` is the server's own word; the rest is known of our own engine only."""

    version: Line | None = None
    build: Line | None = None
    lock_sha256: Sha256 | None = None
    cores: Annotated[tuple[Core, ...], msgspec.Meta(max_length=4096)] | None = None
    model_files: Annotated[tuple[ModelFile, ...], msgspec.Meta(max_length=1000)] | None = None


class Load(_DocumentPart, frozen=True, kw_only=True):
    """How busy the host was: the one-minute load average and the share of time stolen from it."""

    load_average: Annotated[float, msgspec.Meta(ge=0, le=1e6)]
    steal_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class Host(_DocumentPart, frozen=True, kw_only=True):
    """The machine, by an allow-list of facts that name nobody."""

    system: Line
    kernel: Line
    machine: Line
    python: Line
    cpu_model: Line | None = None
    cpu_count: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    memory_bytes: Size | None = None
    governor: Line | None = None
    load_before: Load | None = None
    load_after: Load | None = None


class Document(_DocumentPart, frozen=True, kw_only=True):
    """`bundle.json`. `absent` names the evidence that could not be had, each with its reason.

    `run_salt` went into the salts of a run with a cold cache, and is absent with a warm one.
    """

    schema_version: Annotated[int, msgspec.Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    kit_version: Version
    status: Status
    failure: Failure | None = None
    runtime: Runtime
    host_id: HostId
    plan: Plan
    plan_digest: Sha256
    run_salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")] | None = None
    clock: Clock
    engine: EngineIdentity
    host: Host
    packages: Annotated[
        dict[Key, Annotated[str, msgspec.Meta(max_length=100)]], msgspec.Meta(max_length=100)
    ]
    absent: Annotated[dict[Key, Line], msgspec.Meta(max_length=100)]
