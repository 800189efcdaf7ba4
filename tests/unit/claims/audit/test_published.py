"""The findings on the references of the checkout, and on data files like their author's."""

import pytest

from kit.claims.audit.audit import audit
from kit.claims.audit.finding import AuditOutcome
from kit.edge.files import checkout
from tests import six_cells
from tests.unit.claims.audit.test_raw_files import swarm

REFERENCES = six_cells.references()
FACTS = checkout.facts()

CONTRADICTED = {
    "article-part-1": {
        ("audit-mean-of-row", "moe@tp2-nvlink"),
        ("audit-mean-of-row", "moe@tp1"),
        ("audit-claim", "fp8-slower"),
        ("audit-direction", "fp8-slower"),
        ("audit-claim", "advantage-grows-under-load"),
        ("audit-claim", "advantage-grows-under-load-tp2-nvlink"),
        ("audit-other-run", "dense@tp2-nvlink in article-part-2"),
        ("audit-other-run", "dense@tp2-pcie in author-earlier-run"),
        ("audit-nvlink", "nv3"),
        ("audit-kv-cache", "kv-cache-of-7-gb"),
        ("audit-thinking-mode", "thinking-moe"),
        ("audit-native-context", "native-context-dense"),
        ("audit-context-reason", "native-context-dense"),
        ("audit-disk-size", "disk-moe"),
        ("audit-disk-size", "disk-dense"),
        ("audit-same-format", "same-awq"),
    },
    "article-part-2": {
        ("audit-claim", "four-agents-speed-up-moe"),
        ("audit-other-run", "dense@tp2-nvlink in article-part-1"),
    },
    "article-part-3": set(),
    "author-earlier-run": {("audit-other-run", "dense@tp2-pcie in article-part-1")},
}


def contradicted(name: str, files: dict[str, bytes]) -> set[tuple[str, str]]:
    findings = audit(REFERENCES[name], REFERENCES, FACTS, files)
    return {
        (finding.rule, finding.subject)
        for finding in findings
        if finding.outcome is AuditOutcome.CONTRADICTED
    }


@pytest.mark.parametrize("name", REFERENCES)
def test_where_publications_contradict_themselves_and_each_other(name: str) -> None:
    assert contradicted(name, {}) == CONTRADICTED[name]


def test_the_pooled_averages_hold() -> None:
    findings = audit(REFERENCES["article-part-1"], REFERENCES, FACTS, {})
    pooled = [finding for finding in findings if finding.rule == "audit-pooled"]
    assert [finding.outcome for finding in pooled] == [AuditOutcome.HOLDS] * 6


FOUR_REQUESTS = [(6, 1, 2500, 25.0, 34.0), (6, 1, 4000, 34.0, 34.0), (6, 1, 1700, 17.0, 34.0),
                 (6, 1, 3400, 34.0, 34.0)]  # fmt: skip


def test_where_data_files_like_the_authors_contradict_the_articles() -> None:
    files = {
        "swarm-dense-tp1.csv": swarm((1, 1, 1231, 31.2, 252.2), (1, 1, 8192, 221.0, 252.2)),
        "swarm-dense-tp2-nvlink.csv": swarm((1, 1, 1954, 63.3, 63.3)),
        "swarm-moe-tp2-nvlink.csv": swarm((1, 1, 1660, 10.0, 10.0)),
        "swarm-coder4-tp2-nvlink-c8.csv": swarm(*FOUR_REQUESTS),
    }
    new = contradicted("article-part-1", files) - CONTRADICTED["article-part-1"]
    assert new == {
        ("audit-context-limit", "swarm-dense-tp1.csv: dense@tp1"),
        ("audit-raw-other-run", "dense@tp1"),
        ("audit-raw-other-run", "dense@tp2-nvlink"),
        ("audit-raw-rate", "article-part-2: dense@tp1"),
        ("audit-raw-rate", "article-part-3: moe@tp2-nvlink:6"),
        ("audit-in-flight", "swarm-coder4-tp2-nvlink-c8.csv: level 6"),
    }
