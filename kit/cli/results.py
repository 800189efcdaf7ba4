"""`kit results`: verifies the accepted bundles and compares the verdict with the committed one."""

import os
from contextlib import chdir
from pathlib import Path

import click

from kit.claims.verdict import VerdictDocument, as_document, overall
from kit.edge.files import checkout, disk
from kit.edge.judge_claims import Against, judge_claims
from kit.errors import ExitCode
from kit.format import canonical
from kit.report import verdict_pages


def results(*, update: bool) -> int:
    """Compare `results/verdict` with the verdict on `results/community`, or write it (`update`).

    Return 6 if a bundle is invalid, 7 if there is none, 1 if a file differs, else 0.
    """
    with chdir(checkout.ROOT):  # paths in the verdict are relative to the checkout
        folder = Path(os.path.relpath(checkout.COMMUNITY))
        references = tuple(checkout.references())
        verdicts, judged = judge_claims((folder,), (), Against(references=references))
    if not any(verdict.id for verdict in verdicts):
        click.echo(f"no bundle in {folder}", err=True)
        return ExitCode.NOTHING_TO_JUDGE
    different = False
    for name, data in _rendered(as_document(verdicts, judged)).items():
        path = checkout.VERDICT / name
        is_same = path.exists() and path.read_bytes() == data
        different |= not is_same
        if update:
            disk.overwrite(path, data)
        shown = os.path.relpath(path, checkout.ROOT)
        click.echo(f"{_word(is_same=is_same, update=update)}  {shown}")
    click.echo(f"{len(verdicts)} bundles judged against {len(references)} references")
    if overall(verdicts) is ExitCode.BUNDLE_INVALID:
        return ExitCode.BUNDLE_INVALID
    return ExitCode.DIFFERS if different and not update else ExitCode.DONE


def _rendered(document: VerdictDocument) -> dict[str, bytes]:
    return {
        "README.md": verdict_pages.markdown(document).encode(),
        "index.html": verdict_pages.html(document).encode(),
        "verdict.json": canonical.encode(document),
    }


def _word(*, is_same: bool, update: bool) -> str:
    if is_same:
        return "same"
    return "written" if update else "DIFFERS"
