"""Text from a bundle is inert in every format."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kit.report.escape import (
    FORMULA_STARTS,
    csv_cell,
    markdown_code,
    markdown_text,
    printable,
    shortened,
)

ANYTHING = st.text(alphabet=st.characters(), max_size=60)
MARKUP = st.text(alphabet="<>&\"'`|*_[]()!#~$\\@:/.w=+-\t\r\n\x1b\u202e a", max_size=40)


@given(ANYTHING)
def test_printable_leaves_nothing_that_does_not_print(text: str) -> None:
    assert printable(text).isprintable()


@given(ANYTHING)
def test_printable_changes_nothing_that_prints(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown


def test_printable_names_what_it_hides() -> None:
    assert printable("\x1b[31m\n\u202e\U000e0001") == r"\x1b[31m\x0a\u202e\U000e0001"


def test_printable_takes_lone_surrogates() -> None:
    assert printable("\ud800") == r"\ud800"


@given(ANYTHING, st.integers(min_value=1, max_value=40))
def test_shortened_fits(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width
    assert shortened(text, width).isprintable()


@given(MARKUP)
def test_a_spreadsheet_sees_no_formula(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.startswith(FORMULA_STARTS)
    assert cell.isprintable()


@pytest.mark.parametrize("invisible", "\u034f\u115f\u3164\ufe0f\u180b\u2800\U000e0100")
def test_what_is_not_seen_is_spelt(invisible: str) -> None:
    assert printable(f"sin{invisible}gle") != f"sin{invisible}gle"
    assert printable(f"sin{invisible}gle").isascii()


def test_each_formula_start_is_quoted() -> None:
    assert [csv_cell(f"{start}1")[0] for start in FORMULA_STARTS] == ["'"] * len(FORMULA_STARTS)


@given(MARKUP)
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = markdown_code(text)
    assert span[0] == span[-1] == "`"
    assert not set("`|\n") & set(span[1:-1])


@given(MARKUP)
@example(":://")
def test_a_markdown_sentence_has_no_live_markup(text: str) -> None:
    shown = markdown_text(text)
    dead = re.sub(r"\\[^a-zA-Z0-9\s]", " ", shown)  # what was on its two sides does not touch
    assert not re.search(r"[`*_\[\]<>#|~&$@\n]|://|www\.", dead)
