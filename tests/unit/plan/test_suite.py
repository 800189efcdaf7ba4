"""Suites: what is refused. `test_prompts.py` looks at the checkout's own."""

from collections.abc import Mapping

import pytest

from kit.errors import SpecError
from kit.plan.suite import Suite, parse_suite

SUITE = {
    "suite.toml": b'id = "s"\nmode = "serial"\nmax_tokens = 8\n'
    b'prompts = ["b", "a"]\nsystem = "system.md"\n',
    "system.md": b"Be brief.\n",
    "a.md": b"A?\n",
    "b.md": "Süß?\n\n".encode(),
}


def suite(files: Mapping[str, bytes]) -> Suite:
    return parse_suite(files, "prompts/s")


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(SpecError):
        suite({**SUITE, "a.md": b"\xff"})


def test_a_suite_keeps_its_order_and_drops_one_newline() -> None:
    found = suite(SUITE)
    assert (found.id, found.system) == ("s", "Be brief.")
    assert [(prompt.id, prompt.text) for prompt in found.prompts] == [("b", "Süß?\n"), ("a", "A?")]


@pytest.mark.parametrize("name", sorted(SUITE))
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(SpecError, match=f"key '{name}' is missing"):
        suite({other: data for other, data in SUITE.items() if other != name})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["b", "a"]', "[]"),
        ('["b", "a"]', '["a", "a"]'),
        ('["b", "a"]', '"ab"'),
        ('["b", "a"]', "[5]"),
        ('["b", "a"]', "[["),
        ('mode = "serial"', 'mode = "parallel"'),
        ('mode = "serial"', ""),
        ('id = "s"', "id = 5"),
        ('system = "system.md"', 'system = ["system.md"]'),
        ('system = "system.md"', 'system = "../system.md"'),
    ],
)
def test_one_thing_wrong_in_a_suite(old: str, new: str) -> None:
    text = SUITE["suite.toml"].decode()
    assert old in text
    with pytest.raises(SpecError, match="cannot use prompts/s: "):
        suite({**SUITE, "suite.toml": text.replace(old, new).encode()})
