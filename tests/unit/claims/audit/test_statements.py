"""Statements against public facts: one rule for each kind, with all of its outcomes."""

from typing import Any

import pytest

from kit.claims.audit import facts
from kit.claims.audit.finding import AuditOutcome, Rule
from kit.edge.files import checkout
from kit.errors import SpecError
from tests.catalog import SHAPES
from tests.unit.claims.audit.factory import (
    CANNOT_TELL,
    CONTRADICTED,
    HOLDS,
    findings_of,
    outcomes,
    reference_of,
)

CASES: list[tuple[Rule, dict[str, Any], list[AuditOutcome]]] = [
    # 32768 tokens of 8000 bytes are 0.26 GB
    (Rule.KV_CACHE, {"model": "big", "gb": "0.26", "context_tokens": 32768}, [HOLDS]),
    (Rule.KV_CACHE, {"model": "big", "gb": "0.3", "context_tokens": 32768}, [HOLDS]),
    (Rule.KV_CACHE, {"model": "big", "gb": "0.7", "context_tokens": 32768}, [CONTRADICTED]),
    (Rule.KV_CACHE, {"model": "big", "gb": "0.1", "context_tokens": 32768}, [CONTRADICTED]),
    (Rule.KV_CACHE, {"model": "other", "gb": "1", "context_tokens": 1}, [CANNOT_TELL]),
    (Rule.NVLINK, {"links": 3, "gb_s": "150"}, [HOLDS]),
    (Rule.NVLINK, {"links": 4, "gb_s": "150"}, [CONTRADICTED]),
    (Rule.THINKING, {"model": "big", "has_mode": False}, [HOLDS]),
    (Rule.THINKING, {"model": "big", "has_mode": True}, [CONTRADICTED]),
    (Rule.THINKING, {"model": "small", "has_mode": True}, [CANNOT_TELL]),
    (Rule.NATIVE_CONTEXT, {"model": "big", "kib_tokens": "32"}, [HOLDS]),
    (Rule.NATIVE_CONTEXT, {"model": "big", "kib_tokens": "128"}, [CONTRADICTED]),
    (Rule.NATIVE_CONTEXT, {"model": "other", "kib_tokens": "128"}, [CANNOT_TELL]),
    (Rule.DISK_SIZE, {"model": "big", "gb": "10.7"}, [HOLDS]),
    (Rule.DISK_SIZE, {"model": "big", "gb": "10.0"}, [CONTRADICTED]),
    (Rule.DISK_SIZE, {"model": "big", "gb": "12"}, [CONTRADICTED]),
    (Rule.DISK_SIZE, {"model": "other", "gb": "12"}, [CANNOT_TELL]),
    (Rule.SAME_FORMAT, {"models": ["big", "big"], "format": "awq"}, [HOLDS]),
    (Rule.SAME_FORMAT, {"models": ["big", "small"], "format": "awq"}, [CONTRADICTED]),
    (Rule.SAME_FORMAT, {"models": ["big", "other"], "format": "awq"}, [CANNOT_TELL]),
]


@pytest.mark.parametrize(("rule", "said", "expected"), CASES, ids=str)
def test_a_statement_is_compared_with_facts(
    rule: Rule, said: dict[str, Any], expected: list[AuditOutcome]
) -> None:
    kind = rule.id.removeprefix("audit-")
    statement = {"kind": kind, "id": "it", "statement": "So it is.", "where": "there", **said}
    audited = reference_of(statements=[statement])
    assert outcomes(findings_of(rule, audited)) == expected


@pytest.mark.parametrize(("configured", "expected"), [("32", CONTRADICTED), ("16", CANNOT_TELL)])
def test_a_context_that_is_the_models_own_needs_no_other_reason(
    configured: str, expected: AuditOutcome
) -> None:
    statement = {
        "kind": "native-context",
        "id": "it",
        "statement": "So it is.",
        "where": "there",
        "model": "big",
        "kib_tokens": "128",
        "configured_kib_tokens": configured,
        "configured_because": "VRAM",
    }
    audited = reference_of(statements=[statement])
    assert outcomes(findings_of(Rule.CONTEXT_REASON, audited)) == [expected]


def test_an_unknown_card_cannot_tell() -> None:
    statement = {
        "kind": "nvlink",
        "id": "it",
        "statement": "a",
        "where": "b",
        "links": 1,
        "gb_s": "5",
    }
    hardware = {"gpu": "Another GPU", "gpu_count": 1}
    audited = reference_of(statements=[statement], hardware=hardware)
    assert outcomes(findings_of(Rule.NVLINK, audited)) == [CANNOT_TELL]


def test_a_figure_in_gib_is_named_as_such() -> None:
    fields = {"id": "it", "statement": "a", "where": "b", "model": "big", "gb": "10.0"}
    (finding,) = findings_of(
        Rule.DISK_SIZE, reference_of(statements=[{"kind": "disk-size", **fields}])
    )
    assert finding.found.endswith("the figure is in GiB")


def test_the_facts_of_the_checkout_have_sources_and_the_known_sizes() -> None:
    known = checkout.facts()
    assert known.models["moe"].kv_bytes_per_token == 98_304
    assert known.models["dense"].kv_bytes_per_token == 262_144
    assert known.models["dense"].native_context_tokens == 32_768
    assert known.gpus["NVIDIA GeForce RTX 3090"].nvlink_links == 4


@pytest.mark.parametrize(
    "data",
    [
        b"models = 1",
        b"\xff",
        b"a =",
        b"[gpus]",
        b"[models.unknown]\n[gpus]",
        b"[models.shapeless]\n[gpus]",
        b"[models.moe]\nformat = 'awq'\n[gpus]",
    ],
)
def test_malformed_facts_are_refused(data: bytes) -> None:
    configs = {"moe": SHAPES["moe"], "shapeless": {}}
    with pytest.raises(SpecError):
        facts.parse(data, "facts.toml", configs)
