"""The way in: a reference, all others, public facts and data files, to findings. Pure."""

from collections.abc import Mapping

from kit.claims.audit import data, statements, tables
from kit.claims.audit.facts import Facts
from kit.claims.audit.finding import AuditFinding
from kit.claims.reference import Reference, noise_of


def audit(
    reference: Reference,
    everyone: Mapping[str, Reference],
    facts: Facts,
    raw: Mapping[str, bytes],
) -> tuple[AuditFinding, ...]:
    """Hold a reference against itself, `everyone` else, facts, and data files by name."""
    known = {**everyone, reference.id: reference}
    noise = noise_of(known.values(), reference.author)
    return (
        *tables.check(reference, known, noise),
        *statements.check(reference, facts),
        *data.check(reference, known, noise, raw),
    )
