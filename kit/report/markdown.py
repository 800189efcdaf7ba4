"""The summary as Markdown, for an issue or a pull request."""

from kit.figures.summary import Summary
from kit.report import jinja, wording


def render(summary: Summary) -> str:
    """Return tables of throughput, latency, MoE advantage and evidence, with notes."""
    if not summary.cells:
        return f"{wording.NO_BUNDLE}\n"
    deviations = {
        f"Deviation from the article: {deviation.what} ({deviation.why})"
        for cell in summary.cells
        for deviation in cell.plan.deviations
    }
    notes = (*wording.caveats(summary), wording.closing(summary), wording.ROUNDING)
    values = {"summary": summary, "notes": (*notes, *sorted(deviations))}
    return jinja.markdown("report.md.jinja", values)
