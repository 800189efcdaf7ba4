"""What a reader of folders and archives does not hand on, and the check that names it."""

from dataclasses import dataclass
from enum import StrEnum


class Refused(StrEnum):
    """Why an entry was not read, by the id of the check in the integrity tier that says so."""

    BAG = "integrity-bag"
    ARCHIVE = "integrity-archive"
    SIZE = "integrity-size"
    COUNT = "integrity-count"
    DEPTH = "integrity-depth"
    ENTRY = "integrity-entry"
    NAME = "integrity-name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One entry by its relative path, `.` for the whole, and the reason in the reader's words."""

    name: str
    reason: str
    code: Refused = Refused.ENTRY
