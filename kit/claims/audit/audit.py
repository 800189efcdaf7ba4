"""All findings on a reference: on its figures and claims, its statements, and data files."""

from collections.abc import Mapping

from kit.claims.audit import raw_files, statements, tables
from kit.claims.audit.facts import Facts
from kit.claims.audit.finding import AuditFinding
from kit.claims.noise import noise_of
from kit.claims.reference import Reference


def audit(
    reference: Reference,
    references: Mapping[str, Reference],
    facts: Facts,
    raw: Mapping[str, bytes],
) -> tuple[AuditFinding, ...]:
    """Compare a reference with itself, all references, facts, and its author's files by name."""
    known = {**references, reference.id: reference}
    noise = noise_of(known.values(), reference.author)
    return (
        *tables.findings(reference, known, noise),
        *statements.findings(reference, facts),
        *raw_files.findings(reference, known, noise, raw),
    )
