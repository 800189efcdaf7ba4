"""Names of tar members in extensions: PAX records, and GNU tar's long names.

Beside a name, an extension may hold metadata that readers ignore, such as times. All else is
refused, since two readers may read it differently.
"""

import re
import tarfile
from collections.abc import Callable, Mapping

NAME_LIMIT_BYTES = 1024
"""A plain header has room for 255."""

_RECORD = re.compile(rb"(?P<length>[1-9][0-9]{0,4}) (?P<key>[^=\n]+)=")
_PATH = "path"
_IGNORED = ("atime", "comment", "ctime", "gid", "gname", "mtime", "uid", "uname")
_ATTRIBUTES = ("LIBARCHIVE.", "RHT.", "SCHILY.acl.", "SCHILY.fflags", "SCHILY.xattr.")
"""Keys and prefixes of metadata that GNU tar, bsdtar and Python write, and readers ignore."""


def of_records(content: bytes) -> str | None:
    """Return the name in PAX records; raise ValueError for a record that may not be ignored.

    A record is its own length, a key and a value (POSIX.1-2017, pax, "pax Extended Header").
    """
    values: dict[str, bytes] = {}
    at = 0
    while at < len(content):
        record = _RECORD.match(content, at)
        end = at + int(record["length"]) if record is not None else 0
        if record is None or not record.end() < end <= len(content) or content[end - 1] != 0x0A:
            raise ValueError("not a PAX record")
        key = record["key"].decode()
        if key in values or not (key in (_PATH, *_IGNORED) or key.startswith(_ATTRIBUTES)):
            raise ValueError(f"{key} may not be ignored")
        values[key] = content[record.end() : end - 1]
        at = end
    return of_gnu(values[_PATH] + b"\0") if _PATH in values else None


def of_gnu(content: bytes) -> str:
    """Return the name in GNU tar's extension, or raise ValueError."""
    if not 1 < len(content) <= NAME_LIMIT_BYTES or content.find(b"\0") != len(content) - 1:
        raise ValueError("not a name")
    return content[:-1].decode()


EXTENSIONS: Mapping[bytes, Callable[[bytes], str | None]] = {
    tarfile.XHDTYPE: of_records,
    tarfile.GNUTYPE_LONGNAME: of_gnu,
}
"""Parser of each accepted type of extension."""
