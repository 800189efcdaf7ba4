"""`kit audit`: what of a publication follows from its own figures; measures nothing."""

from pathlib import Path

import click

from kit.claims.audit.audit import audit as hold
from kit.claims.audit.finding import as_document, exit_code
from kit.edge.files import checkout, safe_read
from kit.errors import UsageError
from kit.format import canonical
from kit.report.audit import lines


def audit(name: str, raw: Path | None, *, as_json: bool) -> int:
    """Print every finding; 1 where something is contradicted."""
    shipped = checkout.references()
    reference = checkout.published(name, shipped)
    findings = hold(reference, shipped, checkout.facts(), _data_files(raw))
    if as_json:
        click.echo(canonical.encode(as_document(reference.id, findings)), nl=False)
    else:
        click.echo("\n".join(lines(reference.id, findings)))
    return exit_code(findings)


def _data_files(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    if not folder.is_dir():
        raise UsageError(
            f"no folder at {folder}",
            "--raw takes the folder of the author's data files",
            "git clone the reference's source, and name the folder of its data",
        )
    read = safe_read.read_folder(folder)
    if read.refused:
        raise UsageError(
            f"{len(read.refused)} of the files in {folder} cannot be read",
            "links, devices and what is over the limits of a bundle's files are not followed",
            "copy the author's data files into a folder of their own",
        )
    return dict(read.files)
