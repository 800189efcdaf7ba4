"""Whether bundles name the same bytes for the files of a model's revision.

A revision fixes every file. Where the kit ships no hash of one, a host asserts what the hub listed;
two bundles that assert different bytes cannot both be right, and neither is believed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from kit.bundle.document import Document
from kit.check.check import Check, Problem, fail, findings
from kit.check.finding import File, Verdict
from kit.plan.models import HubModel, Model


def asserted(document: Document | None, model: Model | None) -> frozenset[File]:
    """Return the files that a bundle names without a shipped hash to hold them to."""
    if document is None or not isinstance(model, HubModel) or document.plan.rehearsal:
        return frozenset()
    return frozenset(
        (f"{model.repository}@{model.revision}/{file.name}", file.sha256)
        for file in document.engine.model_files or ()
        if file.name not in model.shipped_sha256
    )


def agreed(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield each verdict with one more finding: whether another one names other bytes.

    From the first one that asserts files on, all are held back until the last one was seen.
    """
    held: list[Verdict] = []
    hashes: Mapping[str, set[str]] = defaultdict(set)
    for verdict in verdicts:
        if not held and not verdict.asserted:
            yield verdict
            continue
        held.append(verdict)
        for name, sha256 in verdict.asserted:
            hashes[name].add(sha256)
    for verdict in held:
        yield _judged(verdict, hashes)


def _judged(verdict: Verdict, hashes: Mapping[str, set[str]]) -> Verdict:
    if not verdict.asserted:
        return verdict
    return replace(
        verdict, findings=(*verdict.findings, *findings(SAME_FILES, _problems(verdict, hashes)))
    )


def _problems(verdict: Verdict, hashes: Mapping[str, set[str]]) -> Iterator[Problem]:
    for name, sha256 in sorted(verdict.asserted):
        if others := sorted(hashes[name] - {sha256}):
            yield fail(name, f"SHA-256 {sha256}", f"what another bundle names: {', '.join(others)}")


SAME_FILES: Check[Verdict] = Check(
    id="protocol-same-files",
    holds="no other of these bundles names other bytes for a file of the same revision",
    hint="one host's files are not the revision's: compare them with the hub's list",
    look=lambda _: (),  # nothing to compare one bundle with: `agreed` looks at several
)
