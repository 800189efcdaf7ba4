"""Bundles on disk to verdicts, and verdicts as text."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit import bundle
from kit.bundle import Bundle
from kit.canonical import NotCanonical
from kit.check.claims.witness import Witness, testify
from kit.check.codes import Code
from kit.check.copies import Copies
from kit.check.finding import Finding, Outcome, Verdict
from kit.check.refusal import Refusal
from kit.check.verify import known, verify
from kit.edge import archive, checkout, disk, pool
from kit.errors import BundleError, ExitCode, UsageError
from kit.report.escape import printable

ANSWERS = {
    ExitCode.DONE: "VALID",
    ExitCode.DIFFERS: "DIFFERS",
    ExitCode.NOTHING_TO_JUDGE: "PARTIAL",
    ExitCode.BUNDLE_INVALID: "INVALID",
}


def judge(
    paths: Sequence[Path], tokenizers: Sequence[Path] = ()
) -> Iterator[tuple[Verdict, Bundle | None]]:
    """Read and check each path; yield its verdict, and the bundle as far as it can be read.

    A folder of bundles stands for all of them. An invalid bundle is not handed on, nor is a
    rehearsal: figures come from bundles that hold. Raises `UsageError` for a path that does not
    exist, before anything is read.
    """
    bundles = _all_bundles(paths)
    held_against, copies = known(checkout.schemas(), checkout.shipped(tokenizers)), Copies()
    for path in bundles:
        folder = read_folder(path)
        judged = verify(_shown(path), folder.files, folder.refused, held_against)
        verdict = copies.admit(judged)
        holds = verdict.exit_code is not ExitCode.BUNDLE_INVALID and not verdict.is_rehearsal
        yield verdict, _read(folder) if holds else None


def verdicts(
    paths: Sequence[Path], tokenizers: Sequence[Path] = (), jobs: int | None = None
) -> Iterator[Verdict]:
    """Read and check each path, as `judge` does, by so many processes; yield the verdicts alone.

    By default there are as many as there are cores, and one for a handful of bundles.
    """
    bundles = _all_bundles(paths)
    held_against = known(checkout.schemas(), checkout.shipped(tokenizers))

    def verdict_on(path: Path) -> Verdict:
        folder = read_folder(path)
        return verify(_shown(path), folder.files, folder.refused, held_against)

    processes = jobs or (pool.cores() if len(bundles) > pool.BATCH else 1)
    return map(Copies().admit, pool.in_order(verdict_on, bundles, processes))


def hear(paths: Sequence[Path], tokenizers: Sequence[Path] = ()) -> Iterator[Witness | Verdict]:
    """Read and check each path, as `judge` does; yield what its bundle can say about claims."""
    bundles = _all_bundles(paths)
    held_against, copies = known(checkout.schemas(), checkout.shipped(tokenizers)), Copies()
    for path in bundles:
        folder = read_folder(path)
        judged = verify(_shown(path), folder.files, folder.refused, held_against)
        yield testify(copies.admit(judged), folder.files)


def describe(verdict: Verdict) -> Iterator[str]:
    """Yield a verdict as lines: the answer first, then every finding that is not a pass."""
    yield f"{_answer(verdict)}  {printable(verdict.path)}  id {(verdict.id or '?')[:16]}"
    for finding in verdict.findings:
        if finding.outcome in (Outcome.FAIL, Outcome.WARN):
            yield from _in_full(finding)
    for finding in verdict.findings:
        if finding.outcome is Outcome.COULD_NOT_CHECK:
            yield f"  {finding.outcome.value}  {finding.code}: {printable(finding.observed)}"
    if verdict.exit_code is ExitCode.DONE:
        yield f"  {_quotable(verdict)}"
    counts = Counter(finding.outcome for finding in verdict.findings)
    yield "  " + ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)


def _answer(verdict: Verdict) -> str:
    if verdict.is_rehearsal and verdict.exit_code is ExitCode.NOTHING_TO_JUDGE:
        return "REHEARSAL"
    return ANSWERS[verdict.exit_code]


def _quotable(verdict: Verdict) -> str:
    if verdict.is_reportable:
        return "reportable: every part of what was measured is known"
    return f"not reportable: not shown by {', '.join(verdict.not_shown)}"


def _in_full(finding: Finding) -> Iterator[str]:
    yield f"  {finding.outcome.value}  {finding.code}  {printable(finding.subject)}"
    yield f"    observed  {printable(finding.observed)}"
    yield f"    expected  {printable(finding.expected)}"
    yield f"    hint      {printable(finding.hint)}"


def read_folder(path: Path) -> disk.Folder:
    """Read a folder or an archive, whatever its name.

    What is neither is a folder that holds nothing, so that it does not stop the rest.
    """
    try:
        return disk.read_folder(path) if path.is_dir() else archive.read_archive(path)
    except BundleError as error:
        refusal = Refusal(name=".", reason=error.what, code=Code.INTEGRITY_BAG)
        return disk.Folder(files={}, refused=(refusal,))


def _read(folder: disk.Folder) -> Bundle | None:
    try:
        return bundle.read(folder.files)
    except (NotCanonical, KeyError):
        return None


def _shown(path: Path) -> str:
    """Return a path as text, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _all_bundles(paths: Sequence[Path]) -> list[Path]:
    return [bundle for path in paths for bundle in _bundles_at(path)]


def _bundles_at(path: Path) -> Sequence[Path]:
    """Return the bundles in a folder of bundles; else the path itself, whatever it is."""
    _require_there(path)
    is_folder = path.is_dir() and not path.is_symlink()
    if not is_folder or any((path / name).exists() for name in (bundle.BAGIT, "data")):
        return [path]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    return [entry for entry in inside if _may_be_bundle(entry)] or [path]


def _may_be_bundle(entry: Path) -> bool:
    return archive.compression_of(entry) is not None or (entry / bundle.BAGIT).exists()


def _require_there(path: Path) -> None:
    if not os.path.lexists(path):  # which, unlike Path.exists, bears names that are too long
        raise UsageError(
            f"no bundle at {_shown(path)}: there is no such path",
            "a bundle is a folder that holds bagit.txt and data/, or a .tar.zst or .tar.gz of one",
            "ls results/local, or make bench to make one",
        )
