"""A verdict as Markdown, for a pull request that adds bundles, and as one HTML page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from kit.claims.verdict import BundleFinding, JudgedBundle, VerdictDocument
from kit.report import jinja


def markdown(document: VerdictDocument) -> str:
    """Return each bundle's findings, then each reference's claims, below a headline."""
    return jinja.markdown("verdict.md.jinja", _values(document))


def html(document: VerdictDocument) -> str:
    """Return the same as a page without scripts, which loads nothing."""
    return jinja.html("verdict.html.jinja", _values(document))


def _values(document: VerdictDocument) -> Mapping[str, object]:
    findings: defaultdict[str, list[BundleFinding]] = defaultdict(list)
    for finding in document.findings:
        findings[finding.bundle].append(finding)

    def findings_of(bundle: JudgedBundle) -> Sequence[BundleFinding]:
        return findings[bundle.path]

    return {"document": document, "findings_of": findings_of}
