"""Published statements against public facts: one rule for each kind of statement."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from kit.claims.audit.facts import Facts, ModelFacts, NoFact
from kit.claims.audit.finding import AuditFinding, Rule
from kit.claims.reference import Reference
from kit.claims.rounding import exactly, printed
from kit.claims.statement import (
    DiskSize,
    KvCache,
    NativeContext,
    Nvlink,
    SameFormat,
    Statement,
    Thinking,
)

KIB = 1024
GB_PER_GIB = 1024**3 / 1000**3

ROUGHLY = 1.25
"""How far "about" may be off, as a factor."""

_RULES: Mapping[type[Statement], Rule] = {
    KvCache: Rule.KV_CACHE,
    Nvlink: Rule.NVLINK,
    Thinking: Rule.THINKING,
    NativeContext: Rule.NATIVE_CONTEXT,
    DiskSize: Rule.DISK_SIZE,
    SameFormat: Rule.SAME_FORMAT,
}


def findings(reference: Reference, facts: Facts) -> Iterator[AuditFinding]:
    """Yield the findings on a reference's statements."""
    for statement in reference.statements:
        try:
            yield from _compare(statement, reference.hardware.gpu, facts)
        except NoFact as missing:
            yield _RULES[type(statement)].finding(
                None,
                statement.id,
                said=statement.statement,
                found=f"no public fact about {missing} is known here",
                evidence="results/facts.toml",
            )


def _compare(statement: Statement, gpu: str, facts: Facts) -> Iterator[AuditFinding]:
    match statement:
        case KvCache():
            yield _kv_cache(statement, facts.model(statement.model))
        case Nvlink():
            yield _nvlink(statement, gpu, facts)
        case Thinking():
            yield _thinking(statement, facts.model(statement.model))
        case NativeContext():
            model = facts.model(statement.model)
            yield _native_context(statement, model)
            if statement.configured_kib_tokens is not None:
                yield _context_reason(statement, statement.configured_kib_tokens, model)
        case DiskSize():
            yield _disk_size(statement, facts.model(statement.model))
        case SameFormat():
            yield _same_format(statement, facts)
        case _:
            assert_never(statement)


def _kv_cache(statement: KvCache, model: ModelFacts) -> AuditFinding:
    per_token = model.kv_bytes_per_token
    needed_gb = statement.context_tokens * per_token / 1e9
    stated = printed(statement.gb)
    fits = stated.low / ROUGHLY <= needed_gb <= stated.high * GB_PER_GIB * ROUGHLY
    capacity = stated.middle * 1e9 / per_token
    return Rule.KV_CACHE.finding(
        fits,
        statement.id,
        said=f"about {statement.gb} GB for {statement.context_tokens} tokens",
        found=f"{per_token} bytes a token, {needed_gb / GB_PER_GIB:.1f} GiB for "
        f"{statement.context_tokens} tokens; {statement.gb} GB hold {capacity:.0f}",
        evidence=model.source,
    )


def _nvlink(statement: Nvlink, name: str, facts: Facts) -> AuditFinding:
    gpu = facts.gpus.get(name)
    if gpu is None:
        raise NoFact(name)
    both_ways = 2 * float(gpu.nvlink_link_gb_s)
    stated = printed(statement.gb_s)
    total = statement.links * both_ways
    fitting = round(stated.middle / both_ways)
    return Rule.NVLINK.finding(
        stated.low <= total <= stated.high,
        statement.id,
        said=f"{statement.links} links, {statement.gb_s} GB/s both ways together",
        found=f"{statement.links} links of {both_ways:g} GB/s are {total:.1f} GB/s; "
        f"{statement.gb_s} GB/s take {fitting}, and the {name} has {gpu.nvlink_links}",
        evidence=gpu.source,
    )


def _thinking(statement: Thinking, model: ModelFacts) -> AuditFinding:
    if model.has_thinking_mode is None:
        raise NoFact(f"a thinking mode of {statement.model}")
    return Rule.THINKING.finding(
        model.has_thinking_mode is statement.has_mode,
        statement.id,
        said=statement.statement,
        found="it has a thinking mode" if model.has_thinking_mode else "it has no thinking mode",
        evidence=model.thinking_source or model.source,
    )


def _native_context(statement: NativeContext, model: ModelFacts) -> AuditFinding:
    native = exactly(model.native_context_tokens / KIB)
    return Rule.NATIVE_CONTEXT.finding(
        native.overlaps(printed(statement.kib_tokens)),
        statement.id,
        said=f"{statement.kib_tokens}K tokens",
        found=f"the checkpoint's own limit is {native}K tokens",
        evidence=model.source,
    )


def _context_reason(statement: NativeContext, configured: str, model: ModelFacts) -> AuditFinding:
    """A context that is the model's own limit needs no other reason."""
    native = exactly(model.native_context_tokens / KIB)
    is_own_limit = printed(configured).overlaps(native)
    return Rule.CONTEXT_REASON.finding(
        False if is_own_limit else None,
        statement.id,
        said=f"configured at {configured}K for "
        f"{statement.configured_because or 'a reason not given'}",
        found=f"{native}K is the checkpoint's own limit, on any hardware"
        if is_own_limit
        else f"the checkpoint's own limit is {native}K",
        evidence=model.source,
    )


def _disk_size(statement: DiskSize, model: ModelFacts) -> AuditFinding:
    actual, stated = printed(model.checkpoint_gb), printed(statement.gb)
    in_gib = actual / exactly(GB_PER_GIB)
    found = f"{model.checkpoint_gb} GB, which is {in_gib.middle:.2f} GiB"
    if not actual.overlaps(stated) and in_gib.overlaps(stated):
        found += ": the figure is in GiB"
    return Rule.DISK_SIZE.finding(
        actual.overlaps(stated),
        statement.id,
        said=f"{statement.gb} GB",
        found=found,
        evidence=model.size_source,
    )


def _same_format(statement: SameFormat, facts: Facts) -> AuditFinding:
    if any(name not in facts.models for name in statement.models):
        raise NoFact(" and ".join(statement.models))
    models = {name: facts.models[name] for name in statement.models}
    return Rule.SAME_FORMAT.finding(
        all(model.format == statement.format for model in models.values()),
        statement.id,
        said=statement.statement,
        found="; ".join(f"{name}: {model.format_detail}" for name, model in models.items()),
        evidence="; ".join(model.source for model in models.values()),
    )
