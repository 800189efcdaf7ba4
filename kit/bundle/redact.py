"""Takes what is private out of text that is about to be sealed.

Known names of this host (its host name, user, folders) are replaced by what they stand for;
addresses, UUIDs and MAC addresses by their shape. Loopback and wildcard addresses say nothing
about anybody and stay. A version of four parts, none above 255, cannot be told from an IPv4 address
and goes with them. Redaction comes before sealing, never after.
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

_SHAPES = {
    "uuid": f"(?<!{_HEX}){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!{_HEX})",
    "ipv6": f"{_NOT_AFTER_WORD}(?:{_GROUP}:){{7}}{_GROUP}{_NOT_BEFORE_WORD}"
    f"|{_NOT_AFTER_WORD}{_IPV6_START}(?::{_GROUP}){{0,6}}::(?:{_IPV6_TAIL})?{_NOT_BEFORE_WORD}",
    "mac": f"{_NOT_AFTER_WORD}{_HEX}{{2}}(?::{_HEX}{{2}}){{5}}{_NOT_BEFORE_WORD}",
    "ipv4": rf"(?<![0-9])(?<![0-9]\.)(?!127\.|0\.0\.0\.0(?![0-9])){_IPV4}(?!\.?[0-9])",
    "home": r"/(?:home|Users)/[^/\s'\":,;)\]}]+",
}


def redact(text: bytes, private: Mapping[str, str]) -> bytes:
    """Return `text` without the `private` strings (each mapped to its stand-in) and known shapes.

    Longer strings go first, so that a folder inside another is named by the inner one. A string
    that begins or ends with a letter, digit or underscore must not go on there. Stand-ins already
    there are left alone, and a stand-in may lay bare a name that touched what it stands for:
    redacting goes on until nothing changes, so that redacting twice is redacting once.
    """
    secrets = sorted(filter(None, private), key=len, reverse=True)
    stand_ins = [private[secret] for secret in secrets] + list(_SHAPES)
    pattern = re.compile("|".join(f"({part})" for part in _parts(secrets, stand_ins)).encode())
    replacements = [f"<{name}>".encode() for name in stand_ins]

    def replacement(match: re.Match[bytes]) -> bytes:
        index = (match.lastindex or 1) - 1
        return replacements[index - 1] if index else match[0]

    while (redacted := pattern.sub(replacement, text)) != text:
        text = redacted
    return text


def holds(text: str, name: str) -> bool:
    """Tell whether a name is in a text where it would be replaced."""
    return re.search(_whole(name), text) is not None


def _parts(secrets: list[str], stand_ins: list[str]) -> Iterator[str]:
    """Yield the alternatives, each without a group of its own: stand-ins, secrets, shapes."""
    yield "<(?:" + "|".join(map(re.escape, stand_ins)) + ")>"
    yield from map(_whole, secrets)
    yield from _SHAPES.values()


def _whole(secret: str) -> str:
    before = "(?<![A-Za-z0-9_])" if re.match("[A-Za-z0-9_]", secret) else ""
    after = "(?![A-Za-z0-9_])" if re.search(r"[A-Za-z0-9_]\Z", secret) else ""
    return before + re.escape(secret) + after
