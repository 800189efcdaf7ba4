"""Names for pictures: short, and only of characters that the shipped font can draw."""

from functools import cache
from pathlib import PurePath

import matplotlib as mpl
from matplotlib.ft2font import FT2Font

from kit.figures.cell import CellFigures
from kit.report.escape import shortened


def drawn(text: str, width: int) -> str:
    """Return `text` printable, at most `width` characters, those that cannot be drawn as `?`."""
    return "".join(c if ord(c) in _glyphs() else "?" for c in shortened(text, width))


def cell_label(cell: CellFigures) -> str:
    """Return a cell's name for a legend or a title."""
    name = f"{drawn(cell.plan.cell.model, 20)} on {drawn(cell.plan.cell.topology, 12)}{cell.tag}"
    return f"{name} (partial)" if cell.is_partial else name


@cache
def _glyphs() -> frozenset[int]:
    """Return the characters that the font has; matplotlib warns of every other."""
    path = PurePath(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(FT2Font(str(path)).get_charmap())
