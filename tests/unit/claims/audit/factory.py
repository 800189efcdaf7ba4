"""Small references, facts and data files, one thing changed at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kit.claims import reference
from kit.claims.audit.audit import audit
from kit.claims.audit.facts import Facts
from kit.claims.audit.finding import AuditFinding, AuditOutcome, Rule
from kit.claims.reference import Reference

HOLDS, CONTRADICTED, CANNOT_TELL = (
    AuditOutcome.HOLDS,
    AuditOutcome.CONTRADICTED,
    AuditOutcome.CANNOT_TELL,
)

FACTS = msgspec.convert(
    {
        "models": {
            "big": {
                "kv_bytes_per_token": 8000,
                "native_context_tokens": 32768,
                "checkpoint_gb": "10.74",
                "format": "awq",
                "format_detail": "AWQ, 4 bits",
                "has_thinking_mode": False,
                "source": "its config.json",
                "size_source": "its files",
                "thinking_source": "its model card",
            },
            "small": {
                "kv_bytes_per_token": 2,
                "native_context_tokens": 1024,
                "checkpoint_gb": "1.00",
                "format": "gguf",
                "format_detail": "GGUF",
                "source": "its config.json",
                "size_source": "its files",
            },
        },
        "gpus": {
            "A GPU": {"nvlink_links": 6, "nvlink_link_gb_s": "25", "source": "its datasheet"},
        },
    },
    Facts,
)
"""8000 bytes of keys and values a token for `big`; 50 GB/s both ways a link."""


def reference_of(**changes: object) -> Reference:
    """Return a reference of two cells, with fields replaced."""
    table: dict[str, Any] = {
        "schema_version": 1,
        "id": "here",
        "title": "A benchmark",
        "author": "somebody",
        "measured": "2026-01-02",
        "source": "nowhere",
        "hardware": {"gpu": "A GPU", "gpu_count": 2},
        "software": {"engine": "an engine"},
        "protocol": {},
        "models": {"big": {"name": "Big"}},
        "tables": {"where": "a table", "tolerance": 0.05, "tolerance_reason": "a reason"},
        "cells": {"big@one": {"rate": "100.0"}, "big@two": {"rate": "150.0"}},
    }
    return reference.parse(msgspec.json.encode({**table, **changes}), "here.json")


def claim(
    formula: str, published: str, relation: str = "equals", **measure: object
) -> dict[str, Any]:
    """Return a claim as a reference has it."""
    if relation == "equals":
        measure = {"tolerance": 0.05, "tolerance_reason": "a reason", **measure}
    return {
        "id": "it",
        "statement": "It is so.",
        "where": "somewhere",
        "hardware": "any",
        "measure": {
            "formula": formula,
            "published": published,
            "relation": relation,
            "unit": "x",
            **measure,
        },
    }


def repeats(*rates: str) -> dict[str, Any]:
    """Return repeats of one cell."""
    return {"big@one": [{"rate": rate, "where": "another day"} for rate in rates]}


def findings_of(
    rule: Rule,
    audited: Reference,
    others: Sequence[Reference] = (),
    raw: Mapping[str, bytes] | None = None,
) -> list[AuditFinding]:
    """Return the findings of one rule."""
    references = {other.id: other for other in others}
    return [
        finding
        for finding in audit(audited, references, FACTS, raw or {})
        if finding.rule == rule.id
    ]


def outcomes(findings: Sequence[AuditFinding]) -> list[AuditOutcome]:
    """Return the outcomes alone, in order."""
    return [finding.outcome for finding in findings]
