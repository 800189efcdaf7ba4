"""Bundles on disk, folders or archives, to verdicts and evidence."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kit.bundle import bag
from kit.check.agreement import agreed
from kit.check.duplicates import Duplicates
from kit.check.finding import Verdict
from kit.check.refusal import Refusal, Refused
from kit.check.verify import Verified, known, verify
from kit.edge import pool
from kit.edge.files import archive, checkout, safe_read
from kit.errors import BundleError, UsageError


def verify_paths(paths: Sequence[Path], tokenizers: Sequence[Path] = ()) -> Iterator[Verified]:
    """Read and check each path, one after another; yield its verdict and evidence.

    A folder of bundles stands for all of them. Raises `UsageError` for a path that does not exist,
    before anything is read.
    """
    bundles, verify_path, duplicates = _all_bundles(paths), _verifier(tokenizers), Duplicates()
    for path in bundles:
        verdict, evidence = verify_path(path)
        yield Verified(duplicates.admit(verdict), evidence)


def verdicts(
    paths: Sequence[Path], tokenizers: Sequence[Path] = (), jobs: int | None = None
) -> Iterator[Verdict]:
    """Yield the verdict on each path, as `verify_paths` does, from `jobs` processes.

    By default there are as many as cores, and one for a handful of bundles.
    """
    bundles, verify_path = _all_bundles(paths), _verifier(tokenizers)
    processes = jobs or (pool.cores() if len(bundles) > pool.BATCH else 1)
    found = pool.in_order(lambda path: verify_path(path).verdict, bundles, processes)
    return agreed(map(Duplicates().admit, found))


def _verifier(tokenizers: Sequence[Path]) -> Callable[[Path], Verified]:
    """Return what verifies one bundle at a path, against the checkout as it is now."""
    checkout_known = known(checkout.schemas(), checkout.catalog(tokenizers))

    def verify_path(path: Path) -> Verified:
        folder = read_folder(path)
        return verify(_shown(path), folder.files, folder.refused, checkout_known)

    return verify_path


def read_folder(path: Path) -> safe_read.Folder:
    """Read a folder or an archive, whatever its name.

    What is neither is a folder that holds nothing, so that it does not stop the rest.
    """
    try:
        return safe_read.read_folder(path) if path.is_dir() else archive.read_archive(path)
    except BundleError as error:
        refusal = Refusal(name=".", reason=error.what, code=Refused.BAG)
        return safe_read.Folder(files={}, refused=(refusal,))


def bundles_at(path: Path) -> Sequence[Path]:
    """Return the bundles in a folder of bundles; else the path itself, whatever it is.

    Raises `UsageError` where there is no such path.
    """
    _require_there(path)
    is_folder = path.is_dir() and not path.is_symlink()
    if not is_folder or _holds_bag(path):
        return [path]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    return [entry for entry in inside if _may_be_bundle(entry)] or [path]


def _all_bundles(paths: Sequence[Path]) -> list[Path]:
    return [bundle for path in paths for bundle in bundles_at(path)]


def _may_be_bundle(entry: Path) -> bool:
    return archive.compression_of(entry) is not None or _holds_bag(entry)


def _holds_bag(folder: Path) -> bool:
    """Tell whether a folder is a bundle, however damaged: it must not go unseen."""
    return any(os.path.lexists(folder / name) for name in (bag.BAGIT, "data"))


def _shown(path: Path) -> str:
    """Return a path as text, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _require_there(path: Path) -> None:
    if not os.path.lexists(path):  # which, unlike Path.exists, bears names that are too long
        raise UsageError(
            f"no bundle at {_shown(path)}: there is no such path",
            "a bundle is a folder that holds bagit.txt and data/, or a .tar.zst or .tar.gz of one",
            "ls results/local, or make bench to make one",
        )
