"""Errors of a run: as codes for the bundle, as words for the user."""

import pytest

from kit.bundle.record import ErrorCode, Record
from kit.edge import run_failure
from kit.errors import KitError, MachineError, RunError
from kit.plan.schedule import Phase


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError("a", "b", "c", code="engine-died"), "engine-died"),
        (MachineError("a", "b", "c"), "machine-lacks"),
        (KeyboardInterrupt(), "interrupted"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_every_error_has_a_code(error: BaseException, code: str) -> None:
    assert run_failure.code_of(error) == code


@pytest.mark.parametrize("code", ErrorCode)
def test_a_failed_request_is_named_with_a_cause_and_the_bundle(code: ErrorCode) -> None:
    record = Record(
        phase=Phase.MEASURED,
        pass_number=2,
        prompt_id="impl",
        seed=1,
        sent_s=0.0,
        wall_s=1.25,
        error=code,
    )
    error = run_failure.request_failed(record)
    assert error.what == (
        f"a request failed with {code.value} after 1.2 s (measured pass 2, prompt impl)"
    )
    assert (error.code, error.next_step) == (code.value, f"kit verify {run_failure.BUNDLE}")
    assert error.why


def test_a_detail_is_shown_with_any_error() -> None:
    error, bug = KitError("a", "b", "c"), ZeroDivisionError()
    run_failure.add_detail(error, "more")
    run_failure.add_detail(bug, "more")
    assert (error.what, bug.__notes__) == ("a; more", ["more"])
