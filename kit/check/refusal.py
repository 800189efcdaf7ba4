"""What a reader of folders and archives does not hand on, and the code that says why."""

from dataclasses import dataclass

from kit.check.codes import Code


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One entry by its relative path, `.` for the whole, and the reason in the reader's words."""

    name: str
    reason: str
    code: Code = Code.INTEGRITY_ENTRY
