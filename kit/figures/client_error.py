"""The client's own error as a share of what was measured."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from kit.bundle.document import Calibration
from kit.bundle.record import Record
from kit.figures import throughput


def client_error_ratio(
    calibrations: Sequence[Calibration], records: Iterable[Record]
) -> float | None:
    """Return the larger error of a response's time over the mean time of the measured responses.

    None where the client was not calibrated, or nothing was measured.
    """
    seconds = [record.wall_s for record in throughput.measured(records)]
    if not calibrations or not seconds:
        return None
    return max(abs(one.wall_error_s) for one in calibrations) / fmean(seconds)
