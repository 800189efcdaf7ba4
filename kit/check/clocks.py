"""The run's two clocks, UTC's and the monotonic one: how far apart they may be, and were."""

import math
from datetime import datetime

from kit.bundle.document import Clock

TOLERANCE_S = 2.0
TOLERANCE_RATIO = 0.001
"""The UTC clock may be slewed in mid-run (Linux: at most 500 ppm), and both pairs of clocks are
read one after the other."""

STEP_S = 1000.0
"""ntpd refuses larger steps: its panic threshold (ntpd(8), option -g)."""


def utc_apart_s(clock: Clock) -> float:
    """Return by how much the UTC clock was set over the run; infinite where it is not known."""
    try:
        return abs(utc_s(clock.end_utc, clock.start_utc) - clock.end_s)
    except ValueError:
        return math.inf


def utc_s(moment: str, origin: str) -> float:
    """Return the seconds from one UTC time to another; ValueError for what is none."""
    apart = datetime.fromisoformat(moment) - datetime.fromisoformat(origin)
    return apart.total_seconds()


def epoch_s(moment: str) -> float:
    """Return a UTC time in seconds since 1970; infinite for what is none."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        return math.inf
