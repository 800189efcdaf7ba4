"""Samples the GPUs into a telemetry file until a stop file appears.

Times are of the kernel's monotonic clock, which all processes and containers of a host share.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from kit.bundle import telemetry
from kit.bundle.telemetry import End, GpuSample, Header
from kit.edge.files import disk
from kit.edge.host import nvml
from kit.edge.host.nvml import Nvml
from kit.format import canonical

POLL_S = 0.05
"""How often the stop file is looked for."""

_TAIL_BYTES = 4096


def sample(output: Path, until: Path, interval_s: float) -> None:
    """Write telemetry to `output`, a sample each `interval_s`, until the file `until` exists.

    The last line marks the end. Raises `MachineError` without NVML, or where the file cannot be
    written.
    """
    with nvml.opened() as gpus:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("wb") as file:
                _write(file, _header(gpus, interval_s))
                _sample(file, gpus, until, interval_s)
                _write(file, End(t_s=_now_s(), utc=_utc()))
        except OSError as error:
            raise disk.cannot_write(output, error) from error


def wait_for_end(output: Path, timeout_s: float) -> bool:
    """Wait for the last line of a sampler's file; return False after `timeout_s` without it."""
    deadline_s = time.monotonic() + timeout_s
    while not _has_ended(output):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def _sample(file: BinaryIO, gpus: Nvml, until: Path, interval_s: float) -> None:
    """Write samples at even intervals, and one after the stop; late samples are not made up for."""
    due_s = time.monotonic()
    stopped = False
    while not stopped:
        _write(file, GpuSample(t_s=_now_s(), gpus=gpus.readings()))
        due_s = max(due_s + interval_s, time.monotonic() + interval_s / 2)
        while not (stopped := until.exists()) and (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(POLL_S, left_s))
    _write(file, GpuSample(t_s=_now_s(), gpus=gpus.readings()))


def _header(gpus: Nvml, interval_s: float) -> Header:
    return Header(
        schema_version=telemetry.SCHEMA_VERSION,
        t_s=_now_s(),
        utc=_utc(),
        interval_s=interval_s,
        inventory=gpus.inventory(),
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
