"""Names of a tar's members that are not in their own headers, but in an extension before each.

Beside a name an extension may hold what is of no account to any reader, such as times. Of all else
two readers could make two things, so that it is refused.
"""

import re
import tarfile
from collections.abc import Callable, Mapping

NAME_LIMIT_BYTES = 1024
"""A plain header has room for 255."""

_RECORD = re.compile(rb"(?P<length>[1-9][0-9]{0,4}) (?P<key>[^=\n]+)=")
_PATH = "path"
_OF_NO_ACCOUNT = ("atime", "comment", "ctime", "gid", "gname", "mtime", "uid", "uname")
_ATTRIBUTES = ("LIBARCHIVE.", "RHT.", "SCHILY.acl.", "SCHILY.fflags", "SCHILY.xattr.")
"""What GNU tar, bsdtar and Python write of files besides their content, and how it begins."""


def of_records(content: bytes) -> str | None:
    """Return the name that PAX records give; raise ValueError for any that is of account besides.

    A record is its own length, a key and a value (POSIX.1-2017, pax, "pax Extended Header").
    """
    found: dict[str, bytes] = {}
    at = 0
    while at < len(content):
        record = _RECORD.match(content, at)
        end = at + int(record["length"]) if record is not None else 0
        if record is None or not record.end() < end <= len(content) or content[end - 1] != 0x0A:
            raise ValueError("no PAX record")
        key = record["key"].decode()
        if key in found or not (key in (_PATH, *_OF_NO_ACCOUNT) or key.startswith(_ATTRIBUTES)):
            raise ValueError(f"{key} may tell two readers two things")
        found[key] = content[record.end() : end - 1]
        at = end
    return of_gnu(found[_PATH] + b"\0") if _PATH in found else None


def of_gnu(content: bytes) -> str:
    """Return the name in GNU tar's extension, or raise ValueError."""
    if not 1 < len(content) <= NAME_LIMIT_BYTES or content.find(b"\0") != len(content) - 1:
        raise ValueError("no name")
    return content[:-1].decode()


EXTENSIONS: Mapping[bytes, Callable[[bytes], str | None]] = {
    tarfile.XHDTYPE: of_records,
    tarfile.GNUTYPE_LONGNAME: of_gnu,
}
"""How to read a name out of each kind that is read at all."""
