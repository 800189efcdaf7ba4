"""The client against the null server: its error is small, and is of its own concurrency."""

from msgspec.structs import replace

from kit.bundle.record import Moment
from kit.edge import calibration
from kit.plan.plan import Connection
from tests.unit.edge.conftest import make_plan

LARGE_S = 0.05
"""Far above any error: these tests may run beside others, on one core."""


def test_the_client_is_calibrated_at_its_own_concurrency() -> None:
    plan = make_plan()
    together = replace(plan, cell=replace(plan.cell, agents=4))
    found = calibration.calibrate(together, Moment.AFTER)
    assert found is not None
    assert (found.moment, found.streams) == (Moment.AFTER, 4)
    errors = (found.wall_error_s, found.ttft_error_s, found.inter_token_error_s)
    assert max(map(abs, errors)) < LARGE_S


def test_with_a_connection_for_each_request_too() -> None:
    found = calibration.calibrate(make_plan(connection=Connection.PER_REQUEST), Moment.BEFORE)
    assert found is not None
    assert found.streams == 1
    assert abs(found.wall_error_s) < LARGE_S


def test_a_client_that_cannot_be_calibrated_has_no_error() -> None:
    assert calibration.calibrate(make_plan(timeout_s=0.01), Moment.BEFORE) is None
