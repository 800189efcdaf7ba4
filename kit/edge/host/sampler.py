"""Samples the GPUs into a file until it is told to stop.

Whoever can be asked is asked: the driver's library, or its command. The times are the kernel's
monotonic clock, which all processes and containers of a host share.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from kit.bundle import telemetry
from kit.bundle.telemetry import End, GpuProcesses, GpuSample, Header, Inventory, Reading
from kit.edge.files import disk
from kit.edge.host import nvml, smi
from kit.format import canonical

POLL_S = 0.05
"""How soon a stop is seen."""

_TAIL_BYTES = 4096


class Gpus(Protocol):
    """Somebody who can be asked about the GPUs of this machine."""

    def inventory(self) -> Inventory:
        """Return the driver and the facts of every GPU."""

    def readings(self) -> tuple[Reading, ...]:
        """Return what every GPU tells of itself now."""

    def processes(self) -> tuple[GpuProcesses, ...]:
        """Return how many processes are on every GPU."""


@contextmanager
def gpus() -> Iterator[Gpus]:
    """Yield who can be asked: the library, else the command; `MachineError` where neither can."""
    with ExitStack() as stack:
        try:
            asked: Gpus = stack.enter_context(nvml.opened())
        except nvml.Unavailable:
            asked = smi.require()
        yield asked


def inventory() -> Inventory:
    """Return the driver and the facts of every GPU; `MachineError` where none can be asked."""
    with gpus() as asked:
        return asked.inventory()


def compute_processes() -> tuple[GpuProcesses, ...]:
    """Return how many processes are on every GPU: on the host all, in a container its own at most.

    Raises `MachineError` where no GPU can be asked.
    """
    with gpus() as asked:
        return asked.processes()


def sample(output: Path, until: Path, interval_s: float) -> None:
    """Write telemetry to `output`, a sample each `interval_s`, until a file `until` is there.

    The file ends in a line that says so. Raises `MachineError` where no GPU can be asked or the
    file cannot be written.
    """
    with gpus() as asked:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("wb") as file:
                _write(file, _header(asked, interval_s))
                _sample(file, asked, until, interval_s)
                _write(file, End(t_s=_now_s(), utc=_utc()))
        except OSError as error:
            raise disk.cannot_write(output, error) from error


def wait_for_end(output: Path, timeout_s: float) -> bool:
    """Wait until a sampler's file has its last line; return False if it has none in time."""
    deadline_s = time.monotonic() + timeout_s
    while not _has_ended(output):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def _sample(file: BinaryIO, asked: Gpus, until: Path, interval_s: float) -> None:
    """Write samples at an even pace, and a last one after the stop; those missed are missed."""
    due_s = time.monotonic()
    stopped = False
    while not stopped:
        _write(file, GpuSample(t_s=_now_s(), gpus=asked.readings()))
        due_s = max(due_s + interval_s, time.monotonic() + interval_s / 2)
        while not (stopped := until.exists()) and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(POLL_S, left_s))
    _write(file, GpuSample(t_s=_now_s(), gpus=asked.readings()))


def _header(asked: Gpus, interval_s: float) -> Header:
    found = asked.inventory()
    return Header(
        schema_version=telemetry.SCHEMA_VERSION,
        t_s=_now_s(),
        utc=_utc(),
        interval_s=interval_s,
        inventory=found,
    )


def _write(file: BinaryIO, line: telemetry.Line) -> None:
    file.write(canonical.encode(line))
    file.flush()


def _has_ended(output: Path) -> bool:
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - _TAIL_BYTES))
            return telemetry.has_ended(file.read())
    except FileNotFoundError:
        return False


def _now_s() -> float:
    return round(time.monotonic(), 6)


def _utc() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
