"""Published statements against public facts: one rule a kind of statement."""

from collections.abc import Iterator
from typing import assert_never

from kit.claims.audit.facts import KIB, Facts, ModelFacts
from kit.claims.audit.finding import AuditFinding, AuditOutcome, Rule, finding, told
from kit.claims.audit.tables import shown
from kit.claims.reference import Reference
from kit.claims.rounding import Range, exactly, printed
from kit.claims.statement import (
    DiskSize,
    KvCache,
    NativeContext,
    Nvlink,
    SameFormat,
    Statement,
    Thinking,
)

GB_PER_GIB = 1024**3 / 1000**3

ROUGHLY = 1.25
"""What "about" may mean: a quarter more or less."""


def check(reference: Reference, facts: Facts) -> Iterator[AuditFinding]:
    """Yield the findings on what was said and needs no measurement."""
    for statement in reference.statements:
        yield from _held_against(statement, reference, facts)


def _held_against(
    statement: Statement, reference: Reference, facts: Facts
) -> Iterator[AuditFinding]:
    match statement:
        case KvCache():
            yield from _kv_cache(statement, facts)
        case Nvlink():
            yield from _nvlink(statement, reference.hardware.gpu, facts)
        case Thinking():
            yield from _thinking(statement, facts)
        case NativeContext():
            yield from _native_context(statement, facts)
        case DiskSize():
            yield from _disk_size(statement, facts)
        case SameFormat():
            yield from _same_format(statement, facts)
        case _:
            assert_never(statement)


def _unknown(rule: Rule, statement: Statement, what: str) -> AuditFinding:
    return finding(
        rule,
        AuditOutcome.CANNOT_TELL,
        statement.id,
        said=statement.statement,
        found=f"no public fact about {what} is at hand",
        evidence="results/facts.toml",
    )


def _kv_cache(statement: KvCache, facts: Facts) -> Iterator[AuditFinding]:
    """A token's keys and values have a size; so a context takes that many bytes and no more."""
    model = facts.models.get(statement.model)
    if model is None:
        yield _unknown(Rule.KV_CACHE, statement, statement.model)
        return
    per_token = model.kv_bytes_per_token
    needed_gb = statement.context_tokens * per_token / 1e9
    stated = printed(statement.gb)
    fits = stated.low / ROUGHLY <= needed_gb <= stated.high * GB_PER_GIB * ROUGHLY
    room = stated.middle * 1e9 / per_token
    yield finding(
        Rule.KV_CACHE,
        told(fits),
        statement.id,
        said=f"about {statement.gb} GB for {statement.context_tokens} tokens",
        found=f"{per_token} bytes a token, {needed_gb / GB_PER_GIB:.1f} GiB for "
        f"{statement.context_tokens} tokens; {statement.gb} GB hold {room:.0f}",
        evidence=model.source,
    )


def _nvlink(statement: Nvlink, name: str, facts: Facts) -> Iterator[AuditFinding]:
    gpu = facts.gpus.get(name)
    if gpu is None:
        yield _unknown(Rule.NVLINK, statement, name)
        return
    both_ways = 2 * float(gpu.nvlink_link_gb_s)
    stated = printed(statement.gb_s)
    total = statement.links * both_ways
    fitting = round(stated.middle / both_ways)
    yield finding(
        Rule.NVLINK,
        told(stated.low <= total <= stated.high),
        statement.id,
        said=f"{statement.links} links, {statement.gb_s} GB/s both ways together",
        found=f"{statement.links} links of {both_ways:g} GB/s are {total:.1f} GB/s; "
        f"{statement.gb_s} GB/s take {fitting}, and the {name} has {gpu.nvlink_links}",
        evidence=gpu.source,
    )


def _thinking(statement: Thinking, facts: Facts) -> Iterator[AuditFinding]:
    model = facts.models.get(statement.model)
    if model is None or model.has_thinking_mode is None:
        yield _unknown(Rule.THINKING, statement, f"a thinking mode of {statement.model}")
        return
    yield finding(
        Rule.THINKING,
        told(model.has_thinking_mode is statement.has_mode),
        statement.id,
        said=statement.statement,
        found="it has a thinking mode" if model.has_thinking_mode else "it has no thinking mode",
        evidence=model.thinking_source or model.source,
    )


def _native_context(statement: NativeContext, facts: Facts) -> Iterator[AuditFinding]:
    model = facts.models.get(statement.model)
    if model is None:
        yield _unknown(Rule.NATIVE_CONTEXT, statement, statement.model)
        return
    native = Range(model.native_context_tokens / KIB, model.native_context_tokens / KIB)
    yield finding(
        Rule.NATIVE_CONTEXT,
        told(native.overlaps(printed(statement.kib_tokens))),
        statement.id,
        said=f"{statement.kib_tokens}K tokens",
        found=f"the checkpoint's own limit is {shown(native)}K tokens",
        evidence=model.source,
    )
    if statement.configured_kib_tokens is not None:
        yield _context_reason(statement, model, native)


def _context_reason(statement: NativeContext, model: ModelFacts, native: Range) -> AuditFinding:
    """A context that is the model's own limit needs no other reason."""
    configured = printed(statement.configured_kib_tokens or "0")
    is_own_limit = configured.overlaps(native)
    return finding(
        Rule.CONTEXT_REASON,
        AuditOutcome.CONTRADICTED if is_own_limit else AuditOutcome.CANNOT_TELL,
        statement.id,
        said=f"configured at {statement.configured_kib_tokens}K for "
        f"{statement.configured_because or 'a reason not given'}",
        found=f"{shown(native)}K is the checkpoint's own limit, on any hardware"
        if is_own_limit
        else f"the checkpoint's own limit is {shown(native)}K",
        evidence=model.source,
    )


def _disk_size(statement: DiskSize, facts: Facts) -> Iterator[AuditFinding]:
    model = facts.models.get(statement.model)
    if model is None:
        yield _unknown(Rule.DISK_SIZE, statement, statement.model)
        return
    actual, stated = printed(model.checkpoint_gb), printed(statement.gb)
    in_gib = actual / exactly(GB_PER_GIB)
    found = f"{model.checkpoint_gb} GB, which is {in_gib.middle:.2f} GiB"
    if not actual.overlaps(stated) and in_gib.overlaps(stated):
        found += ": the figure is in GiB"
    yield finding(
        Rule.DISK_SIZE,
        told(actual.overlaps(stated)),
        statement.id,
        said=f"{statement.gb} GB",
        found=found,
        evidence=model.size_source,
    )


def _same_format(statement: SameFormat, facts: Facts) -> Iterator[AuditFinding]:
    known = [facts.models[name] for name in statement.models if name in facts.models]
    if len(known) < len(statement.models):
        yield _unknown(Rule.SAME_FORMAT, statement, " and ".join(statement.models))
        return
    details = zip(statement.models, known, strict=True)
    yield finding(
        Rule.SAME_FORMAT,
        told(all(model.format == statement.format for model in known)),
        statement.id,
        said=statement.statement,
        found="; ".join(f"{name}: {model.format_detail}" for name, model in details),
        evidence="; ".join(model.source for model in known),
    )
