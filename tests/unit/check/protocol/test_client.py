"""The client's own error: in every bundle, small, and at the concurrency of the plan."""

import pytest
from msgspec.structs import replace

from kit.check.finding import Outcome
from tests.factory import Draft, Settings, draft, outcomes_of

CODE = "protocol-client-error"


def recalibrate(made: Draft, **fields: float) -> None:
    found = tuple(replace(one, **fields) for one in made.document.calibrations)
    made.document = replace(made.document, calibrations=found)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, Outcome.PASS),
        ({"wall_error_s": -3.0}, Outcome.WARN),
        ({"streams": 2}, Outcome.WARN),
        ({"server_late_s": 0.02}, Outcome.COULD_NOT_CHECK),
    ],
)
def test_a_client_with_an_error_is_named(fields: dict[str, float], outcome: Outcome) -> None:
    made = draft()
    recalibrate(made, **fields)
    assert outcomes_of(made, CODE) == {outcome}


def test_a_client_that_was_not_calibrated_is_not_known() -> None:
    made = draft()
    before, _ = made.document.calibrations
    made.document = replace(made.document, calibrations=(before,))
    assert outcomes_of(made, CODE) == {Outcome.COULD_NOT_CHECK}


def test_a_run_that_stopped_early_was_calibrated_before_it() -> None:
    assert outcomes_of(draft(Settings(stop_after=3)), CODE) == {Outcome.PASS}
