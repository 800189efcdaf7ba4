"""A verdict in each format: the answer first, nothing lost, untrusted text stays text."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from kit.bundle.document import Status
from kit.check.finding import Finding, Outcome, Tier, Verdict
from kit.claims import eligible
from kit.claims.judge import judge as judge_claims
from kit.claims.noise import noise_of
from kit.claims.verdict import ClaimOutcome, VerdictDocument, as_document
from kit.report import statement, verdict_pages
from tests.factory import Settings, draft, judge
from tests.six_cells import references, six

INPUTS = {"schemas/bundle.schema.json": "ab" * 32}
HOSTILE = "<script>alert(1)</script> | `x` [a](http://b) \x1b[2J \u202e @someone"


def with_claims() -> VerdictDocument:
    """Return the verdict on six cells that follow the article, and on its claims."""
    bundles, catalog = six(), references()
    part = catalog["article-part-1"]
    noise = noise_of(catalog.values(), part.author)
    verdicts = [
        bundle.verdict if isinstance(bundle, eligible.EligibleBundle) else bundle
        for bundle in bundles
    ]
    return as_document(verdicts, judge_claims(part, noise, {}, bundles))


def hostile() -> VerdictDocument:
    finding = Finding(
        code="integrity-digest",
        tier=Tier.INTEGRITY,
        outcome=Outcome.FAIL,
        subject=HOSTILE,
        observed=HOSTILE,
        expected=HOSTILE,
        hint="measure again",
    )
    return as_document(
        [Verdict(path=HOSTILE, id="0f" * 32, status=Status.COMPLETE, findings=(finding,))]
    )


WITH_CLAIMS = with_claims()


class Page(HTMLParser):
    """Collects tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("render", [verdict_pages.markdown, verdict_pages.html])
def test_the_answer_comes_first_and_no_claim_is_lost(
    render: Callable[[VerdictDocument], str],
) -> None:
    shown = render(WITH_CLAIMS)
    text = " ".join(Page(shown).words) if shown.startswith("<!DOCTYPE") else shown
    answer = text.index("6 VALID; article-part-1 REPRODUCED")
    (judged,) = WITH_CLAIMS.judged
    assert all(answer < text.index(claim.claim) for claim in judged.claims)
    for outcome in ClaimOutcome:
        assert f"{judged.count(outcome)} {outcome.value}" in text


def test_a_page_loads_nothing_and_a_untrusted_text_stays_text() -> None:
    page = Page(verdict_pages.html(hostile()))
    assert "script" not in page.tags
    assert any("<script>" in words for words in page.words)
    assert not any("\x1b" in words or "\u202e" in words for words in page.words)


def test_markdown_keeps_a_untrusted_text_in_code() -> None:
    shown = verdict_pages.markdown(hostile())
    without_code = re.sub(r"`[^`]*`", "", shown)
    for mark in ("<script>", "](http", "@someone", "\x1b", "\u202e"):
        assert mark not in without_code
    tables = [block.splitlines() for block in shown.split("\n\n") if block.startswith("|")]
    assert [{line.count(" | ") for line in rows} for rows in tables] == [{4}, {5}]


def statements(document: VerdictDocument) -> list[dict[str, object]]:
    return [json.loads(line) for line in statement.render(document, INPUTS).splitlines()]


def test_a_statement_names_its_subject_and_every_test() -> None:
    (parsed,) = statements(as_document([judge(draft().seal())]))
    assert (parsed["_type"], parsed["predicateType"]) == (statement.STATEMENT, statement.PREDICATE)
    verdict = judge(draft().seal())
    name = f"bundle-{verdict.id}/manifest-sha256.txt"
    assert parsed["subject"] == [{"name": name, "digest": {"sha256": verdict.id}}]
    predicate = parsed["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["configuration"] == [
        {"name": "schemas/bundle.schema.json", "digest": {"sha256": "ab" * 32}}
    ]
    lists = ("passedTests", "warnedTests", "failedTests", statement.NOT_CHECKED)
    named = [name for key in lists for name in predicate[key]]
    assert sorted(named) == sorted({finding.code for finding in verdict.findings})
    assert predicate["result"] == "WARNED"  # claims were not judged: that is no pass


@pytest.mark.parametrize(
    ("outcomes", "status", "expected"),
    [
        ((Outcome.PASS,), Status.COMPLETE, "PASSED"),
        ((Outcome.PASS,), Status.PARTIAL, "WARNED"),
        ((Outcome.PASS, Outcome.WARN), Status.COMPLETE, "WARNED"),
        ((Outcome.PASS, Outcome.COULD_NOT_CHECK), Status.COMPLETE, "WARNED"),
        ((Outcome.FAIL, Outcome.WARN), Status.COMPLETE, "FAILED"),
    ],
)
def test_only_what_was_checked_and_holds_has_passed(
    outcomes: tuple[Outcome, ...], status: Status, expected: str
) -> None:
    first, *_ = hostile().findings
    kinds = {name: getattr(first, name) for name in Finding.__struct_fields__}
    findings = tuple(
        replace(Finding(**kinds), code=f"a-{number}", outcome=outcome)
        for number, outcome in enumerate(outcomes)
    )
    verdict = Verdict(path="x", id="0f" * 32, status=status, findings=findings)
    (parsed,) = statements(as_document([verdict]))
    predicate = parsed["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["result"] == expected


def test_claims_are_tests_of_all_the_bundles_they_were_judged_from() -> None:
    *_, claims = statements(WITH_CLAIMS)
    assert isinstance(claims["subject"], list)
    assert len({subject["name"] for subject in claims["subject"]}) == 6
    predicate = claims["predicate"]
    assert isinstance(predicate, dict)
    assert "article-part-1/rate-moe-tp1" in predicate["passedTests"]
    assert "article-part-1/nvlink-adds-little-moe" in predicate[statement.NOT_CHECKED]


def test_what_has_no_id_has_no_statement() -> None:
    assert statement.render(as_document([judge({})]), INPUTS) == ""


def test_a_rehearsal_and_a_partial_run_are_named_for_what_they_are() -> None:
    rehearsal = draft(Settings(topology="tp2-pcie", model="moe", rehearsal=True))
    assert rehearsal.server_log is not None
    rehearsal.server_log = rehearsal.server_log.replace(b"=cuda", b"=cpu")
    both = [judge(rehearsal.seal()), judge(draft(Settings(stop_after=3)).seal())]
    shown = verdict_pages.markdown(as_document(both))
    assert shown.startswith("**1 REHEARSAL, 1 PARTIAL**")
