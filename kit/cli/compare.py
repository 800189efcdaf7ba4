"""`kit compare`: what differs between two bundles, or two folders of them."""

from pathlib import Path

import click

from kit.claims.compare import Comparison, Likeness, compare
from kit.claims.verdict import overall
from kit.edge.verify_paths import verify_paths
from kit.errors import ExitCode
from kit.format import canonical
from kit.report import comparison


def compare_paths(first: Path, second: Path, *, as_json: bool) -> int:
    """Print the comparison; return 1 where a cell is different, 7 where nothing can be compared."""
    sides = [tuple(verify_paths([path])) for path in (first, second)]
    found = tuple(compare(*sides))
    if as_json:
        click.echo(canonical.encode([_document(one) for one in found]).decode(), nl=False)
    else:
        for one in found:
            click.echo("\n".join(comparison.lines(one)))
    if not found:
        click.echo("no cell is on both sides", err=True)
        return ExitCode.NOTHING_TO_JUDGE
    verdicts = [verified.verdict for side in sides for verified in side]
    if overall(verdicts) is ExitCode.BUNDLE_INVALID:
        return ExitCode.BUNDLE_INVALID
    return _code({one.likeness for one in found})


def _code(found: set[Likeness]) -> ExitCode:
    if Likeness.DIFFERENT in found:
        return ExitCode.DIFFERS
    return ExitCode.DONE if found == {Likeness.ALIKE} else ExitCode.NOTHING_TO_JUDGE


def _document(one: Comparison) -> dict[str, object]:
    return {
        "cell": one.cell,
        "bundles": one.starts,
        "differences": [
            {
                "aspect": it.aspect,
                "fact": it.fact,
                "first": it.first,
                "second": it.second,
                "matters": it.matters,
            }
            for it in one.differences
        ],
        "numbers": [
            {
                "name": it.name,
                "unit": it.unit,
                "first": it.first,
                "second": it.second,
                "ratio": it.ratio,
                "interval": None if it.interval is None else (it.interval.low, it.interval.high),
            }
            for it in one.contrasts
        ],
        "likeness": one.likeness.value,
    }
