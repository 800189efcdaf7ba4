"""Makes text from a bundle safe to show: a bundle is evidence handed in by a stranger.

Every format first takes `printable`, then what its own syntax needs on top.
"""

import html
import re

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet reads a cell that starts so as a formula (OWASP, "CSV Injection"); full-width signs
count as the plain ones in some."""

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Printable to Python, and yet nothing is seen: what Unicode calls default-ignorable (Unicode 15,
DerivedCoreProperties.txt), and the blank pattern of Braille."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>#|~&$]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def printable(text: str) -> str:
    r"""Return `text` with everything that is not printable as `\x1b`, `\u202e` or `\U000e0001`.

    That is control characters, line breaks, invisible and direction-changing characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_seen(character) else _code(character) for character in text)


def shortened(text: str, width: int) -> str:
    """Return `text` printable and at most `width` characters wide, cut with an ellipsis."""
    shown = printable(text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def csv_cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula."""
    return ("'" if text.startswith(FORMULA_STARTS) else "") + printable(text)


def html_text(text: str) -> str:
    """Return `text` for HTML content and for quoted attribute values."""
    return html.escape(printable(text), quote=True)


def markdown_code(text: str) -> str:
    """Return `text` as a code span, in which nothing else is markup; fit for a table cell."""
    return "`" + (printable(text).replace("`", r"\x60").replace("|", r"\x7c") or " ") + "`"


def markdown_text(text: str) -> str:
    """Return a sentence for the middle of a Markdown line: no markup, no HTML, no link.

    An at sign cannot be escaped there: GitHub links addresses and names after it has unescaped.
    """
    return _MARKDOWN.sub(lambda match: "\\" + match[0], printable(text)).replace("@", r"\\x40")


def _is_seen(character: str) -> bool:
    return character.isprintable() and not _INVISIBLE.match(character)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
