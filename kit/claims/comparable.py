"""Which bundles may be compared with each other, and what keeps others apart."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum

from kit.bundle.document import Document
from kit.bundle.telemetry import GpuFacts
from kit.check.duplicates import distinct
from kit.claims.eligible import EligibleBundle
from kit.claims.verdict import Excluded
from kit.format import canonical


def _workload(document: Document) -> object:
    plan = document.plan
    prompts = tuple((prompt.id, prompt.text) for prompt in plan.prompts)
    return canonical.digest((plan.cell.suite, plan.system, prompts, plan.sampling))


def _memory(document: Document) -> str | None:
    """Return the host's memory to a fifth: what a kernel leaves of it changes with the kernel."""
    size_bytes = document.host.memory_bytes
    if not size_bytes:
        return None
    halvings = round(2 * math.log2(size_bytes / 2**30))
    return f"about {2 ** (halvings / 2):.3g} GiB"


def _power_limits(one: EligibleBundle) -> tuple[str, ...]:
    """Return the power limits in force, each once.

    In proportion to a card's own default where that is told: two makers' cards of one kind may
    differ in it, and a topology may use one of them or both.
    """
    gpus = () if one.inventory is None else one.inventory.gpus
    return tuple(sorted({_power_limit(gpu) for gpu in gpus}))


def _power_limit(gpu: GpuFacts) -> str:
    limit_w, default_w = gpu.power_limit_w, gpu.power_default_limit_w
    if limit_w is None:
        return "not told"
    if default_w is None or default_w <= 0:
        return f"{limit_w:.0f} W"
    return f"{limit_w / default_w:.0%} of the default"


COMPARABILITY: Mapping[str, Callable[[EligibleBundle], object]] = {
    "host": lambda one: one.document.host_id,
    "architecture": lambda one: one.document.host.machine,
    "processor": lambda one: one.document.host.cpu_model,
    "cores": lambda one: one.document.host.cpu_count,
    "memory": lambda one: _memory(one.document),
    "GPUs": lambda one: one.gpus,
    "power limits": _power_limits,
    "driver": lambda one: one.driver,
    "engine release": lambda one: one.document.engine.version,
    "runtime": lambda one: one.document.runtime,
    "protocol": lambda one: one.document.plan.protocol,
    "cache policy": lambda one: one.document.plan.cache,
    "connection": lambda one: one.document.plan.connection,
    "dialect": lambda one: one.document.plan.dialect,
    "prompts and sampling": lambda one: _workload(one.document),
}
"""What must agree before two bundles are compared with each other: the host above all.

A host's id is asserted by whoever measured, so that its processor and memory must agree too.
"""


def comparable_sets(spoken: Iterable[EligibleBundle]) -> tuple[tuple[EligibleBundle, ...], ...]:
    """Return the sets of bundles that can be compared; a run counts once, whatever its id."""
    sets: dict[object, list[EligibleBundle]] = {}
    for one in _runs(spoken):
        sets.setdefault(tuple(key(one) for key in COMPARABILITY.values()), []).append(one)
    return tuple(tuple(members) for members in sets.values())


def kept_apart(
    members: Sequence[EligibleBundle], sets: Sequence[Sequence[EligibleBundle]]
) -> tuple[Excluded, ...]:
    """Return the same host's bundles of other sets, each with what keeps it apart from this one."""
    others = [
        one
        for others in sets
        if others is not members and others[0].document.host_id == members[0].document.host_id
        for one in others
    ]
    return tuple(
        Excluded(bundle=one.path, reason=f"of a set of its own: {_apart(one, members[0])}")
        for one in others
    )


def _runs(spoken: Iterable[EligibleBundle]) -> Iterator[EligibleBundle]:
    """Yield one bundle a run, by what `kit.check.duplicates` takes for the same run."""
    by_id: dict[str | None, EligibleBundle] = {}
    for one in spoken:
        by_id.setdefault(one.verdict.id, one)
    yield from (by_id[verdict.id] for verdict in distinct(one.verdict for one in by_id.values()))


def _apart(there: EligibleBundle, here: EligibleBundle) -> str:
    values = {name: (key(there), key(here)) for name, key in COMPARABILITY.items()}
    return "; ".join(
        f"{name} ({_text(theirs)}, here {_text(ours)})"
        for name, (theirs, ours) in values.items()
        if theirs != ours
    )


def _text(value: object) -> str:
    match value:
        case tuple():
            return " and ".join(map(_text, value)) or "not known"
        case Enum():
            return str(value.value)
        case None:
            return "not known"
        case _:
            return str(value)[:100]
