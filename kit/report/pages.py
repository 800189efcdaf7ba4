"""A whole report as files: the page, and each picture beside it; same input, same bytes."""

from collections.abc import Mapping, Sequence

from kit.bundle.bag import Bundle
from kit.check.finding import Verdict
from kit.figures.summary import NO_YARDSTICKS, summarise
from kit.report import page, pictures
from kit.roofline.model import Yardsticks

PAGE = "index.html"


def render(
    bundles: Sequence[Bundle],
    verdicts: Sequence[Verdict],
    yardsticks: Yardsticks = NO_YARDSTICKS,
) -> Mapping[str, bytes]:
    """Return the report's files by name; a picture without figures is not among them."""
    summary = summarise(bundles, yardsticks)
    drawn = pictures.draw(summary)
    files = {PAGE: page.render(summary, drawn, verdicts).encode()}
    for picture in drawn:
        files[f"{picture.name}.png"] = picture.png
        files[f"{picture.name}.svg"] = picture.svg
    return files
