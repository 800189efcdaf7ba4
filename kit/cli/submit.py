"""`kit submit`: prepares a bundle for handing in."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from kit.check.finding import Verdict
from kit.check.verify import Verified
from kit.edge.files import archive, checkout, disk
from kit.edge.files.archive import Compression
from kit.edge.verify_paths import bundles_at, read_folder, verdicts, verify_paths
from kit.errors import BundleError, ExitCode, UsageError
from kit.report import verdict_text
from kit.report.escape import printable


def submit(path: Path) -> int:
    """Pack a bundle into `results/community/`, and print what to commit.

    Raises `BundleError` for one that would not be accepted: invalid, partial, a rehearsal, not
    reportable, or a copy of an accepted one.
    """
    if list(bundles_at(path)) != [path]:
        raise UsageError(
            f"{path} is a folder of several bundles",
            "one bundle is handed in at a time",
            f"make submit BUNDLE={bundles_at(path)[0]}",
        )
    *_, verified = verify_paths([path])
    *accepted, verdict = verdicts([checkout.COMMUNITY, path])
    _require_acceptable(path, verdict)
    _require_new(path, verdict, accepted)
    files = read_folder(path).files
    for line in _published(verified, files):
        click.echo(line, err=True)
    name = _name(verified)
    target = checkout.COMMUNITY / f"{name}{Compression.ZSTD.value}"
    disk.overwrite(target, archive.pack(files, name, Compression.ZSTD))
    for line in _commands(name, target):
        click.echo(line)
    return ExitCode.DONE


def _require_acceptable(path: Path, verdict: Verdict) -> None:
    if verdict.is_reportable:
        return
    click.echo("\n".join(verdict_text.lines(verdict)), err=True)
    missing = f": {', '.join(verdict.not_shown)}" if verdict.not_shown else ""
    raise BundleError(
        f"{path} would not be accepted{missing}",
        "accepted bundles are valid, whole, reportable, and not there already",
        f"kit verify {path}",
    )


def _require_new(path: Path, verdict: Verdict, accepted: Sequence[Verdict]) -> None:
    for other in accepted:
        if other.id == verdict.id:
            raise BundleError(
                f"{path} is accepted already, as {other.path}",
                "each run is handed in once",
                "ls results/community",
            )


def _published(verified: Verified, files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what everyone will be able to read."""
    bundle = verified.bundle
    assert bundle is not None  # as it is reportable
    document = bundle.document
    yield f"What would be published of {document.plan.cell}:"
    yield f"  GPUs     {', '.join(map(printable, bundle.gpus)) or 'none'}"
    yield f"  host id  {document.host_id}, random, by which this host's bundles belong together"
    for name in sorted(files):
        yield f"  {len(files[name]):>9}  {printable(name)}"
    yield "Names of host and user, addresses and paths were replaced before sealing."


def _name(verified: Verified) -> str:
    assert verified.bundle is not None
    cell = verified.bundle.document.plan.cell
    return f"{cell.model}-{cell.topology}-{cell.suite}-{verified.bundle.id[:16]}"


def _commands(name: str, target: Path) -> Iterator[str]:
    yield f"git switch -c {name}"
    yield ".kit/venv/bin/kit results --update"
    yield f"git add {os.path.relpath(target, checkout.ROOT)} results/verdict"
    yield f"git commit -m 'Add {name}'"
    yield f"git push origin {name}   # then open a pull request"
