"""A comparison as lines for a terminal: what differs in the making, then in numbers."""

from collections.abc import Iterator

from kit.claims.compare import Comparison, Contrast, Difference, Likeness
from kit.report.escape import printable

_SENTENCES = {
    Likeness.ALIKE: "alike: the interval of the rates' ratio holds 1",
    Likeness.DIFFERENT: "different: the interval of the rates' ratio does not hold 1",
    Likeness.SETTINGS: "no verdict: settings differ (marked *), and numbers may differ by them",
    Likeness.TOO_FEW: "no verdict: an interval takes three passes on each side",
}


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield one cell's comparison."""
    first, second = comparison.starts
    yield f"{printable(str(comparison.cell))}: {_starts(first)} against {_starts(second)}"
    for difference in comparison.differences:
        yield f"  {_difference(difference)}"
    if not comparison.differences:
        yield "  nothing differs in how they were made"
    for contrast in comparison.contrasts:
        yield f"  {_contrast(contrast)}"
    if not comparison.contrasts:
        yield "  no numbers: a side has no valid bundle"
    yield f"  {_SENTENCES[comparison.likeness]}"


def _starts(count: int) -> str:
    return f"{count} bundle{'' if count == 1 else 's'}"


def _difference(found: Difference) -> str:
    mark = "*" if found.matters else " "
    values = f"{printable(found.first)} -> {printable(found.second)}"
    return f"{mark} {found.aspect + ' ' + printable(found.fact):40} {values}"


def _contrast(contrast: Contrast) -> str:
    bounds = contrast.interval
    certainty = f" ({bounds.low:.3f} to {bounds.high:.3f})" if bounds else ""
    values = f"{contrast.first:.2f} -> {contrast.second:.2f} {contrast.unit}"
    return f"  {contrast.name:40} {values}: {contrast.ratio:.3f} x{certainty}"
