"""NCCL's debug log: version, the transport of each channel, and variables of the environment.

Formats are from the sources of NCCL 2.4 to 2.27 (`transport/p2p.cc`, `shm.cc`, `net.cc`,
`misc/param.cc`, `graph/topo.cc`); they have not been compared with a log of a real run. Every
branch of an expression begins with literal text and is bounded in length.
"""

import re
from enum import Enum
from typing import TypeVar

import msgspec

T = TypeVar("T")

LOG_LIMIT_BYTES = 16 * 2**20
"""Two ranks with ten communicators write about 200 KiB."""

DISTINCT_LIMIT = 4096
"""Values of a kind; two ranks have at most a few dozen channels per direction."""


class Via(Enum):
    """Transport of a channel. `P2P` is NVLink or PCIe, which NCCL does not distinguish here."""

    P2P = "p2p"
    SHM = "shm"
    SOCKET = "net-socket"
    OTHER = "other"


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One channel between two ranks; `wording` is NCCL's, such as `NET/Socket/0`."""

    number: int
    source_rank: int
    target_rank: int
    via: Via
    wording: str


class NcclLog(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a log; each distinct value once, in the order of first appearance.

    `environment` are the (name, value) pairs that NCCL took from its environment. `nvlink_gb_s` are
    bandwidths in GB/s of NVLink connections in its topology (subsystem GRAPH): four links are 48.0
    on compute capability 8.6. `pids` are the writing processes' ids in their own namespace.
    `is_cut` is true if limits kept part of the log from being read.
    """

    versions: tuple[str, ...]
    channels: tuple[Channel, ...]
    environment: tuple[tuple[str, str], ...]
    nvlink_gb_s: tuple[float, ...]
    pids: tuple[int, ...]
    is_cut: bool


_RANK = rb"(?P<%s>[0-9]{1,5})(?:\[[0-9a-fA-F]{1,16}\])?"
_LINE = re.compile(
    rb"NCCL INFO (?:Channel|Ring) (?P<number>[0-9]{1,4})(?:/[0-9]{1,4})? {0,4}: {0,4}"
    + _RANK % b"source"
    + rb" -> "
    + _RANK % b"target"
    + rb"(?: \[(?:send|receive)\])? via (?P<via>[^\n]{1,200})"
    rb"|NCCL INFO (?P<name>NCCL_[A-Z0-9_]{1,60}) set by environment to (?P<value>[^\n]{0,200})"
    rb"|NVL\[(?P<bandwidth>[0-9]{1,5}\.[0-9]{1,3})\]"
    rb"|NCCL version (?P<version>[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}(?:\+cuda[0-9]{1,2}\.[0-9]{1,2})?)"
)

_WRITER = re.compile(rb":(?P<pid>[0-9]{1,10}):[0-9]{1,10} \[-?[0-9]{1,4}\] NCCL INFO ")
"""The prefix of each line, `host:pid:tid [device]` (`debug.cc`)."""

_TRAILER = re.compile(r" comm .*")
"""End of a channel's line in older releases: ` comm 0x... nRanks 02`."""


def read(log: bytes) -> NcclLog:
    """Read one or several debug logs; lines of unknown form are skipped.

    A channel whose transport is unknown is kept as `Via.OTHER`.
    """
    versions: dict[str, None] = {}
    channels: dict[Channel, None] = {}
    environment: dict[tuple[str, str], None] = {}
    bandwidths: dict[float, None] = {}
    is_cut = len(log) > LOG_LIMIT_BYTES
    for match in _LINE.finditer(log, 0, LOG_LIMIT_BYTES):
        text = {name: _text(value) for name, value in match.groupdict(b"").items()}
        if text["number"]:
            is_cut |= _keep(channels, _channel(text))
        elif text["name"]:  # NCCL's sources have a full stop at the end of some and not of others
            is_cut |= _keep(environment, (text["name"], text["value"].strip().removesuffix(".")))
        elif text["version"]:
            is_cut |= _keep(versions, text["version"])
        else:
            is_cut |= _keep(bandwidths, float(text["bandwidth"]))
    pids: dict[int, None] = {}
    for match in _WRITER.finditer(log, 0, LOG_LIMIT_BYTES):
        is_cut |= _keep(pids, int(match["pid"]))
    return NcclLog(
        versions=tuple(versions),
        channels=tuple(channels),
        environment=tuple(environment),
        nvlink_gb_s=tuple(bandwidths),
        pids=tuple(pids),
        is_cut=is_cut,
    )


def _keep(values: dict[T, None], value: T) -> bool:
    """Keep a value once; return whether there were too many to keep it."""
    if len(values) < DISTINCT_LIMIT:
        values[value] = None
    return value not in values


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _channel(text: dict[str, str]) -> Channel:
    wording = _TRAILER.sub("", text["via"]).strip()
    return Channel(
        number=int(text["number"]),
        source_rank=int(text["source"]),
        target_rank=int(text["target"]),
        via=_via(wording),
        wording=wording,
    )


def _via(wording: str) -> Via:
    """Return the transport of NCCL's wording, by how it begins."""
    if wording.startswith(("P2P/CUMEM", "P2P/IPC", "P2P/direct pointer")):
        return Via.P2P
    if wording.startswith("SHM/") or wording == "direct shared memory":
        return Via.SHM
    if wording.startswith("NET/Socket/"):
        return Via.SOCKET
    return Via.OTHER
