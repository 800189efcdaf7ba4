"""Removes private data from logs before a bundle is sealed, since bundles are published.

Names of this host (host name, user, folders) are replaced literally, by placeholders such as
`<host>`. IP addresses, MAC addresses, UUIDs and home directories are replaced wherever a text has
their form. Loopback and wildcard addresses stay. A version number of four parts, none above 255,
cannot be distinguished from an IPv4 address and is replaced too.
"""

import re
from collections.abc import Iterator, Mapping

_HEX = "[0-9a-fA-F]"
_GROUP = _HEX + "{1,4}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_NOT_AFTER_WORD, _NOT_BEFORE_WORD = "(?<![0-9A-Za-z])", "(?![0-9A-Za-z])"

# Global unicast, unique local and link-local (RFC 4291, RFC 4193); `c10::` is a C++ namespace.
_IPV6_START = f"(?:[23]{_HEX}{{3}}|[fF][cCdD]{_HEX}{{2}}|[fF][eE][89abAB]{_HEX})"
_IPV6_TAIL = f"(?:{_GROUP}:){{0,6}}(?:{_IPV4}|{_GROUP})"

_FORMS = {
    "uuid": f"(?<!{_HEX}){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!{_HEX})",
    "ipv6": f"{_NOT_AFTER_WORD}(?:{_GROUP}:){{7}}{_GROUP}{_NOT_BEFORE_WORD}"
    f"|{_NOT_AFTER_WORD}{_IPV6_START}(?::{_GROUP}){{0,6}}::(?:{_IPV6_TAIL})?{_NOT_BEFORE_WORD}",
    "mac": f"{_NOT_AFTER_WORD}{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}{_NOT_BEFORE_WORD}",
    "ipv4": rf"(?<![0-9])(?<![0-9]\.)(?!127\.|0\.0\.0\.0(?![0-9])){_IPV4}(?!\.?[0-9])",
    "home": r"/(?:home|Users)/[^/\s'\":,;)\]}]+",
}


def redact(text: bytes, private: Mapping[str, str]) -> bytes:
    """Return `text` with placeholders for private strings and for all that has a private form.

    `private` maps each string to the name of its placeholder. Longer strings are replaced first, so
    that of two nested folders the inner one is named. Strings are replaced as whole words only.
    A replacement can make a neighbouring name a whole word, so it is repeated until nothing
    changes; placeholders already in the text are kept. Hence redacting twice changes nothing.
    """
    secrets = sorted(filter(None, private), key=len, reverse=True)
    names = [private[secret] for secret in secrets] + list(_FORMS)
    pattern = re.compile("|".join(f"({part})" for part in _parts(secrets, names)).encode())
    placeholders = [f"<{name}>".encode() for name in names]

    def replacement(match: re.Match[bytes]) -> bytes:
        index = (match.lastindex or 1) - 1
        return placeholders[index - 1] if index else match[0]

    while (redacted := pattern.sub(replacement, text)) != text:
        text = redacted
    return text


def holds(text: str, name: str) -> bool:
    """Return whether a text has this name where `redact` would replace it."""
    return re.search(_whole(name), text) is not None


def _parts(secrets: list[str], names: list[str]) -> Iterator[str]:
    """Yield the alternatives, without capturing groups: placeholders, secrets, private forms."""
    yield "<(?:" + "|".join(map(re.escape, names)) + ")>"
    yield from map(_whole, secrets)
    yield from _FORMS.values()


def _whole(secret: str) -> str:
    before = "(?<![A-Za-z0-9_])" if re.match("[A-Za-z0-9_]", secret) else ""
    after = "(?![A-Za-z0-9_])" if re.search(r"[A-Za-z0-9_]\Z", secret) else ""
    return before + re.escape(secret) + after
