"""References: what was transcribed, that it is what was published, and that nothing else is read.

The published tables are typed here a second time, from the sources and not from the files.
"""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kit.claims import formula, reference
from kit.claims.claim import Claim, Measure, Relation
from kit.claims.reference import Reference
from kit.errors import SpecError
from tests.factory import ROOT, schemas

FOLDER = ROOT / "results" / "published"
PATHS = sorted(FOLDER.glob("*.toml"))
REFERENCES = reference.by_id([reference.parse(path.read_bytes(), path.name) for path in PATHS])
PART_1 = REFERENCES["article-part-1"]

# Rows: Impl Debug Test Refactor Design Average | tokens seconds | MiB of each GPU | limit
TABLES_OF_PART_1 = """
moe@tp2-nvlink    170.0 167.3 169.6 168.5 170.7 169.7  5552 32.7  22985 22985  131072
moe@tp1           169.2 168.8 168.0 168.1 168.5 168.4  5861 34.8  22653 4       32768
moe@tp2-pcie      165.9 162.9 163.2 160.7 164.5 163.5  7869 48.1  22901 22901  131072
dense@tp2-nvlink  65.6 65.1 65.5 64.9 65.6 65.4        3047 46.6  22769 22769   32768
dense@tp1         41.0 40.9 40.9 41.0 41.0 41.0        3119 76.1  22285 4        8192
dense@tp2-pcie    63.9 63.5 63.7 63.4 63.8 63.7        3061 48.0  22765 22765   32768
"""

# Effective tok/s at 1, 2, ... agents
TABLES_OF_PART_2 = """
moe@tp2-nvlink 166 218 245 399
moe@tp1 167 215 227 336
moe@tp2-pcie 160 201 235 360
dense@tp2-nvlink 31 46 48 82
dense@tp1 39 63 69 127
"""
TABLES_OF_PART_3 = "moe@tp2-nvlink 169 220 247 404 316 372 369 388"
REQUESTS_OF_PART_3 = "169 154 137 125 130 124 126 123"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_reference_is_of_its_name_and_passes_the_schema(path: Path) -> None:
    published = reference.parse(path.read_bytes(), path.name)
    assert published.id == path.stem
    validator = Draft202012Validator(schemas()["reference"])
    assert list(validator.iter_errors(msgspec.toml.decode(path.read_bytes()))) == []


def test_the_tables_of_part_1_are_as_published() -> None:
    rows = [line.split() for line in TABLES_OF_PART_1.strip().splitlines()]
    assert len(rows) == len(PART_1.cells)
    for cell, *numbers in rows:
        figures = PART_1.cells[cell]
        tasks = ("impl", "debug", "test", "refactor", "design")
        assert figures.prompts == dict(zip(tasks, numbers[:5], strict=True))
        assert [figures.rate, str(figures.tokens), figures.seconds] == numbers[5:8]
        assert list(map(str, figures.gpu_memory_mib or ())) == numbers[8:10]
        assert str(figures.max_model_len) == numbers[10]


def test_the_tables_of_parts_2_and_3_are_as_published() -> None:
    for name, table in (("article-part-2", TABLES_OF_PART_2), ("article-part-3", TABLES_OF_PART_3)):
        expected = {
            cell if agents == 1 else f"{cell}:{agents}": rate
            for cell, *rates in map(str.split, table.strip().splitlines())
            for agents, rate in enumerate(rates, start=1)
        }
        assert {key: figures.rate for key, figures in REFERENCES[name].cells.items()} == expected
    requests = [figures.request_rate for figures in REFERENCES["article-part-3"].cells.values()]
    assert requests == REQUESTS_OF_PART_3.split()


def test_the_earlier_run_is_as_published() -> None:
    rates = {key: figures.rate for key, figures in REFERENCES["author-earlier-run"].cells.items()}
    assert rates == {
        "moe@tp2-nvlink": "173.0",
        "moe-fp8@tp2-nvlink": "153.7",
        "moe@tp2-pcie": "166.7",
        "dense@tp2-pcie": "43.9",
    }


def test_hardware_software_and_protocol_of_part_1_are_as_published() -> None:
    assert (PART_1.hardware.gpu, PART_1.hardware.gpu_count) == ("NVIDIA GeForce RTX 3090", 2)
    assert PART_1.software.driver == "570.133.20"
    assert PART_1.software.cuda == "12.8"
    assert (PART_1.protocol.measured_passes, PART_1.protocol.max_tokens) == (1, 4096)
    assert (PART_1.measured, PART_1.parameters) == ("2026-03-06", {"gpu-price-usd": "800"})


PUBLISHED_CLAIMS = """
moe-advantage-tp2-nvlink = 2.6       moe-advantage-tp1 = 4.1
moe-advantage-tp2-pcie = 2.6         moe-spread-over-topologies = 1.038
nvlink-adds-little-moe < 1.04        nvlink-adds-little-dense < 1.04
pcie-near-nvlink-dense < 1.027       second-gpu-dense = 1.59
interactive-on-one-gpu > 100         thousand-tokens-moe = 6
thousand-tokens-dense = 24           five-hundred-tokens-moe = 3
first-token-within-a-second < 1      weights-on-one-gpu = 17
max-context-moe-tp2-nvlink > 131072  max-context-moe-tp1 > 32768
max-context-moe-tp2-pcie > 131072    max-context-dense-tp2-nvlink > 32768
max-context-dense-tp1 > 8192         max-context-dense-tp2-pcie > 32768
kv-cache-on-one-gpu = 32             disk-size-moe = 16.9
disk-size-dense = 19.5               fp8-slower = 0.87
four-agents-on-one-gpu = 336
"""


def test_the_claims_of_part_1_have_the_published_figures() -> None:
    signs = {Relation.EQUALS: "=", Relation.AT_MOST: "<", Relation.AT_LEAST: ">"}
    measures = {item.id: item.measure for item in PART_1.claims}
    for id_, sign, figure in re.findall(r"(\S+) ([=<>]) (\S+)", PUBLISHED_CLAIMS):
        measure = measures[id_]
        assert measure is not None
        assert (signs[measure.relation], measure.published) == (sign, figure), id_


def test_every_figure_of_a_table_is_a_claim() -> None:
    ids = {item.id for item in reference.all_claims(PART_1)}
    assert sum(id_.startswith("rate-") for id_ in ids) == 36
    assert {"rate-moe-tp1", "rate-dense-tp2-pcie-design"} < ids
    assert "rate-moe-tp1-x4" in {
        item.id for item in reference.all_claims(REFERENCES["article-part-2"])
    }


@pytest.mark.parametrize("published", REFERENCES.values(), ids=REFERENCES)
def test_cells_of_claims_are_of_references_that_are_there(published: Reference) -> None:
    for claim in published.claims:
        if claim.measure is not None and claim.measure.cells_of is not None:
            assert claim.measure.cells_of in REFERENCES


def edited(**changes: object) -> bytes:
    table = msgspec.toml.decode(FOLDER.joinpath("author-earlier-run.toml").read_bytes())
    return msgspec.json.encode({**table, **changes})


def claim(**changes: object) -> dict[str, object]:
    measure = {
        "formula": "rate(moe@tp1)",
        "relation": "equals",
        "published": "1.0",
        "unit": "x",
        "tolerance": 0.1,
        "tolerance_reason": "a",
    }
    return {
        "id": "a",
        "statement": "a",
        "where": "a",
        "hardware": "any",
        "measure": {**measure, **changes},
    }


def test_a_reference_may_be_json() -> None:
    assert reference.parse(edited(claims=[claim()]), "a.json").claims[0].id == "a"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "schema_version 2"),
        ({"id": "Upper"}, "id"),
        ({"surprise": 1}, "surprise"),
        ({"cells": {"moe": {}}}, "cell"),
        ({"cells": {"moe@tp1": {"rate": "1e3"}}}, "rate"),
        ({"cells": {"moe@tp1": {"rate": 1.5}}}, "rate"),
        ({"cells": {"moe@tp1": {"rate": "-1"}}}, "rate"),
        ({"cells": {"moe@tp1": {"rate": "0.00"}}}, "rate"),
        ({"cells": {"moe@tp1": {"seconds": "0"}}}, "seconds"),
        ({"repeats": {"moe-tp1": []}}, "not a cell"),
        ({"raw": {"swarms": {"a.csv": "nothing"}}}, "cell"),
        ({"measured": "yesterday"}, "measured"),
        ({"claims": [claim(), claim()]}, "one id"),
        ({"claims": [claim(formula="rate(")]}, "too early"),
        ({"claims": [claim(formula="speed(moe@tp1)")]}, "no quantity 'speed'"),
        ({"claims": [claim(formula="rate(a@b, c@d, x, y)")]}, "wrong number of cells or words"),
        ({"claims": [claim(formula="ttft(moe@tp1, impl)")]}, "wrong number of cells or words"),
        ({"claims": [claim(formula="not-passed(moe@tp1)")]}, "wrong number of cells or words"),
        ({"claims": [claim(formula="rate(moe@tp1) / price")]}, "no parameter price"),
        ({"claims": [claim(tolerance_reason=None)]}, "tolerance"),
        ({"claims": [claim(tolerance=0.0)]}, "tolerance"),
        ({"claims": [claim(tolerance=1.5)]}, "tolerance"),
        ({"claims": [{**claim(), "measure": None}]}, "neither a measure"),
        ({"statements": [{"kind": "rumour"}]}, "rumour"),
    ],
)  # fmt: skip
def test_a_malformed_reference_is_refused_with_the_reason(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        reference.parse(edited(**changes), "a.json")
    assert said in caught.value.what
    assert caught.value.exit_code == 3


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@pytest.mark.parametrize("name", ["a.toml", "a.json"])
def test_any_bytes_are_a_reference_or_refused(name: str, data: bytes) -> None:
    with pytest.raises(SpecError):
        reference.parse(data, name)


@given(data=st.data())
def test_a_damaged_reference_is_refused_or_read(data: st.DataObject) -> None:
    whole = bytearray(FOLDER.joinpath("author-earlier-run.toml").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        published = reference.parse(bytes(whole), "a.toml")
    except SpecError:
        return
    assert all(isinstance(item, Claim) for item in reference.all_claims(published))


def test_what_is_too_large_or_too_deep_is_refused() -> None:
    for data in (b" " * (reference.LIMIT_BYTES + 1), b"a = " + b"[" * 5000 + b"]" * 5000):
        with pytest.raises(SpecError):
            reference.parse(data, "a.toml")


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 200_000) + " = 1",
        "[" + " . ".join(["a-1"] * 202) + "]",
        "x = {" + "\t.".join(['"\\"."'] * 202) + " = 1}",
        "[[" + ".".join(["'a b'"] * 202) + "]]",
        "x = 1\n" + ".".join(["''", "b", '"c"'] * 68) + " = 1",
    ],
    ids=["bare", "table", "inline", "array", "mixed"],
)
def test_a_key_of_many_parts_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(SpecError, match="more than 200 dots in a line"):
        reference.parse(text.encode(), "a.toml")


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join(["a"] * 201) + "]",
        'title = "' + "One sentence. " * 60 + '"',
        'title = "to be continued' + "." * 60 + '"',
        "flags = [" + ", ".join(['"1.5"'] * 60) + "]",
        "rates = [" + ", ".join(["1.5"] * 60) + "]",
    ],
    ids=["fewer", "sentences", "dots", "texts", "numbers"],
)
def test_fewer_dots_in_a_line_are_accepted(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        reference.parse(text.encode(), "a.toml")
    assert "dots" not in caught.value.what


@pytest.mark.parametrize(
    "piece", ["a", "'", '"', '\\"', "''.", '"a".x ', "a . ", '"."', ".", "a\t", "\\", "'\"", "-.-"]
)
def test_text_of_any_kind_is_refused_in_linear_time(piece: str) -> None:
    """Twice as much text takes some twice as long: four times would take hours for the largest."""
    text = (piece * reference.LIMIT_BYTES).encode()[: reference.LIMIT_BYTES]
    with pytest.raises(SpecError):
        reference.parse(text, "a.toml")


def test_a_bound_is_exact_and_a_figure_is_not() -> None:
    measure = Measure(formula="1", relation=Relation.AT_MOST, published="1.04", unit="x")
    assert measure.figure.low == measure.figure.high == 1.04
    equal = msgspec.structs.replace(measure, relation=Relation.EQUALS)
    assert equal.figure.low == pytest.approx(1.035)
    assert formula.cells(equal.tree) == ()
