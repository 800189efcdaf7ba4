"""The way in: the files of one bundle, and what the checkout ships, to a verdict. Pure.

Tiers run from bytes to protocol. One bad tier does not stop the others, as long as there is
something left for them to look at.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from kit.bundle.bag import Bundle
from kit.check import agreement, duplicates, integrity, reportable, schema, tiers
from kit.check.check import run
from kit.check.decoding import Validators
from kit.check.evidence import Catalog, Evidence, gather, queued_s
from kit.check.finding import Finding, Outcome, Verdict
from kit.check.refusal import Refusal
from kit.check.submission import Submission
from kit.errors import ExitCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What bundles are compared with: the schemas, compiled once, and the checkout's catalog."""

    validators: Validators
    catalog: Catalog


class Verified(NamedTuple):
    """A verdict, and the evidence that it is about; None where that cannot be read."""

    verdict: Verdict
    evidence: Evidence | None

    @property
    def bundle(self) -> Bundle | None:
        """What figures are made of; None of an invalid bundle, and of a rehearsal."""
        is_invalid = self.verdict.exit_code is ExitCode.BUNDLE_INVALID
        if self.evidence is None or is_invalid or self.verdict.is_rehearsal:
            return None
        return Bundle(
            id=self.evidence.id,
            document=self.evidence.document,
            records=self.evidence.records,
            gpus=tuple(gpu.name for gpu in self.evidence.gpus),
            telemetry=self.evidence.observed.telemetry,
            queued_s=queued_s(self.evidence),
        )


def known(schemas: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> Known:
    """Prepare what any number of bundles are compared with."""
    return Known(validators=Validators(schemas), catalog=catalog)


def verify(
    path: str, files: Mapping[str, bytes], refused: Sequence[Refusal], known: Known
) -> Verified:
    """Judge one bundle: its regular files by relative path, and what its reader refused and why.

    Never raises because of what a bundle holds; nothing in it is executed or followed.
    """
    submission = Submission(
        files=files,
        refused=refused,
        opened=integrity.open_bag(files),
        reading=schema.read(files, known.validators),
    )
    if not integrity.is_bag(files, refused):
        findings = tuple(_failures(submission))
        return Verified(Verdict(path=path, id=None, status=None, findings=findings), None)
    evidence = _evidence(submission, known.catalog)
    document, opened = submission.reading.document, submission.opened
    findings = (*_bytes_tiers(submission), *_evidence_tiers(evidence))
    verdict = Verdict(
        path=path,
        id=opened.id if opened.digests else None,
        status=None if document is None else document.status,
        is_rehearsal=document is not None and document.plan.rehearsal,
        not_shown=reportable.not_shown(findings, document),
        fingerprint=duplicates.fingerprint(submission.reading.records or ()),
        asserted=agreement.asserted(document, None if evidence is None else evidence.model),
        findings=findings,
    )
    return Verified(verdict, evidence)


def _failures(submission: Submission) -> Iterator[Finding]:
    """Yield why files are no bag; nothing else is asked of them."""
    for check in integrity.FOR_ANY_FILES:
        yield from (
            finding for finding in run(check, submission) if finding.outcome is not Outcome.PASS
        )


def _evidence(submission: Submission, catalog: Catalog) -> Evidence | None:
    reading, opened = submission.reading, submission.opened
    if reading.document is None or reading.records is None:
        return None
    return gather(
        opened.id,
        reading.document,
        reading.records,
        opened.metrics,
        replace(opened.observed, host_facts=reading.host_facts),
        catalog,
    )


def _bytes_tiers(submission: Submission) -> Iterator[Finding]:
    for check in (*schema.CHECKS, *integrity.CHECKS):
        yield from run(check, submission)


def _evidence_tiers(evidence: Evidence | None) -> Iterator[Finding]:
    for tier in tiers.OF_EVIDENCE:
        yield from tiers.run_tier(tier, evidence)
