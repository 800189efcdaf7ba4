"""A verdict as in-toto statements, for other tools to sign or to check against a policy.

Statement v1 with the predicate Test Result v0.1 (https://in-toto.io/attestation/test-result/v0.1).
Unsigned: a signer wraps a statement in an envelope. The predicate has no list for tests that could
not be checked; they are in an extension field, whose name is a URI as the framework requires.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kit.check.finding import Outcome
from kit.claims.verdict import BundleFinding, ClaimOutcome, JudgedBundle, JudgedSet, VerdictDocument
from kit.errors import ExitCode

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
NOT_CHECKED = "urn:llm-serving-repro-kit:not-checked"
MANIFEST = "manifest-sha256.txt"

_CLAIM_AS_TEST = {
    ClaimOutcome.REPRODUCED: Outcome.PASS,
    ClaimOutcome.NOT_REPRODUCED: Outcome.FAIL,
    ClaimOutcome.INCONCLUSIVE: Outcome.COULD_NOT_CHECK,
    ClaimOutcome.NOT_TESTABLE: Outcome.COULD_NOT_CHECK,
}
_WORST_FIRST = (Outcome.FAIL, Outcome.WARN, Outcome.COULD_NOT_CHECK, Outcome.PASS)


def render(document: VerdictDocument, inputs: Mapping[str, str]) -> str:
    """Return one statement per line: one for each bundle, then one for each set of claims.

    `inputs` maps each file that the verifier compared bundles with to its SHA-256. A bundle without
    an id gets no statement, because its subject has no name.
    """
    configuration = [
        {"name": name, "digest": {"sha256": digest}} for name, digest in inputs.items()
    ]
    lines = (*_of_bundles(document, configuration), *_of_claims(document, configuration))
    return "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)


def _of_bundles(document: VerdictDocument, configuration: list[Any]) -> Iterator[dict[str, Any]]:
    for bundle in document.bundles:
        own = [finding for finding in document.findings if finding.bundle == bundle.path]
        if bundle.id is not None:
            is_whole = ExitCode(bundle.exit_code) is not ExitCode.NOTHING_TO_JUDGE
            yield _statement([bundle], _by_code(own), configuration, is_whole=is_whole)


def _of_claims(document: VerdictDocument, configuration: list[Any]) -> Iterator[dict[str, Any]]:
    for judged in document.judged:
        subjects = [
            bundle for bundle in document.bundles if bundle.path in judged.bundles and bundle.id
        ]
        if subjects:
            yield _statement(subjects, _by_claim(judged), configuration, is_whole=True)


def _by_code(findings: Iterable[BundleFinding]) -> dict[str, Outcome]:
    """Return the worst outcome of each code."""
    outcomes: dict[str, Outcome] = {}
    for finding in findings:
        known = outcomes.get(finding.code, Outcome.PASS)
        outcomes[finding.code] = min(known, finding.outcome, key=_WORST_FIRST.index)
    return outcomes


def _by_claim(judged: JudgedSet) -> dict[str, Outcome]:
    return {
        f"{judged.reference}/{claim.claim}": _CLAIM_AS_TEST[claim.outcome]
        for claim in judged.claims
    }


def _statement(
    subjects: Iterable[JudgedBundle],
    tests: Mapping[str, Outcome],
    configuration: list[Any],
    *,
    is_whole: bool,
) -> dict[str, Any]:
    def named(outcome: Outcome) -> list[str]:
        return sorted(name for name, result in tests.items() if result is outcome)

    return {
        "_type": STATEMENT,
        "subject": [_subject(digest) for digest in dict.fromkeys(bundle.id for bundle in subjects)],
        "predicateType": PREDICATE,
        "predicate": {
            "result": _result(set(tests.values()), is_whole=is_whole),
            "configuration": configuration,
            "passedTests": named(Outcome.PASS),
            "warnedTests": named(Outcome.WARN),
            "failedTests": named(Outcome.FAIL),
            NOT_CHECKED: named(Outcome.COULD_NOT_CHECK),
        },
    }


def _subject(bundle_id: str | None) -> dict[str, Any]:
    """Return the bundle's manifest as a subject: its SHA-256 is the bundle's id."""
    return {"name": f"bundle-{bundle_id}/{MANIFEST}", "digest": {"sha256": bundle_id}}


def _result(outcomes: set[Outcome], *, is_whole: bool) -> str:
    """Return `PASSED` only if every test passed and the run was complete."""
    if Outcome.FAIL in outcomes:
        return "FAILED"
    return "PASSED" if outcomes == {Outcome.PASS} and is_whole else "WARNED"
