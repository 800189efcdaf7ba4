"""From bundles on disk to verdicts."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kit.bundle import bag
from kit.bundle.bag import Bundle
from kit.check.codes import Code
from kit.check.duplicates import Copies
from kit.check.finding import Verdict
from kit.check.refusal import Refusal
from kit.check.verify import known, verify
from kit.edge import pool
from kit.edge.files import archive, checkout, safe_read
from kit.errors import BundleError, ExitCode, UsageError
from kit.format.canonical import NotCanonical


def judge(
    paths: Sequence[Path], tokenizers: Sequence[Path] = ()
) -> Iterator[tuple[Verdict, Bundle | None]]:
    """Verify each path; yield its verdict and its bundle.

    A folder of bundles means all of them. The bundle is None where it is invalid, unreadable or a
    rehearsal: no figures are made from these. Raises `UsageError` for a path that does not exist,
    before anything is read.
    """
    for verdict, folder in judge_folders(paths, tokenizers):
        holds = verdict.exit_code is not ExitCode.BUNDLE_INVALID and not verdict.is_rehearsal
        yield verdict, _read(folder) if holds else None


def verdicts(
    paths: Sequence[Path], tokenizers: Sequence[Path] = (), jobs: int | None = None
) -> Iterator[Verdict]:
    """Verify each path, as `judge` does, in `jobs` processes; yield the verdicts only.

    By default one process for each core, and a single one for up to `pool.BATCH` bundles.
    """
    bundles, judged_at = _all_bundles(paths), _judge(tokenizers)
    processes = jobs or (pool.cores() if len(bundles) > pool.BATCH else 1)
    found = pool.in_order(lambda path: judged_at(path)[0], bundles, processes)
    return map(Copies().admit, found)


def judge_folders(
    paths: Sequence[Path], tokenizers: Sequence[Path] = ()
) -> Iterator[tuple[Verdict, safe_read.Folder]]:
    """Verify each path, as `judge` does; yield its verdict and its files."""
    bundles, judged_at, copies = _all_bundles(paths), _judge(tokenizers), Copies()
    for path in bundles:
        verdict, folder = judged_at(path)
        yield copies.admit(verdict), folder


def _judge(tokenizers: Sequence[Path]) -> Callable[[Path], tuple[Verdict, safe_read.Folder]]:
    """Return a function that verifies the bundle at a path, with the checkout's current files."""
    held_against = known(checkout.schemas(), checkout.catalog(tokenizers))

    def judged_at(path: Path) -> tuple[Verdict, safe_read.Folder]:
        folder = read_folder(path)
        return verify(_shown(path), folder.files, folder.refused, held_against), folder

    return judged_at


def read_folder(path: Path) -> safe_read.Folder:
    """Read a folder or an archive, of any name; what cannot be read is a refused empty folder."""
    try:
        return safe_read.read_folder(path) if path.is_dir() else archive.read_archive(path)
    except BundleError as error:
        refusal = Refusal(name=".", reason=error.what, code=Code.INTEGRITY_BAG)
        return safe_read.Folder(files={}, refused=(refusal,))


def bundles_at(path: Path) -> Sequence[Path]:
    """Return the bundles in a folder of bundles; for any other path, the path itself.

    Raises `UsageError` where there is no such path.
    """
    _require_there(path)
    is_folder = path.is_dir() and not path.is_symlink()
    if not is_folder or _holds_bag(path):
        return [path]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    return [entry for entry in inside if _may_be_bundle(entry)] or [path]


def _read(folder: safe_read.Folder) -> Bundle | None:
    try:
        return bag.read(folder.files)
    except (NotCanonical, KeyError):
        return None


def _shown(path: Path) -> str:
    """Return a path as text; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _all_bundles(paths: Sequence[Path]) -> list[Path]:
    return [bundle for path in paths for bundle in bundles_at(path)]


def _may_be_bundle(entry: Path) -> bool:
    return archive.compression_of(entry) is not None or _holds_bag(entry)


def _holds_bag(folder: Path) -> bool:
    """Return whether a folder is a bundle, even a damaged one."""
    return any(os.path.lexists(folder / name) for name in (bag.BAGIT, "data"))


def _require_there(path: Path) -> None:
    if not os.path.lexists(path):  # Path.exists raises for a name that is too long
        raise UsageError(
            f"no bundle at {_shown(path)}: no such path",
            "expected a folder with bagit.txt and data/, or a .tar.zst or .tar.gz of one",
            "ls results/local, or make bench to make one",
        )
