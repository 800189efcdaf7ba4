"""An author's data files against what was published of them, and against what can be."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from kit.claims.audit.finding import AuditFinding, AuditOutcome, Rule, finding, told
from kit.claims.audit.raw import NotThisFormat, RawCell, RawTable, Swarm, read_swarms, read_table
from kit.claims.audit.tables import References, apart, cell_of, deviation
from kit.claims.formula import CellName
from kit.claims.reference import CellFigures, Noise, Reference
from kit.claims.rounding import Range, exactly, printed

RUN_ROUNDING = 0.05
"""The rate of each run is printed with one decimal, before the mean of runs is rounded again."""

Levels = Mapping[int, Sequence[Swarm]]
"""Runs by the level that they are named after, each in the order of the file."""

Swarms = Mapping[str, tuple[CellName, Levels]]
"""Files by name: the model and topology that each is of, and its runs."""


def check(
    reference: Reference, everyone: References, noise: Noise | None, files: Mapping[str, bytes]
) -> Iterator[AuditFinding]:
    """Yield the findings on data files, whose names some reference must know."""
    swarms: dict[str, tuple[CellName, Levels]] = {}
    for name, data in sorted(files.items()):
        owner = _owner(name, everyone)
        if owner is None:
            yield _not_read(name, "no reference says what it is about")
            continue
        try:
            if name in owner.raw.swarms:
                swarms[name] = cell_of(owner.raw.swarms[name]), _by_level(read_swarms(data))
            else:
                yield from _table(name, read_table(data), owner)
        except NotThisFormat as error:
            yield _not_read(name, str(error))
    yield from _rates(swarms, everyone)
    for name, (cell, levels) in swarms.items():
        yield from _same_cell(name, cell, levels, reference, noise)
        yield from _in_flight(name, levels)
        yield from _context_limit(name, cell, levels, everyone)


def _owner(name: str, everyone: References) -> Reference | None:
    """Return the reference that says what a file is about."""
    owners = (one for one in everyone.values() if name in (*one.raw.swarms, *one.raw.tables))
    return next(owners, None)


def _not_read(name: str, why: str) -> AuditFinding:
    return finding(
        Rule.RAW_FORMAT,
        AuditOutcome.CANNOT_TELL,
        name,
        said="a data file",
        found=why,
        evidence=name,
    )


def _table(name: str, table: RawTable, owner: Reference) -> Iterator[AuditFinding]:
    if owner.measured is not None and table.metadata.date is not None:
        yield finding(
            Rule.RAW_TABLE,
            told(table.metadata.date == owner.measured),
            f"{owner.id}: day of measurement",
            said=owner.measured,
            found=table.metadata.date,
            evidence=name,
        )
    for key, cell in owner.raw.tables[name].items():
        figures, row = owner.cells.get(cell), table.results.get(key)
        if figures is None or row is None:
            yield _not_read(name, f"{key} is not both in the file and in {owner.id}")
            continue
        wrong = [
            f"{what} {theirs}" for what, ours, theirs in _pairs(figures, row) if ours != theirs
        ]
        yield finding(
            Rule.RAW_TABLE,
            told(not wrong),
            f"{owner.id}: {cell}",
            said=f"average {figures.rate} tok/s, its row, tokens, seconds and memory",
            found="; ".join(wrong) or "the same figures",
            evidence=f"{name}: {key}",
        )


def _pairs(figures: CellFigures, row: RawCell) -> Iterator[tuple[str, object, object]]:
    """Yield what both the reference and the file have, by name."""
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


def _by_level(runs: Sequence[Swarm]) -> Levels:
    levels: defaultdict[int, list[Swarm]] = defaultdict(list)
    for run in runs:
        levels[run.agents].append(run)
    return dict(levels)


def _rates(swarms: Swarms, everyone: References) -> Iterator[AuditFinding]:
    """Hold each published level against the files of its cell; one that fits is enough."""
    for owner in everyone.values():
        for key, figures in owner.cells.items():
            cell = cell_of(key)
            means = {
                name: fmean(run.tokens_per_s for run in levels[cell.agents])
                for name, (one, levels) in swarms.items()
                if name in owner.raw.swarms
                and (one.model, one.topology) == (cell.model, cell.topology)
                and cell.agents in levels
            }
            if figures.rate is None or not means:
                continue
            figure = printed(figures.rate) + Range(-RUN_ROUNDING, RUN_ROUNDING)
            yield finding(
                Rule.RAW_RATE,
                told(any(figure.overlaps(exactly(mean)) for mean in means.values())),
                f"{owner.id}: {key}",
                said=f"{figures.rate} tok/s",
                found=f"mean of runs {', '.join(f'{mean:.2f}' for mean in means.values())} tok/s",
                evidence=", ".join(means),
            )


def _same_cell(
    name: str, cell: CellName, levels: Levels, reference: Reference, noise: Noise | None
) -> Iterator[AuditFinding]:
    """Hold runs of one request at a time against the cell that the audited reference has."""
    figures = reference.figures(cell)
    alone = [run.tokens_per_s for run in levels.get(1, ())]
    if figures is None or figures.rate is None or not alone:
        return
    mean, allowed = fmean(alone), math.sqrt(2) * deviation(noise)
    yield finding(
        Rule.RAW_OTHER_RUN,
        told(apart(printed(figures.rate), exactly(mean)) <= allowed),
        str(cell),
        said=f"{figures.rate} tok/s, one request at a time",
        found=f"{len(alone)} runs give {mean:.1f} tok/s, {mean / float(figures.rate) - 1:+.1%}; "
        f"noise of two single passes explains {allowed:.1%}",
        evidence=name,
    )


def _in_flight(name: str, levels: Levels) -> Iterator[AuditFinding]:
    """No more requests can be in flight than there are; what there were on average is counted."""
    for agents, members in sorted(levels.items()):
        most = max(len(run.requests) for run in members)
        means = ", ".join(f"{run.mean_in_flight:.1f}" for run in members)
        yield finding(
            Rule.IN_FLIGHT,
            told(most >= agents),
            f"{name}: level {agents}",
            said=f"{agents} agents at once",
            found=f"a run has {most} requests: never more than {min(most, agents)} in flight, "
            f"{means} on average",
            evidence="requests of each run; their seconds over the run's",
        )


def _context_limit(
    name: str, cell: CellName, levels: Levels, everyone: References
) -> Iterator[AuditFinding]:
    """A response and its prompt share the context: a response alone never fills it."""
    alike = (one.figures(CellName(cell.model, cell.topology)) for one in everyone.values())
    limits = {one.max_model_len for one in alike if one is not None and one.max_model_len}
    if not limits:
        return
    limit = min(limits)
    tokens, task = max(
        (one.completion_tokens, one.task)
        for runs in levels.values()
        for run in runs
        for one in run.requests
    )
    yield finding(
        Rule.CONTEXT_LIMIT,
        told(tokens < limit),
        f"{name}: {cell}",
        said=f"a context limit of {limit} tokens, prompt and response together",
        found=f"the longest response, {task}, has {tokens} tokens"
        + ("" if tokens < limit else ": that run was configured otherwise"),
        evidence=name,
    )
