"""Which eligible bundles may be compared with each other, and why others may not."""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from msgspec.structs import replace

from kit.bundle.document import Document
from kit.bundle.telemetry import GpuFacts
from kit.check.duplicates import distinct
from kit.claims.eligible import EligibleBundle
from kit.claims.verdict import Excluded
from kit.format import canonical
from kit.plan.options import variables


def _workload(document: Document) -> str:
    plan = document.plan
    prompts = tuple((prompt.id, prompt.text) for prompt in plan.prompts)
    return canonical.digest((plan.cell.suite, plan.system, prompts, plan.sampling))


def _memory(document: Document) -> str | None:
    """Return the host's memory, rounded to steps of 41 %: kernels reserve different amounts."""
    size_bytes = document.host.memory_bytes
    if not size_bytes:
        return None
    half_powers = round(2 * math.log2(size_bytes / 2**30))
    return f"about {2 ** (half_powers / 2):.3g} GiB"


def _power_limits(bundle: EligibleBundle) -> tuple[str, ...]:
    gpus = () if bundle.inventory is None else bundle.inventory.gpus
    return tuple(sorted({_power_limit(gpu) for gpu in gpus}))


def _power_limit(gpu: GpuFacts) -> str:
    """Return a card's power limit, in proportion to the card's own default where that is known.

    Defaults differ between makers of one kind of card, and a topology uses one of them or both.
    """
    limit_w, default_w = gpu.power_limit_w, gpu.power_default_limit_w
    if limit_w is None:
        return "not known"
    if default_w is None or default_w <= 0:
        return f"{limit_w:.0f} W"
    return f"{limit_w / default_w:.0%} of the default"


def _options(document: Document) -> str:
    """Return the options of the run, but for the sequences that a level of agents needs."""
    options = document.plan.options
    told = {} if options is None else variables(replace(options, max_num_seqs=None))
    return " ".join(told.values()) or "as published"


_WORKLOAD = "prompts and sampling"

COMPARABILITY: Mapping[str, Callable[[EligibleBundle], object]] = {
    "host": lambda bundle: bundle.document.host_id,
    "architecture": lambda bundle: bundle.document.host.machine,
    "processor": lambda bundle: bundle.document.host.cpu_model,
    "cores": lambda bundle: bundle.document.host.cpu_count,
    "memory": lambda bundle: _memory(bundle.document),
    "GPUs": lambda bundle: bundle.gpus,
    "power limits": _power_limits,
    "driver": lambda bundle: bundle.driver,
    "engine release": lambda bundle: bundle.document.engine.version,
    "runtime": lambda bundle: bundle.document.runtime,
    "protocol": lambda bundle: bundle.document.plan.protocol,
    "cache policy": lambda bundle: bundle.document.plan.cache,
    "connection": lambda bundle: bundle.document.plan.connection,
    "options": lambda bundle: _options(bundle.document),
    "dialect": lambda bundle: bundle.document.plan.dialect,
    _WORKLOAD: lambda bundle: _workload(bundle.document),
}
"""What must agree before two bundles are compared with each other.

A host's id is asserted and not proven, so its processor and memory must agree too.
"""


def comparable_sets(bundles: Sequence[EligibleBundle]) -> tuple[tuple[EligibleBundle, ...], ...]:
    """Group the bundles into sets that can be compared; of copies of a run the first counts.

    A set has one workload of each suite: no formula compares bundles of two suites.
    """
    sets: dict[object, list[EligibleBundle]] = {}
    workloads: dict[object, list[str]] = {}
    for bundle in _distinct_runs(bundles):
        others = (value(bundle) for name, value in COMPARABILITY.items() if name != _WORKLOAD)
        key = tuple(others)
        seen = workloads.setdefault((key, bundle.document.plan.cell.suite), [])
        workload = _workload(bundle.document)
        if workload not in seen:
            seen.append(workload)
        sets.setdefault((key, seen.index(workload)), []).append(bundle)
    return tuple(map(tuple, sets.values()))


def same_host_others(
    members: Sequence[EligibleBundle], sets: Sequence[Sequence[EligibleBundle]]
) -> tuple[Excluded, ...]:
    """Return the bundles of the same host that are in other sets, each with what differs."""
    return tuple(
        Excluded(bundle=other.path, reason=f"in another set: {_differences(other, members[0])}")
        for others in sets
        if others is not members
        for other in others
        if other.document.host_id == members[0].document.host_id
    )


def _distinct_runs(bundles: Sequence[EligibleBundle]) -> list[EligibleBundle]:
    by_id = {bundle.verdict.id: bundle for bundle in reversed(bundles)}
    return [by_id[verdict.id] for verdict in distinct(bundle.verdict for bundle in bundles)]


def _differences(there: EligibleBundle, here: EligibleBundle) -> str:
    values = {name: (value(there), value(here)) for name, value in COMPARABILITY.items()}
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
