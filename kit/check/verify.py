"""The way in: the files of one bundle, and what is known here, to a verdict. Pure.

Tiers run from bytes to claims. One bad tier does not stop the others, as long as there is
something left for them to look at.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.bundle.bag import SERVER_LOG
from kit.check import (
    arithmetic,
    duplicates,
    integrity,
    protocol,
    reportable,
    roofline,
    schema,
    topology,
)
from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence, gather
from kit.check.finding import Finding, Verdict
from kit.check.problem import BUNDLE, Problem, findings, unchecked
from kit.check.refusal import Refusal
from kit.check.schema import Validators

_OF_SETS = "claims are judged for a set of bundles: kit verify PATH... --reference NAME"


_TIERS = (Code.ARITHMETIC_TIER, Code.TOPOLOGY_TIER, Code.PHYSICS_TIER, Code.PROTOCOL_TIER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What a bundle is held against: the schemas, compiled once, and the checkout's data."""

    validators: Validators
    catalog: Catalog


def known(schemas: Mapping[str, Mapping[str, Any]], catalog: Catalog) -> Known:
    """Prepare what any number of bundles are held against."""
    return Known(validators=Validators(schemas), catalog=catalog)


def verify(
    path: str,
    files: Mapping[str, bytes],
    refused: Sequence[Refusal],
    known: Known,
) -> Verdict:
    """Judge one bundle: its regular files by relative path, and what its reader refused and why.

    Never raises because of what a bundle holds; nothing in it is executed or followed.
    """
    if not integrity.is_bag(files, refused):
        return Verdict(path=path, id=None, status=None, findings=integrity.not_a_bag(refused))
    bag = integrity.open_bag(files)
    reading = schema.read(files, known.validators)
    document = reading.document
    found = (
        *reading.findings,
        *integrity.check(files, refused, bag, document),
        *_upper_tiers(_gathered(files, bag, reading), known),
    )
    return Verdict(
        path=path,
        id=bag.id if bag.digests else None,
        status=None if document is None else document.status,
        is_rehearsal=document is not None and document.plan.rehearsal,
        not_shown=reportable.not_shown(found, document),
        fingerprint=duplicates.fingerprint(
            document, reading.records or (), bag.digests, bag.metrics
        ),
        findings=found,
    )


def _gathered(
    files: Mapping[str, bytes], bag: integrity.Bag, reading: schema.SchemaResult
) -> Evidence | None:
    if reading.document is None or reading.records is None:
        return None
    return gather(
        reading.document,
        reading.records,
        bag.metrics,
        replace(bag.observed, host_facts=reading.host_facts),
        has_server_log=SERVER_LOG in files,
    )


def _upper_tiers(evidence: Evidence | None, known: Known) -> Iterator[Finding]:
    if evidence is None:
        for code in _TIERS:
            unread = unchecked(BUNDLE, "document or records cannot be read", code.holds)
            yield from findings(code, [unread])
    else:
        yield from arithmetic.check(evidence, known.catalog)
        yield from topology.check(evidence, known.catalog)
        yield from roofline.check(evidence, known.catalog)
        yield from protocol.check(evidence, known.catalog)
    yield from findings(Code.CLAIMS_TIER, [_claims(evidence)])


def _claims(evidence: Evidence | None) -> Problem:
    """Say why one bundle alone is not asked about claims."""
    is_own = evidence is None or evidence.is_own_engine
    reason = _OF_SETS if is_own else "nothing is known of the server"
    return unchecked(BUNDLE, reason, Code.CLAIMS_TIER.holds)
