"""Renders the pages in `templates/` with Jinja2.

A template cannot forget to escape: every value it prints is escaped for the page's format, unless
it is `Markup`.
"""

from collections.abc import Callable, Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kit.report import verdict_wording, wording
from kit.report.escape import markdown_code, markdown_text, printable


def html(template: str, values: Mapping[str, object]) -> str:
    """Return the HTML page."""
    return environment(for_html).get_template(template).render(values)


def markdown(template: str, values: Mapping[str, object]) -> str:
    """Return the Markdown text; the filter `code` shows a value as a code span."""
    text = environment(for_markdown).get_template(template).render(values)
    return f"{text.rstrip()}\n"


def for_html(value: object) -> str:
    """Return printable text, which Jinja2 escapes afterwards, or the markup itself."""
    return value if isinstance(value, Markup) else printable(str(value))


def for_markdown(value: object) -> str:
    """Return text without live Markdown, or the markup itself."""
    if isinstance(value, Markup):
        return value
    return Markup(markdown_text(str(value)))  # noqa: S704  # markdown_text escapes


@cache
def environment(finalize: Callable[[object], str]) -> Environment:
    """Return the templates, with what is done to every value before it is printed."""
    templates = Environment(
        loader=PackageLoader("kit.report"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.globals |= {"wording": wording, "verdict_wording": verdict_wording}
    templates.filters["code"] = lambda text: Markup(markdown_code(str(text)))  # noqa: S704  # escapes
    return templates
