"""Failures of a run: their codes for the bundle, and their wording for the user."""

from collections.abc import Mapping

from kit.bundle.record import ErrorCode, Record
from kit.errors import KitError, MachineError, RunError

BUNDLE = "BUNDLE"
"""Placeholder in an error's next step, replaced by the path of the bundle sealed after it."""

_CAUSES: Mapping[ErrorCode | None, str] = {
    ErrorCode.CONNECT_FAILED: "no server listens at that address, or the server has ended",
    ErrorCode.DISCONNECTED: "the server has ended, or a proxy has closed the connection",
    ErrorCode.TIMED_OUT: "the server is overloaded or hangs; --timeout gives requests more time",
    ErrorCode.HTTP_CLIENT_ERROR: "the server rejected it: an unknown model, or too many tokens",
    ErrorCode.HTTP_SERVER_ERROR: "the server failed; its log has the reason",
    ErrorCode.STREAM_CUT: "the server ended its stream before the last token",
}


def request_failed(record: Record) -> RunError:
    """Return the error for the request that ended a run."""
    code = record.error.value if record.error else "unknown"
    request = f"{record.phase.value} pass {record.pass_number}, prompt {record.prompt_id}"
    return RunError(
        f"a request failed with {code} after {record.wall_s:.1f} s ({request})",
        _CAUSES.get(record.error, "the response does not follow the OpenAI API"),
        f"kit verify {BUNDLE}",
        code=code,
    )


def code_of(error: BaseException) -> str:
    """Return the code that stands in the bundle for an error."""
    match error:
        case RunError():
            return error.code
        case MachineError():
            return "machine-lacks"
        case KeyboardInterrupt():
            return "interrupted"
        case _:
            return "internal"


def add_detail(error: BaseException, detail: str) -> None:
    """Append a detail to the message of an error that is being raised."""
    if isinstance(error, KitError):
        error.what = f"{error.what}; {detail}"
    else:
        error.add_note(detail)
