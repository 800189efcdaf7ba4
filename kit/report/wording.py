"""The words and the rounding that all formats share: one figure is spelled one way everywhere."""

from collections.abc import Iterator

from kit.figures import intervals
from kit.figures.advantage import Advantage
from kit.figures.cell import CellFigures, Latency
from kit.figures.intervals import Interval
from kit.figures.summary import Summary
from kit.figures.throughput import Throughput

ABSENT = "-"

TWINS_CAPTION = "Twins with random weights: not the article's numbers."
OWN_CAPTION = "Measured here: not the article's numbers."

ROUNDING = (
    "Rounded by Python's format: prompts to 0.1 tok/s; pooled figures, their intervals and means "
    "to 0.01; seconds to a microsecond."
)


def column(throughput: Throughput | None) -> str:
    """Return a prompt's rate in tok/s, to one decimal as published."""
    return ABSENT if throughput is None else f"{throughput.tokens_per_s:.1f}"


def pooled(throughput: Throughput | None) -> str:
    """Return a cell's rate in tok/s, to two decimals."""
    return ABSENT if throughput is None else f"{throughput.tokens_per_s:.2f}"


def mean_of_columns(tokens_per_s: float | None) -> str:
    """Return the mean of a cell's columns in tok/s, to two decimals."""
    return ABSENT if tokens_per_s is None else f"{tokens_per_s:.2f}"


def interval(bounds: Interval | None) -> str:
    """Return the bounds of an interval, to two decimals."""
    return ABSENT if bounds is None else f"{bounds.low:.2f} to {bounds.high:.2f}"


def milliseconds(seconds: float) -> str:
    """Return a latency in milliseconds, three digits or more where they are whole."""
    value = seconds * 1000
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f} ms"


def amount(cell: CellFigures) -> str:
    """Return what a cell's headline is made of: tokens, seconds to six decimals, and passes."""
    measured = cell.plan.measured_passes
    passes = f"{len(cell.pass_rates)} of {measured} passes" if cell.is_partial else _passes(cell)
    if cell.pooled is None:
        return f"no measured token, {passes}"
    return f"{cell.pooled.tokens} tokens in {cell.pooled.seconds:.6f} s, {passes}"


def roofline_share(cell: CellFigures) -> str:
    """Return how much of its roofline a cell reaches, in whole percent."""
    share = cell.roofline_share
    return ABSENT if share is None else f"{share:.0%}".replace("%", " %")


def roofline(cell: CellFigures) -> str | None:
    """Return that share with what it is of; None where no roofline is known."""
    if cell.roofline is None or cell.roofline_share is None:
        return None
    names = cell.roofline.gpus
    return (
        f"{roofline_share(cell)} of {cell.roofline.tokens_per_s:.1f} tok/s, the most that "
        f"{cell.roofline.bytes_per_s / 1e9:.0f} GB/s of {len(names)} x {names[0]} allow"
    )


def first_token(latency: Latency | None) -> str:
    """Return the time to first token; few samples, so the longest says more than a percentile."""
    if latency is None:
        return "not measured (no streamed response)"
    longest = milliseconds(max(latency.samples_s))
    count = len(latency.samples_s)
    return f"median {milliseconds(latency.summary.median_s)}, longest {longest} of {count}"


def inter_token(latency: Latency | None) -> str:
    """Return the inter-token latency."""
    if latency is None:
        return "not measured (no streamed response)"
    summary = latency.summary
    return (
        f"median {milliseconds(summary.median_s)}, mean {milliseconds(summary.mean_s)}, "
        f"99th percentile {milliseconds(summary.p99_s)}"
    )


def latencies(cell: CellFigures) -> Iterator[str]:
    """Yield TTFT median and longest, then inter-token median, mean and 99th percentile."""
    first, between = cell.time_to_first_token, cell.inter_token
    yield milliseconds(first.summary.median_s) if first else ABSENT
    yield milliseconds(max(first.samples_s)) if first else ABSENT
    yield milliseconds(between.summary.median_s) if between else ABSENT
    yield milliseconds(between.summary.mean_s) if between else ABSENT
    yield milliseconds(between.summary.p99_s) if between else ABSENT


def advantage(found: Advantage) -> str:
    """Return the MoE advantage in a sentence; it holds names from bundles, escape it."""
    moe, dense = found.moe[0].plan.cell, found.dense[0].plan.cell
    bounds = found.pooled.interval
    certainty = (
        f"95 % interval {interval(bounds)}"
        if bounds
        else "no interval: fewer than three complete passes of each"
    )
    twins = "; both are twins" if found.is_twin else ""
    return (
        f"{moe.model} is {found.pooled.value:.2f} times as fast as {dense.model} on "
        f"{found.configuration} ({certainty}){twins}"
    )


def no_advantage() -> str:
    """Return why no MoE advantage is shown."""
    return "none: it takes bundles of an MoE and a dense model, alike in host, topology and plan"


def closing(summary: Summary) -> str:
    """Return the sentence that ends every summary: whose numbers these are."""
    if any(cell.is_twin for cell in summary.cells):
        return (
            "These numbers are not the article's: they come from small twins of its models, with "
            "random weights, on this machine, and are never compared with the published ones."
        )
    return (
        "These numbers are those of the server that was measured, not the article's; nothing here "
        "compares them with the published ones."
    )


def caveats(summary: Summary) -> Iterator[str]:
    """Yield what a reader must know of the figures; holds names from bundles, escape them."""
    if any(cell.interval for cell in summary.cells):
        yield _floor(summary)
    for cell in summary.cells:
        if cell.is_partial:
            failure = cell.bundle.document.failure
            why = f" ({failure.code} at {failure.stage})" if failure else ""
            yield f"{cell.name}: the run stopped early{why}; the figures hold what was recorded."
        if cell.no_interval:
            yield f"{cell.name}: no interval, {cell.no_interval}."


def _floor(summary: Summary) -> str:
    most = max(cell.starts for cell in summary.cells)
    starts = "One start of the engine" if most == 1 else "Each row is one start of the engine"
    floor = f"{intervals.RESTART_FLOOR * 100:.1f} %"
    return (
        f"{starts}: the half-width of an interval has a floor of {floor}, by which restarts moved "
        "the cells of the article's author. Here they may move them by more."
    )


def _passes(cell: CellFigures) -> str:
    count = len(cell.pass_rates)
    return f"{count} pass" if count == 1 else f"{count} passes"
