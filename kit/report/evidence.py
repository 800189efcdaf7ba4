"""What a bundle says of where its figures come from, as pairs of name and value."""

from collections.abc import Iterator

from kit.figures.cell import CellFigures
from kit.report import wording

ABSENT = "not known"


def evidence_facts(cell: CellFigures) -> Iterator[tuple[str, str]]:
    """Yield the facts in the order of their worth; values hold the bundle's own words, escape."""
    document, plan = cell.bundle.document, cell.plan
    yield "Bundle", cell.bundle.id
    yield "Status", document.status.value
    yield "Pooled over", wording.amount(cell)
    yield "Measured", f"{document.clock.start_utc} to {document.clock.end_utc}"
    yield "Engine", _engine(cell)
    yield "Plan digest", document.plan_digest
    yield "Protocol", f"{plan.protocol.value}, seed {plan.seed}, cache {plan.cache.value}"
    yield "Sampling", _sampling(cell)
    yield "Host", document.host_id
    yield "Machine", _machine(cell)
    yield "System", f"{document.host.system} {document.host.kernel}, Python {document.host.python}"
    yield "Starts", f"{cell.starts} of this cell, host and plan in this report"
    for name, reason in sorted(document.absent.items()):
        yield f"Absent: {name}", reason


def _engine(cell: CellFigures) -> str:
    engine = cell.bundle.document.engine
    version = engine.version or ABSENT
    build = f", {engine.build}" if engine.build else ""
    return f"{version}{build}, started as {cell.bundle.document.runtime.value}"


def _sampling(cell: CellFigures) -> str:
    sampling = cell.plan.sampling
    return (
        f"at most {sampling.max_tokens} tokens a response (published: "
        f"{cell.plan.published_max_tokens}), temperature {sampling.temperature}, "
        f"top_p {sampling.top_p}, top_k {sampling.top_k}, "
        f"repetition_penalty {sampling.repetition_penalty}"
    )


def _machine(cell: CellFigures) -> str:
    host = cell.bundle.document.host
    memory = f", {host.memory_bytes / 2**30:.1f} GiB" if host.memory_bytes else ""
    return f"{host.cpu_model or ABSENT} ({host.machine}), {host.cpu_count} CPUs{memory}"
