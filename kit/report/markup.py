"""Pieces of HTML. A `Markup` is safe as it stands; every plain string is escaped on its way in."""

from collections.abc import Iterable, Sequence
from typing import NewType

from kit.report.escape import html_text
from kit.report.style import CSS

Markup = NewType("Markup", str)


def page(title: str, body: Markup) -> str:
    """Return a whole page, self-contained: no script, and nothing is loaded from anywhere."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def text(content: str) -> Markup:
    """Return text from anywhere, escaped."""
    return Markup(html_text(content))


def element(tag: str, *children: Markup, css: str = "") -> Markup:
    """Return an element with these children, which are markup already."""
    attribute = f' class="{css}"' if css else ""
    return Markup(f"<{tag}{attribute}>{''.join(children)}</{tag}>")


def together(parts: Iterable[Markup]) -> Markup:
    """Return parts one after the other."""
    return Markup("\n".join(parts))


def section(title: str, *children: Markup) -> Markup:
    """Return a section with its heading."""
    return element("section", element("h2", text(title)), *children)


def bullets(items: Iterable[str]) -> Markup:
    """Return an unordered list of plain strings."""
    return element("ul", *(element("li", text(item)) for item in items))


def definitions(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Return a definition list of plain strings."""
    return element("dl", *(_definition(*pair) for pair in pairs))


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Return a table of two columns, whose first is the row's header."""
    rows = (
        Markup(f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>')
        for name, value in pairs
    )
    return element("table", element("tbody", *rows), css="facts")


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, names: int
) -> Markup:
    """Return a table of plain strings: the first `names` columns to the left, figures right."""
    content = element(
        "table",
        element("caption", text(caption)),
        element("thead", _row(head, names, scope="col")),
        element("tbody", *(_row(row, names, scope="row") for row in rows)),
    )
    # a narrow screen scrolls it sideways, the keyboard too
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
    return Markup(f"{region}{content}</div>")


def _row(cells: Sequence[str], names: int, scope: str) -> Markup:
    """Return a row; in the body only its first cell is a header."""
    parts = []
    for place, cell in enumerate(cells):
        css = ' class="n"' if place >= names else ""
        header = scope == "col" or place == 0
        opening, closing = (f'th scope="{scope}"', "th") if header else ("td", "td")
        parts.append(f"<{opening}{css}>{text(cell)}</{closing}>")
    return element("tr", Markup("".join(parts)))


def _definition(term: str, meaning: str) -> Markup:
    return Markup(f"<dt>{text(term)}</dt><dd>{text(meaning)}</dd>")
