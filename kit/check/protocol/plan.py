"""The plan is one that the kit makes of its choices, and fits the kind of run."""

from collections import Counter
from collections.abc import Iterator
from enum import Enum
from itertools import zip_longest

from msgspec import Struct

from kit.bundle.document import Runtime, Status
from kit.check.check import BUNDLE, Check, ForFigures, Problem, fail, warn
from kit.check.evidence import Evidence, subject_of
from kit.errors import UsageError
from kit.plan.plan import PUBLISHED_SAMPLING, Choices, Plan, plan_endpoint, plan_engine
from kit.plan.suite import Suite, SuiteMode
from kit.plan.topology import Device

ENDPOINT_TOPOLOGY = "endpoint"


_OF_THE_PROTOCOL = (
    "warmup_passes",
    "stream_passes",
    "connection",
    "sampling",
    "published_max_tokens",
)
"""What a plan has from its protocol, whatever the suite."""


def _status(evidence: Evidence) -> Iterator[Problem]:
    """A run ends at the first request that fails: only the last record of a partial one may."""
    document, records = evidence.document, evidence.records
    if (document.status is Status.PARTIAL) != (document.failure is not None):
        observed = "a failure" if document.failure is not None else "no failure"
        yield fail(BUNDLE, f"{document.status.value}, with {observed}", "partial, with a failure")
    if evidence.suite_mode is SuiteMode.CONCURRENT:
        return  # `protocol-failed-requests` counts them
    answered = records[:-1] if document.status is Status.PARTIAL else records
    for record in answered:
        if record.error is not None:
            yield fail(subject_of(record), f"error {record.error.value}", "no error")


def _runtime(evidence: Evidence) -> Iterator[Problem]:
    plan, runtime = evidence.document.plan, evidence.document.runtime.value
    if evidence.is_own_engine == (plan.engine is None):
        observed = "no engine" if plan.engine is None else "an engine"
        yield fail(BUNDLE, f"{observed} in the plan of runtime {runtime}", "one unless `endpoint`")
    if evidence.is_own_engine == (plan.cell.topology == ENDPOINT_TOPOLOGY):
        observed = f"topology {plan.cell.topology} with runtime {runtime}"
        yield fail(BUNDLE, observed, "topology `endpoint` for runtime `endpoint`")
    on_gpus = plan.engine is not None and plan.engine.device is Device.GPU
    if on_gpus and evidence.document.runtime is Runtime.PROCESS:
        # A process has no image, and nothing records its devices from outside.
        yield fail(BUNDLE, "GPUs for runtime process", "a GPU topology in containers, as started")


def _plan(evidence: Evidence) -> Iterator[Problem]:
    """Make the plan again from its own choices and compare the two, field by field.

    An endpoint may have been sent a suite that the checkout does not have.
    """
    plan = evidence.document.plan
    suite = evidence.catalog.suites.get(plan.cell.suite)
    try:
        made = _made_again(evidence, suite)
    except UsageError as error:
        yield fail(BUNDLE, error.what, "choices that the kit makes a plan of")
        return
    if made is None or suite is None:
        problem = fail if evidence.is_own_engine else warn
        wanted = "a model, a topology and a suite of the kit, in a combination that it plans"
        yield problem(BUNDLE, str(plan.cell), wanted)
        yield from _repeated_prompts(plan)
    if made is not None:
        for name in plan.__struct_fields__ if suite else _OF_THE_PROTOCOL:
            yield from _differences(name, getattr(plan, name), getattr(made, name))


def _made_again(evidence: Evidence, suite: Suite | None) -> Plan | None:
    """Return the plan that the kit makes of these choices; None where it does not know them.

    Raises `UsageError` where it refuses them.
    """
    plan = evidence.document.plan
    cell = plan.cell
    choices = Choices(
        protocol=plan.protocol,
        passes=plan.measured_passes,
        agents=cell.agents,
        duration_s=plan.duration_s,
        eager=bool(plan.options and plan.options.enforce_eager),
        prefix_caching=plan.options is None or plan.options.enable_prefix_caching is not False,
        connection=plan.connection,
        cache=plan.cache,
        timeout_s=plan.timeout_s,
        rehearsal=plan.rehearsal,
    )
    if not evidence.is_own_engine:
        sent = suite or Suite(
            id=cell.suite,
            mode=evidence.suite_mode,
            max_tokens=PUBLISHED_SAMPLING.max_tokens,
            system=plan.system,
            prompts=plan.prompts,
        )
        return plan_endpoint(cell.model, sent, choices, plan.dialect, plan.sampling.max_tokens)
    model = evidence.model
    engine = evidence.catalog.engines.get((cell.topology, cell.model))
    if suite is None or model is None or engine is None:
        return None
    return plan_engine(model, engine, cell.topology, suite, choices)


def _repeated_prompts(plan: Plan) -> Iterator[Problem]:
    for prompt_id, count in Counter(prompt.id for prompt in plan.prompts).items():
        if count > 1:
            yield fail(BUNDLE, f"{count} prompts with the id {prompt_id}", "distinct ids")


def _differences(name: str, observed: object, expected: object) -> Iterator[Problem]:
    """Name the fields of a struct that differ, and the first item of a tuple that does."""
    if observed == expected:
        return
    if isinstance(observed, Struct) and isinstance(expected, Struct):
        for field in observed.__struct_fields__:
            values = getattr(observed, field), getattr(expected, field)
            yield from _differences(f"{name}.{field}", *values)
    elif isinstance(observed, tuple) and isinstance(expected, tuple):
        for position, (ours, theirs) in enumerate(zip_longest(observed, expected)):
            if ours != theirs:
                yield from _differences(f"{name}[{position}]", ours, theirs)
                return
    else:
        yield fail(BUNDLE, f"{name}: {_spelled(observed)}", _spelled(expected))


def _spelled(value: object) -> str:
    match value:
        case None:
            return "none"
        case Enum():
            return str(value.value)
        case _:
            return str(value)


CHECKS: tuple[Check[Evidence], ...] = (
    Check(
        id="protocol-status",
        holds="a complete bundle has no failure and no error; a partial one says why it is partial",
        hint="measure again; a run that failed stays marked partial",
        look=_status,
    ),
    Check(
        id="protocol-runtime",
        holds="a plan has an engine if the kit starts it, in containers if on GPUs; an endpoint "
        "has none",
        hint="measure again: the plan belongs to another kind of run",
        look=_runtime,
    ),
    Check(
        id="protocol-plan",
        holds="the plan is the one that the kit makes of its choices: protocol, engine, prompts, "
        "sampling, token budget, seed, deviations",
        hint="measure again with an unchanged checkout; check an older bundle with the kit that "
        "made it",
        look=_plan,
        for_figures=ForFigures.CHECKED,
    ),
)
