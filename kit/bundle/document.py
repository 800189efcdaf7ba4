"""`bundle.json`: everything about a run that is not in its records, logs or metrics."""

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from kit.bundle.record import Moment
from kit.format.fields import FullLine, Key, Line, Seconds, Sha256, Size, Utc
from kit.plan.plan import MOST_AGENTS, Plan

SCHEMA_VERSION = 1
"""Format history. 1: first version."""


class Status(Enum):
    """Whether the run finished; a partial bundle has what was recorded until it failed."""

    COMPLETE = "complete"
    PARTIAL = "partial"


class Runtime(Enum):
    """How the server was started: by the kit, as a process or in containers, or not by the kit."""

    PROCESS = "process"
    DOCKER = "docker"
    ENDPOINT = "endpoint"


ErrorSeconds = Annotated[float, Meta(ge=-1e6, le=1e6)]
Core = Annotated[int, Meta(ge=0, le=65535)]
HostId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}", max_length=32)]
Version = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]*\Z", max_length=64)]


class _DocumentPart(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Base of the parts of `bundle.json`."""


class Failure(_DocumentPart, frozen=True, kw_only=True):
    """The stage in which a run failed, and a code for the cause."""

    stage: Line
    code: Line


class Clock(_DocumentPart, frozen=True, kw_only=True):
    """UTC and monotonic time at the start of the run, where the latter is 0, and at sealing."""

    start_utc: Utc
    end_utc: Utc
    end_s: Seconds


class ModelFile(_DocumentPart, frozen=True, kw_only=True):
    """One file of the served model."""

    name: FullLine
    size_bytes: Size
    sha256: Sha256


class EngineIdentity(_DocumentPart, frozen=True, kw_only=True):
    """The engine. `version` is as the server reports it; the rest is absent for an endpoint."""

    version: Line | None = None
    build: Line | None = None
    lock_sha256: Sha256 | None = None
    cores: Annotated[tuple[Core, ...], Meta(max_length=4096)] | None = None
    model_files: Annotated[tuple[ModelFile, ...], Meta(max_length=1000)] | None = None


class Load(_DocumentPart, frozen=True, kw_only=True):
    """One-minute load average, and the share of CPU time stolen by the hypervisor since boot."""

    load_average: Annotated[float, Meta(ge=0, le=1e6)]
    steal_ratio: Annotated[float, Meta(ge=0, le=1)] | None = None


class Host(_DocumentPart, frozen=True, kw_only=True):
    """The machine, without anything that identifies it."""

    system: Line
    kernel: Line
    machine: Line
    python: Line
    cpu_model: Line | None = None
    cpu_count: Annotated[int, Meta(ge=1, le=65536)]
    memory_bytes: Size | None = None
    governor: Line | None = None
    load_before: Load | None = None
    load_after: Load | None = None


class Calibration(_DocumentPart, frozen=True, kw_only=True):
    """What the client measured of a server with a known schedule, beside what that server did.

    Before the first request of the run or after the last, with as many streams at once as the run
    has. Errors are the client's median less the true one: of a response's whole time, the time to
    first token and the inter-token latency. `server_late_s` is the median by which that server was
    late itself.
    """

    moment: Moment
    streams: Annotated[int, Meta(ge=1, le=MOST_AGENTS)]
    wall_error_s: ErrorSeconds
    ttft_error_s: ErrorSeconds
    inter_token_error_s: ErrorSeconds
    server_late_s: Seconds


class Document(_DocumentPart, frozen=True, kw_only=True):
    """`bundle.json`: one cell's run, except for its records, logs and metrics.

    Canonical JSON: sorted keys, no white space, a newline at the end; an absent value is absent,
    never null.
    """

    schema_version: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    kit_version: Version
    status: Status
    failure: Failure | None = None
    runtime: Runtime
    host_id: Annotated[
        HostId,
        Meta(
            description="Random, made once per installation: bundles claim by it to be of one host."
        ),
    ]
    plan: Plan
    plan_digest: Annotated[Sha256, Meta(description="Of the plan's canonical JSON with newline.")]
    run_salt: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9a-f]{32}$",
                description="Random part of the cache salts; only with a cold cache.",
            ),
        ]
        | None
    ) = None
    clock: Clock
    calibrations: Annotated[tuple[Calibration, ...], Meta(max_length=2)] = ()
    engine: EngineIdentity
    host: Host
    packages: Annotated[
        dict[Key, Annotated[str, Meta(max_length=100)]],
        Meta(max_length=100, description="Versions of the client's Python packages."),
    ]
    absent: Annotated[
        dict[Key, Line],
        Meta(max_length=100, description="Evidence that could not be collected, with reasons."),
    ]
