"""A verdict as in-toto statements, so that others can carry it on, sign it, or hold it to a policy.

Statement v1 with the predicate Test Result v0.1 (https://in-toto.io/attestation/test-result/v0.1).
Unsigned: who vouches for a verdict wraps it in an envelope of their own. What could not be checked
is in none of the predicate's three lists, for it neither passed nor failed; an extension field,
whose name is a URI as the framework asks, holds it.
"""

import json
from collections import defaultdict
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
_GRAVEST = (Outcome.FAIL, Outcome.WARN, Outcome.COULD_NOT_CHECK, Outcome.PASS)


def render(document: VerdictDocument, held_against: Mapping[str, str]) -> str:
    """Return a statement a line: one for each bundle, then one for each set of claims.

    `held_against` maps each file that bundles were held against to its SHA-256. A bundle without an
    id has no subject that could be named, and so no statement.
    """
    configuration = [
        {"name": name, "digest": {"sha256": digest}} for name, digest in held_against.items()
    ]
    lines = (*_of_bundles(document, configuration), *_of_claims(document, configuration))
    return "".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)


def _of_bundles(document: VerdictDocument, configuration: list[Any]) -> Iterator[dict[str, Any]]:
    for bundle in document.bundles:
        own = [one for one in document.findings if one.bundle == bundle.path]
        if bundle.id is not None:
            is_whole = ExitCode(bundle.exit_code) is not ExitCode.NOTHING_TO_JUDGE
            yield _statement([bundle], _by_code(own), configuration, is_whole=is_whole)


def _of_claims(document: VerdictDocument, configuration: list[Any]) -> Iterator[dict[str, Any]]:
    for judged in document.judged:
        subjects = [one for one in document.bundles if one.path in judged.bundles and one.id]
        if subjects:
            yield _statement(subjects, _by_claim(judged), configuration, is_whole=True)


def _by_code(findings: Iterable[BundleFinding]) -> dict[str, Outcome]:
    """Return the gravest outcome of each code."""
    found: defaultdict[str, set[Outcome]] = defaultdict(set)
    for one in findings:
        found[one.code].add(one.outcome)
    return {
        code: next(outcome for outcome in _GRAVEST if outcome in outcomes)
        for code, outcomes in found.items()
    }


def _by_claim(judged: JudgedSet) -> dict[str, Outcome]:
    return {f"{judged.reference}/{one.claim}": _CLAIM_AS_TEST[one.outcome] for one in judged.claims}


def _statement(
    subjects: Iterable[JudgedBundle],
    tests: Mapping[str, Outcome],
    configuration: list[Any],
    *,
    is_whole: bool,
) -> dict[str, Any]:
    def named(outcome: Outcome) -> list[str]:
        return sorted(name for name, found in tests.items() if found is outcome)

    return {
        "_type": STATEMENT,
        "subject": [_subject(digest) for digest in dict.fromkeys(one.id for one in subjects)],
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
    """Return a bundle's manifest, whose digest is its id, under a name of its own."""
    return {"name": f"bundle-{bundle_id}/{MANIFEST}", "digest": {"sha256": bundle_id}}


def _result(outcomes: set[Outcome], *, is_whole: bool) -> str:
    """Return `PASSED` only where everything was checked and nothing was found."""
    if Outcome.FAIL in outcomes:
        return "FAILED"
    return "PASSED" if outcomes == {Outcome.PASS} and is_whole else "WARNED"
