"""Makes text from a bundle, which is untrusted input, safe to show.

Every format applies `printable` first, then escapes its own syntax; for HTML Jinja2 does that.
"""

import re

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet reads a cell that starts with one of these as a formula (OWASP, "CSV Injection");
some accept the full-width signs too."""

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Printable by Python's definition, but invisible: default-ignorable code points (Unicode 15,
DerivedCoreProperties.txt) and the blank Braille pattern."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def printable(text: str) -> str:
    r"""Return `text` with unprintable characters spelled as `\x1b`, `\u202e` or `\U000e0001`.

    These are control, line-break, invisible and direction-changing characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if _is_visible(character) else _spelled(character) for character in text
    )


def shortened(text: str, width: int) -> str:
    """Return `printable` text of at most `width` characters, cut with an ellipsis."""
    shown = printable(text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def csv_cell(text: str) -> str:
    """Return printable text that no spreadsheet reads as a formula."""
    return ("'" if text.startswith(FORMULA_STARTS) else "") + printable(text)


def markdown_code(text: str) -> str:
    """Return `text` as a code span that is safe in a table cell."""
    return "`" + (printable(text).replace("`", r"\x60").replace("|", r"\x7c") or " ") + "`"


def markdown_text(text: str) -> str:
    """Return `text` for the middle of a Markdown line, without markup, HTML or links.

    `@` is spelled out: GitHub links names and addresses after it has removed backslashes.
    """
    return _MARKDOWN.sub(lambda match: "\\" + match[0], printable(text)).replace("@", r"\\x40")


def _is_visible(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _spelled(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
