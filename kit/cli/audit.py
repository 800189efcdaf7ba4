"""`kit audit`: checks published figures against each other; measures nothing."""

from pathlib import Path

import click

from kit.claims.audit.audit import audit as audit_reference
from kit.claims.audit.finding import as_document, exit_code
from kit.edge.files import checkout, safe_read
from kit.errors import UsageError
from kit.format import canonical
from kit.report.audit import lines


def audit(name: str, raw: Path | None, *, as_json: bool) -> int:
    """Print every finding; return 1 where one is contradicted."""
    shipped = checkout.references()
    reference = checkout.published(name, shipped)
    findings = audit_reference(reference, shipped, checkout.facts(), _data_files(raw))
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
            f"{folder} is not a folder",
            "--raw takes the folder of the author's data files",
            "git clone the reference's source, and pass the folder of its data",
        )
    content = safe_read.read_folder(folder)
    if content.refused:
        refusal = content.refused[0]
        raise UsageError(
            f"{len(content.refused)} of the files in {folder} cannot be used; {refusal.name}: "
            f"{refusal.reason}",
            "links, devices and files over the size limits of a bundle are not read",
            "copy the author's data files into a folder of their own",
        )
    return dict(content.files)
