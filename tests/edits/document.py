"""Edits of a draft's document and plan. Each takes the draft first and changes it in place."""

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tests.factory import Draft
from tests.settings import utc

AnyStruct = TypeVar("AnyStruct", bound=Struct)


def set_document(draft: Draft, path: str, value: object) -> None:
    """Set one field of the document, such as `host.load_before`; the plan's digest stays."""
    draft.document = _with_field(draft.document, path, value)


def set_plan(draft: Draft, path: str, value: object) -> None:
    """Set one field of the plan, such as `sampling.temperature`, and renew the plan's digest."""
    plan = _with_field(draft.document.plan, path, value)
    draft.document = replace(draft.document, plan=plan, plan_digest=plan.digest())


def set_absent(draft: Draft, name: str, reason: str = "lost") -> None:
    """Name one more kind of evidence as absent."""
    set_document(draft, "absent", draft.document.absent | {name: reason})


def set_end(draft: Draft, end_s: float) -> None:
    """Let the run end at another time, by both clocks."""
    clock = replace(draft.document.clock, end_s=end_s, end_utc=utc(end_s))
    set_document(draft, "clock", clock)


def step_utc_clock(draft: Draft, seconds: float) -> None:
    """Let the UTC clock read more at the end than the monotonic clock accounts for."""
    set_document(draft, "clock.end_utc", utc(draft.document.clock.end_s + seconds))


def _with_field(struct: AnyStruct, path: str, value: object) -> AnyStruct:
    name, _, rest = path.partition(".")
    new = _with_field(getattr(struct, name), rest, value) if rest else value
    return replace(struct, **{name: new})
