"""The noise of published figures, from an author's repeats."""

import math

import msgspec
import pytest

from kit.claims import reference
from kit.claims.formula import CellName
from kit.claims.noise import half_width, noise_of
from kit.figures import intervals
from tests.factory import ROOT
from tests.six_cells import references

REFERENCES = references()
PART_1 = REFERENCES["article-part-1"]


def test_the_noise_of_an_author_is_pooled_within_cells() -> None:
    noise = noise_of(REFERENCES.values(), PART_1.author)
    assert noise is not None
    assert noise.cells == (CellName("moe", "tp1"), CellName("moe", "tp2-nvlink"))
    assert noise.degrees == 8 + 6 - 2
    assert noise.deviation == pytest.approx(0.0136, abs=5e-5)
    assert noise_of(REFERENCES.values(), "somebody else") is None


def test_noise_does_not_see_how_cells_differ() -> None:
    text = (ROOT / "results/published/article-part-1.toml").read_text(encoding="utf-8")
    table = msgspec.toml.decode(text.encode())
    pair = [{"rate": "100", "where": "a"}, {"rate": "101", "where": "b"}]
    other = [{"rate": "500", "where": "a"}, {"rate": "505", "where": "b"}]
    table["repeats"] = {"moe@tp1": pair, "dense@tp1": other, "moe@tp2-pcie": pair[:1]}
    published = reference.parse(msgspec.json.encode(table), "a.json")
    noise = noise_of([published], published.author)
    assert noise is not None
    assert noise.degrees == 2
    assert noise.deviation == pytest.approx(math.log(1.01) / math.sqrt(2))


def test_without_repeats_a_figure_is_as_accurate_as_a_restart() -> None:
    assert half_width(None) == intervals.RESTART_FLOOR
