"""How figures are spelled and rounded, and the sentences about them, the same in every format.

A sentence may hold names from a bundle: escape it for the format.
"""

from collections.abc import Iterator
from statistics import median

from kit.figures import intervals
from kit.figures.advantage import Advantage, Ratio
from kit.figures.cell import CellFigures, Latency
from kit.figures.energy import NoEnergy
from kit.figures.goodput import ENOUGH, Goodput, Objectives
from kit.figures.intervals import Interval
from kit.figures.levels import Levels
from kit.figures.summary import Summary
from kit.figures.throughput import Throughput, combined, measured

ABSENT = "-"
LEVEL_COLUMNS = (
    "Agents",
    "tok/s",
    "95 % interval",
    "a request",
    "TTFT",
    "ITL",
    "Queued",
    "Speed-up",
    "Fairness",
    "In flight",
)
"""Effective tok/s of all agents, and median tok/s of a request. All are of the steady windows, but
requests in flight and what waited in the server's queue, means over whole passes. Latencies are
medians; fairness is the slowest agent's rate over the fastest one's."""

PUBLISHED_TITLE = "Computed as published: whole passes, ramp and tail included"
PUBLISHED_COLUMNS = ("Agents", "tok/s", "Speed-up", "In flight")
"""Tokens over the seconds until the slowest response, and the seconds of one agent's pass over this
level's."""

GOODPUT_COLUMNS = ("Within", "Goodput")
"""The share of requests within all objectives, and the tok/s of these."""

ENERGY_TITLE = "Energy of the GPU boards"
ENERGY_COLUMNS = (
    "Power limit",
    "Power",
    "Idle",
    "J a token",
    "less idle",
    "Wh for 1,000 tokens",
    "Held by power",
    "Held by heat",
    "From",
)
"""Over the measured passes, of agents over their windows, all boards together; the limit is of each
board. "Held" is the share of readings whose clock was held down by either."""

ENERGY_CAVEAT = (
    "Energy is that of the GPU boards alone. A board's own meter may be off by 5 %, so that two "
    "hosts cannot be compared more closely."
)
LEVELS_TITLE = "Agents at once"
NO_BUNDLE = "No bundle, so there is nothing to report."
RESTART_FLOOR = f"{intervals.RESTART_FLOOR * 100:.1f} %"
ROUNDING = (
    "Rounded: rates of prompts to 0.1 tok/s; pooled rates, intervals and means to 0.01 tok/s; "
    "seconds to 1 microsecond."
)
NO_ADVANTAGE = (
    "not computed; it needs complete bundles of an MoE and a dense model with the same host, "
    "topology and plan"
)
NOT_STREAMED = "not measured (no streamed response)"


def column(throughput: Throughput | None) -> str:
    """Return a prompt's rate in tok/s, to one decimal as published."""
    return ABSENT if throughput is None else f"{throughput.tokens_per_s:.1f}"


def pooled(throughput: Throughput | None) -> str:
    """Return a cell's rate in tok/s, to two decimals."""
    return ABSENT if throughput is None else f"{throughput.tokens_per_s:.2f}"


def interval(bounds: Interval | None) -> str:
    """Return the bounds of an interval, to two decimals."""
    return ABSENT if bounds is None else f"{bounds.low:.2f} to {bounds.high:.2f}"


def rates(cell: CellFigures) -> tuple[str, ...]:
    """Return a row of the throughput table: each prompt, pooled, interval, mean of columns."""
    mean = cell.mean_of_columns
    return (
        *(column(prompt.throughput) for prompt in cell.prompts),
        pooled(cell.pooled),
        interval(cell.interval),
        ABSENT if mean is None else f"{mean:.2f}",
    )


def level(cell: CellFigures, speed_up: Ratio | None) -> tuple[str, ...]:
    """Return a row of a table of levels."""
    swarm, ttft, itl = cell.swarm, cell.time_to_first_token, cell.inter_token
    assert swarm is not None, "only cells of agents have levels"
    return (
        f"{swarm.agents}{' (partial)' if cell.is_partial else ''}",
        pooled(cell.pooled),
        interval(cell.interval),
        f"{median(swarm.request_rates):.1f}" if swarm.request_rates else ABSENT,
        ABSENT if ttft is None else milliseconds(ttft.summary.median_s),
        ABSENT if itl is None else milliseconds(itl.summary.median_s),
        ABSENT if cell.bundle.queued_s is None else milliseconds(cell.bundle.queued_s),
        ABSENT if speed_up is None else f"{speed_up.value:.2f}",
        ABSENT if swarm.fairness is None else f"{swarm.fairness:.2f}",
        f"{swarm.in_flight:.2f}",
        *(() if cell.goodput is None else _goodput(cell.goodput)),
    )


def published_level(cell: CellFigures, speed_up: float | None) -> tuple[str, ...]:
    """Return a row of the table of levels as the article computes them."""
    assert cell.swarm is not None, "only cells of agents have levels"
    return (
        str(cell.swarm.agents),
        pooled(combined(cell.swarm.as_published)),
        ABSENT if speed_up is None else f"{speed_up:.2f}",
        f"{cell.swarm.in_flight:.2f}",
    )


def level_columns(levels: Levels) -> tuple[str, ...]:
    """Return the columns of a table of levels: with goodput, where objectives were given."""
    has_goodput = any(cell.goodput for cell in levels.cells)
    return LEVEL_COLUMNS + (GOODPUT_COLUMNS if has_goodput else ())


def objectives(levels: Levels, wanted: Objectives) -> str:
    """Return up to how many agents the objectives hold, as a sentence."""
    most = levels.most_within
    held = "no level" if most is None else f"up to {most} agent{'s' if most > 1 else ''}"
    return f"{levels.name}: {held} with {ENOUGH * 100:.0f} % of requests within {wanted.text}"


def _goodput(goodput: Goodput) -> tuple[str, str]:
    return f"{goodput.share * 100:.0f} %", f"{goodput.tokens_per_s:.1f}"


def milliseconds(seconds: float) -> str:
    """Return a latency in milliseconds with at least three significant digits."""
    value = seconds * 1000
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f} ms"


def amount(cell: CellFigures) -> str:
    """Return what the pooled rate is computed from: tokens, seconds to 1 microsecond, passes."""
    count = len(cell.pass_rates)
    passes = f"{count} pass" if count == 1 else f"{count} passes"
    if cell.is_partial:
        passes = f"{count} of {cell.plan.measured_passes} passes"
    if cell.pooled is None:
        return f"no measured token, {passes}"
    reasoning = sum(record.reasoning_tokens or 0 for record in measured(cell.bundle.records))
    told = f", {reasoning} of all measured tokens for reasoning" if reasoning else ""
    return f"{cell.pooled.tokens} tokens in {cell.pooled.seconds:.6f} s, {passes}{told}"


def roofline_share(cell: CellFigures) -> str:
    """Return the pooled rate over the roofline, in whole percent."""
    share = cell.roofline_share
    return ABSENT if share is None else f"{share * 100:.0f} %"


def roofline(cell: CellFigures) -> str | None:
    """Return that share and the roofline itself; None if no roofline is known."""
    if cell.roofline is None or cell.roofline_share is None:
        return None
    names = cell.roofline.gpus
    return (
        f"{roofline_share(cell)} of {cell.roofline.tokens_per_s:.1f} tok/s, the limit by "
        f"{cell.roofline.bytes_per_s / 1e9:.0f} GB/s ({len(names)} x {names[0]})"
    )


def first_token(latency: Latency | None) -> str:
    """Return the time to first token: median, 90th percentile and maximum."""
    if latency is None:
        return NOT_STREAMED
    summary = latency.summary
    longest, count = max(latency.samples_s), len(latency.samples_s)
    return (
        f"median {milliseconds(summary.median_s)}, p90 {percentile(summary.p90_s)}, "
        f"maximum {milliseconds(longest)}, {count} samples"
    )


def inter_token(latency: Latency | None) -> str:
    """Return the inter-token latency: median, mean and 99th percentile."""
    if latency is None:
        return NOT_STREAMED
    summary = latency.summary
    return (
        f"median {milliseconds(summary.median_s)}, mean {milliseconds(summary.mean_s)}, "
        f"p99 {percentile(summary.p99_s)}"
    )


def percentile(value_s: float | None) -> str:
    """Return a percentile, or that there are too few samples for it."""
    return "too few" if value_s is None else milliseconds(value_s)


def energy(cell: CellFigures) -> tuple[str, ...]:
    """Return a row of the table of energy; a reason in place of figures that there are not."""
    found = cell.energy
    assert found is not None, "only cells on GPUs have energy"
    if isinstance(found, NoEnergy):
        return (*(ABSENT for _ in ENERGY_COLUMNS[1:]), found.reason)
    net = found.net_joules_per_token
    return (
        _watts(found.power_limit_w),
        _watts(found.joules / found.seconds),
        _watts(found.idle_w),
        f"{found.joules_per_token:.3f}",
        ABSENT if net is None else f"{net:.3f}",
        f"{found.wh_per_1000_tokens:.3f}",
        ABSENT if found.by_power is None else f"{found.by_power:.0%}",
        ABSENT if found.by_heat is None else f"{found.by_heat:.0%}",
        found.source.value,
    )


def energy_sentence(cell: CellFigures) -> str | None:
    """Return the energy of a cell in a line; None of one without GPUs."""
    match cell.energy:
        case None:
            return None
        case NoEnergy(reason=reason):
            return f"not known: {reason}"
        case found:
            return (
                f"{found.joules_per_token:.3f} J a token, {found.wh_per_1000_tokens:.3f} Wh for "
                f"1,000 tokens, by {found.source.value}"
            )


def _watts(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0f} W"


def sustained(cell: CellFigures) -> str | None:
    """Return the last part of a run beside the first; None of one that did not go on for a time."""
    found = cell.sustained
    if found is None:
        return None
    return (
        f"{found.ratio:.1%} of the first {found.part_s:.0f} s in the last: "
        f"{pooled(found.last)} and {pooled(found.first)} tok/s"
    )


def advantage(comparison: Advantage) -> str:
    """Return the MoE advantage as a sentence."""
    moe, dense = comparison.moe[0].plan.cell, comparison.dense[0].plan.cell
    bounds = comparison.pooled.interval
    certainty = (
        f"95 % interval {interval(bounds)}"
        if bounds
        else "no interval: fewer than three complete passes of each"
    )
    twins = "; both are twins" if comparison.is_twin else ""
    return (
        f"{moe.model} is {comparison.pooled.value:.2f} times as fast as {dense.model} on "
        f"{comparison.configuration} ({certainty}){twins}"
    )


def closing(summary: Summary) -> str:
    """Return the last sentence of every summary: where the numbers come from."""
    source = (
        "with small twins of the article's models, which have random weights"
        if any(cell.is_twin for cell in summary.cells)
        else "on this server"
    )
    return (
        f"These numbers are not the article's. They were measured {source}, and are not compared "
        "with the published ones."
    )


def caveats(summary: Summary) -> Iterator[str]:
    """Yield the limits of the figures that a reader must know."""
    if any(cell.interval for cell in summary.cells):
        yield (
            "Each row is one start of the engine. The half-width of its interval has a floor of "
            f"{RESTART_FLOOR}, by which restarts changed the rates of the article's author; on "
            "this machine they may change them by more."
        )
    for cell in summary.cells:
        if cell.is_partial:
            failure = cell.bundle.document.failure
            why = f" ({failure.code} at {failure.stage})" if failure else ""
            yield f"{cell.name}: the run stopped early{why}; the figures cover what was recorded."
        if cell.no_interval:
            yield f"{cell.name}: no interval, {cell.no_interval}."
