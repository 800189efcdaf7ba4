"""A template escapes every value for its format; no author of a template can forget to."""

import html
import re

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.report.escape import markdown_text, printable
from kit.report.jinja import environment, for_html, for_markdown

MARKUP = st.text(alphabet="<>&\"'`|*_[]()!#~$\\@:/.w=+-\t\r\n\x1b\u202e a", max_size=40)
IN_ITSELF = "{{ text }}"
IN_A_MACRO = "{% macro shown(value) %}{{ value }}{% endmacro %}{{ shown(text) }}"
IN_A_LIST = "{{ [text] | join }}"
WAYS = (IN_ITSELF, IN_A_MACRO, IN_A_LIST)


@pytest.mark.parametrize("way", WAYS)
@given(text=MARKUP)
def test_html_reads_back_as_printable_text(way: str, text: str) -> None:
    shown = environment(for_html).from_string(way).render(text=text)
    assert not set("<>\"'") & set(shown)
    assert html.unescape(shown) == printable(text)


@pytest.mark.parametrize("way", WAYS)
@given(text=MARKUP)
def test_markdown_is_a_sentence_without_markup(way: str, text: str) -> None:
    assert environment(for_markdown).from_string(way).render(text=text) == markdown_text(text)


@given(MARKUP)
def test_the_filter_code_makes_a_code_span(text: str) -> None:
    shown = environment(for_markdown).from_string("{{ text | code }}").render(text=text)
    assert re.fullmatch(r"`[^`|\n]+`", shown)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment(for_html).from_string("{{ unknown }}").render()
