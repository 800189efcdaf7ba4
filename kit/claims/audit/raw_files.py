"""An author's data files against what was published of them, and against what is possible."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from kit.claims import noise as published_noise
from kit.claims.audit.finding import AuditFinding, Rule
from kit.claims.audit.raw_format import (
    NotThisFormat,
    RawCell,
    RawTable,
    SwarmRun,
    read_swarms,
    read_table,
)
from kit.claims.audit.tables import References
from kit.claims.formula import CellName, parse_cell
from kit.claims.noise import Noise
from kit.claims.reference import PublishedFigures, Reference
from kit.claims.rounding import Range, exactly, printed

RUN_ROUNDING = Range(-0.05, 0.05)
"""The rate of each run is printed with one decimal, before the mean of runs is rounded again."""

Levels = Mapping[int, Sequence[SwarmRun]]
"""Runs by their level: the number of agents in the file."""


def findings(
    reference: Reference, references: References, noise: Noise | None, files: Mapping[str, bytes]
) -> Iterator[AuditFinding]:
    """Yield the findings on data files by name."""
    swarms: dict[str, tuple[CellName, Levels]] = {}
    for name, data in sorted(files.items()):
        owner = _owner(name, references)
        if owner is None:
            yield _not_read(name, "no reference says what it is about")
            continue
        try:
            if name in owner.raw.swarms:
                swarms[name] = parse_cell(owner.raw.swarms[name]), _by_level(read_swarms(data))
            else:
                yield from _table(name, read_table(data), owner)
        except NotThisFormat as error:
            yield _not_read(name, str(error))
    for owner in references.values():
        yield from _rates(owner, swarms)
    for name, (cell, levels) in swarms.items():
        yield from _single_requests(name, cell, levels.get(1, ()), reference, noise)
        yield from (_in_flight(name, level, runs) for level, runs in sorted(levels.items()))
        yield from _context_limit(name, cell, levels, references)


def _owner(name: str, references: References) -> Reference | None:
    """Return the reference that names a file."""
    return next(
        (
            reference
            for reference in references.values()
            if name in (*reference.raw.swarms, *reference.raw.tables)
        ),
        None,
    )


def _not_read(name: str, why: str) -> AuditFinding:
    return Rule.RAW_FORMAT.finding(None, name, said="a data file", found=why, evidence=name)


def _by_level(runs: Sequence[SwarmRun]) -> Levels:
    levels: defaultdict[int, list[SwarmRun]] = defaultdict(list)
    for run in runs:
        levels[run.agents].append(run)
    return levels


def _table(name: str, table: RawTable, owner: Reference) -> Iterator[AuditFinding]:
    """Yield whether a file of results has the published figures, cell by cell."""
    date = table.metadata.date
    if owner.measured is not None and date is not None:
        yield Rule.RAW_TABLE.finding(
            date == owner.measured,
            f"{owner.id}: day of measurement",
            said=owner.measured,
            found=date,
            evidence=name,
        )
    for key, cell in owner.raw.tables[name].items():
        figures, row = owner.cells.get(cell), table.results.get(key)
        if figures is None or row is None:
            yield _not_read(name, f"{key} is not both in the file and in {owner.id}")
            continue
        different = [
            f"{what} {theirs}" for what, ours, theirs in _pairs(figures, row) if ours != theirs
        ]
        yield Rule.RAW_TABLE.finding(
            not different,
            f"{owner.id}: {cell}",
            said=f"average {figures.rate} tok/s, its row, tokens, seconds and memory",
            found="; ".join(different) or "the same figures",
            evidence=f"{name}: {key}",
        )


def _pairs(figures: PublishedFigures, row: RawCell) -> Iterator[tuple[str, object, object]]:
    """Yield the name of each figure that both have, with the published and the file's value."""
    yield "average", None if figures.rate is None else float(figures.rate), row.avg_tps
    yield "row", {name: float(rate) for name, rate in figures.prompts.items()}, row.per_prompt
    if figures.tokens is not None and row.total_tokens is not None:
        yield "tokens", figures.tokens, row.total_tokens
    if figures.seconds is not None and row.total_time_s is not None:
        yield "seconds", float(figures.seconds), row.total_time_s
    if figures.gpu_memory_mib is not None and row.gpu_mem_mb is not None:
        yield "memory", figures.gpu_memory_mib, row.gpu_mem_mb
    if figures.max_model_len is not None and row.context_limit is not None:
        yield "context limit", figures.max_model_len, row.context_limit


def _rates(
    owner: Reference, swarms: Mapping[str, tuple[CellName, Levels]]
) -> Iterator[AuditFinding]:
    """Yield whether a published rate is the mean of runs in one of the files of its cell."""
    for key, figures in owner.cells.items():
        cell = parse_cell(key)
        means = {
            name: fmean(run.tokens_per_s for run in levels[cell.agents])
            for name, (swarm_cell, levels) in swarms.items()
            if name in owner.raw.swarms
            and (swarm_cell.model, swarm_cell.topology) == (cell.model, cell.topology)
            and cell.agents in levels
        }
        if figures.rate is None or not means:
            continue
        published = printed(figures.rate) + RUN_ROUNDING
        yield Rule.RAW_RATE.finding(
            any(published.overlaps(exactly(mean)) for mean in means.values()),
            f"{owner.id}: {key}",
            said=f"{figures.rate} tok/s",
            found=f"mean of runs {', '.join(f'{mean:.2f}' for mean in means.values())} tok/s",
            evidence=", ".join(means),
        )


def _single_requests(
    name: str,
    cell: CellName,
    runs: Sequence[SwarmRun],
    reference: Reference,
    noise: Noise | None,
) -> Iterator[AuditFinding]:
    """Yield whether runs of one request at a time agree with the audited reference's cell."""
    figures = reference.figures(cell)
    if figures is None or figures.rate is None or not runs:
        return
    mean = fmean(run.tokens_per_s for run in runs)
    allowed = math.sqrt(2) * published_noise.half_width(noise)
    yield Rule.RAW_OTHER_RUN.finding(
        printed(figures.rate).log_distance(exactly(mean)) <= allowed,
        str(cell),
        said=f"{figures.rate} tok/s, one request at a time",
        found=f"{len(runs)} runs give {mean:.1f} tok/s, {mean / float(figures.rate) - 1:+.1%}; "
        f"noise of two single passes explains {allowed:.1%}",
        evidence=name,
    )


def _in_flight(name: str, agents: int, runs: Sequence[SwarmRun]) -> AuditFinding:
    """No more requests can be in flight than a run has."""
    most = max(len(run.requests) for run in runs)
    means = ", ".join(f"{run.mean_in_flight:.1f}" for run in runs)
    return Rule.IN_FLIGHT.finding(
        most >= agents,
        f"{name}: level {agents}",
        said=f"{agents} agents at once",
        found=f"a run has {most} requests: never more than {min(most, agents)} in flight, "
        f"{means} on average",
        evidence="requests of each run; their seconds over the run's",
    )


def _context_limit(
    name: str, cell: CellName, levels: Levels, references: References
) -> Iterator[AuditFinding]:
    """Prompt and response share the context, so a response is always shorter than the limit."""
    single = CellName(cell.model, cell.topology)
    published = (reference.figures(single) for reference in references.values())
    limits = [figures.max_model_len for figures in published if figures and figures.max_model_len]
    if not limits:
        return
    limit = min(limits)
    requests = [request for runs in levels.values() for run in runs for request in run.requests]
    tokens, task = max((request.completion_tokens, request.task) for request in requests)
    yield Rule.CONTEXT_LIMIT.finding(
        tokens < limit,
        f"{name}: {cell}",
        said=f"a context limit of {limit} tokens, prompt and response together",
        found=f"the longest response, {task}, has {tokens} tokens"
        + ("" if tokens < limit else ": that run was configured otherwise"),
        evidence=name,
    )
