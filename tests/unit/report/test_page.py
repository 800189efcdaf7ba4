"""The page and its charts are well formed, self-contained and reproducible to the byte."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.bundle.bag import Bundle
from kit.bundle.record import SHORTEST_S
from kit.check.finding import Finding, Outcome, Tier, Verdict
from kit.figures.summary import summarise
from kit.report import page, pictures
from tests.unit.report.factory import DENSE, MOE, make

ROOT = Path(__file__).resolve().parents[3]
VOID = {"meta"}
NAMES = ("throughput", "passes", "inter-token-latency", "moe-against-dense")
HOSTILE = "<script>alert(1)</script>\"'&$\\frac$ \u202e\x1b[31m\U0001f9ff日本" * 3


class Reader(HTMLParser):
    """Reads a page strictly: every tag closed in order, attributes kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    return [make(MOE), make(DENSE)]


@pytest.fixture(scope="module")
def verdict(bundles: list[Bundle]) -> Verdict:
    findings = tuple(
        Finding(
            code=f"C{number}",
            tier=Tier.PROTOCOL,
            outcome=outcome,
            subject="measured-1/impl",
            observed="<b>1</b>",
            expected="2",
            hint="",
        )
        for number, outcome in enumerate(Outcome)
    )
    return Verdict(path="/home/somebody/x", id=bundles[0].id, status=None, findings=findings)


@pytest.fixture(scope="module")
def files(bundles: list[Bundle], verdict: Verdict) -> dict[str, bytes]:
    return dict(page.files(bundles, [verdict]))


@pytest.fixture(scope="module")
def read(files: dict[str, bytes]) -> Reader:
    return Reader(files["index.html"].decode())


def hostile_page(text: str) -> str:
    """Return a page without pictures in which every word of the bundle is `text`."""
    shape = replace(MOE, model=text, topology=text, prompts=(text,), deviation=text, host_id=text)
    bundle = make(replace(shape, passes=1, stream_passes=0))
    verdict = Verdict(path=f"/x/{text}", id=None, status=None, findings=())
    return page.render(summarise([bundle]), (), [verdict])


def test_all_files_are_there(files: dict[str, bytes]) -> None:
    assert set(files) == {"index.html", *(f"{name}.{e}" for name in NAMES for e in ("png", "svg"))}
    for name in NAMES:
        assert files[f"{name}.png"].startswith(b"\x89PNG\r\n\x1a\n")


def test_the_same_bundles_give_the_same_bytes(
    files: dict[str, bytes], bundles: list[Bundle], verdict: Verdict
) -> None:
    with mpl.rc_context({"lines.linewidth": 9, "font.family": "serif", "svg.fonttype": "none"}):
        before = dict(mpl.rcParams)
        assert page.files(bundles, [verdict]) == files
        assert dict(mpl.rcParams) == before


def test_another_process_gives_the_same_picture(files: dict[str, bytes]) -> None:
    program = (
        "import sys; from kit.report import page; "
        "from tests.unit.report.factory import DENSE, MOE, make; "
        "sys.stdout.buffer.write(page.files([make(MOE), make(DENSE)], [])['throughput.svg'])"
    )
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert other.stdout == files["throughput.svg"]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_xml_without_a_date(files: dict[str, bytes], name: str) -> None:
    svg = files[f"{name}.svg"]
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert not re.search(rb"<dc:date>|20\d\d-\d\d-\d\dT", svg)


def test_the_page_is_well_formed(read: Reader) -> None:
    assert read.open == []
    assert read.tags[0] == ("html", {"lang": "en"})


def test_the_page_loads_nothing(files: dict[str, bytes], read: Reader) -> None:
    text = files["index.html"].decode()
    assert not re.search(r"https?:|//\w|@import|<script|<link|<img|<iframe|javascript:", text)
    for _, attributes in read.tags:
        assert not {name for name in attributes if name in ("src", "srcset") or name[:2] == "on"}
        assert (attributes.get("href") or "#").startswith("#")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}


def test_ids_are_unique_and_references_resolve(files: dict[str, bytes], read: Reader) -> None:
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    text = files["index.html"].decode()
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= set(ids)


def test_pictures_have_words_and_tables_have_headers(read: Reader) -> None:
    drawings = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert len(drawings) == 4
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    headers = [attributes for tag, attributes in read.tags if tag == "th"]
    assert all(header["scope"] in ("col", "row") for header in headers)


def test_the_page_holds_the_figures_and_the_evidence(
    read: Reader, bundles: list[Bundle], verdict: Verdict
) -> None:
    summary = summarise(bundles)
    assert summary.cells[0].pooled
    assert f"{summary.cells[0].pooled.tokens_per_s:.2f} tok/s" in read.shown
    assert f"{summary.advantages[0].pooled.value:.2f} times" in read.shown
    for fact in (bundles[0].id, bundles[1].document.plan_digest, "AMD EPYC 7B13", "0.17.0"):
        assert fact in read.shown
    assert "1 pass, 1 fail, 1 warn, 1 could-not-check" in read.shown
    assert "Not verified for this report." in read.shown
    assert "somebody" not in read.shown


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>&\"'/=` \n\x00\x1b\u202eascript-->!", max_size=30))
def test_no_word_of_a_bundle_becomes_markup(text: str) -> None:
    plain, other = Reader(hostile_page("plain")), Reader(hostile_page(text))
    assert [tag for tag, _ in other.tags] == [tag for tag, _ in plain.tags]
    assert other.open == []


def test_hostile_names_are_drawn_as_text() -> None:
    shape = replace(MOE, model=HOSTILE, topology=HOSTILE, prompts=("$x_$", "日本", "=" * 300, "\n"))
    rendered = page.files([make(replace(shape, seed=seed)) for seed in (1, 2)], [])
    assert Reader(rendered["index.html"].decode()).open == []
    ET.fromstring(rendered["passes.svg"])


@pytest.mark.parametrize(
    ("shapes", "names"),
    [
        ([], set()),
        ([replace(MOE, kept=0)], set()),
        ([replace(MOE, kept=5)], {"passes"}),
        ([replace(MOE, kept=13)], {"throughput", "passes"}),
        ([replace(MOE, passes=1, stream_passes=0)], {"throughput", "passes"}),
        ([MOE], {"throughput", "passes", "inter-token-latency"}),
        ([replace(s, passes=1, stream_passes=0) for s in (MOE, DENSE)], set(NAMES) - {NAMES[2]}),
    ],
)
def test_a_picture_needs_figures(shapes: list[object], names: set[str]) -> None:
    rendered = page.files([make(shape) for shape in shapes], [])
    assert {name.removesuffix(".png") for name in rendered if name.endswith(".png")} == names
    assert Reader(rendered["index.html"].decode()).open == []


def test_the_widest_figures_that_the_format_allows_are_drawn() -> None:
    longest_s, most_tokens = 1e8, 2**31 - 1  # of kit.format.fields
    bundle = make(replace(MOE, passes=3))
    records = tuple(
        msgspec.structs.replace(
            record,
            wall_s=SHORTEST_S if number % 2 else longest_s,
            completion_tokens=most_tokens if number % 2 else 1,
            chunks=((0.0, 1), (longest_s, 1)) if record.chunks else None,
        )
        for number, record in enumerate(bundle.records)
    )
    extreme = Bundle(id="0" * 64, document=bundle.document, records=records)
    rendered = page.files([extreme, make(DENSE)], [])
    assert len(rendered) == 1 + 2 * len(NAMES)


def test_many_bundles_and_many_prompts_are_drawn_in_panels() -> None:
    names = tuple(f"prompt-{number}" for number in range(30))
    shapes = [replace(MOE, seed=seed, prompts=names, passes=1, tokens=4) for seed in range(7)]
    drawn = pictures.draw(summarise([make(shape) for shape in shapes]))
    assert [picture.name for picture in drawn] == ["throughput", "passes", "inter-token-latency"]
