"""The plan is one that the kit makes of its choices, and names its protocol truly."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from kit.bundle.document import Runtime, Status
from kit.check.check import BUNDLE, Check, ForFigures, Problem, clip, fail, unchecked, warn
from kit.check.evidence import Evidence, subject_of
from kit.errors import UsageError
from kit.plan.plan import (
    PUBLISHED_MAX_TOKENS,
    PUBLISHED_SAMPLING,
    Choices,
    Connection,
    Plan,
    ProtocolName,
    max_tokens_of,
    plan_endpoint,
    plan_engine,
    twin_of,
)
from kit.plan.suite import Suite
from kit.plan.topology import Device

ENDPOINT_TOPOLOGY = "endpoint"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Conditions:
    """What a protocol's name stands for; how many passes are measured is the user's to choose."""

    warmup_passes: int
    stream_passes: int
    connection: Connection


_PROTOCOLS = {
    ProtocolName.ARTICLE: _Conditions(
        warmup_passes=1,
        stream_passes=0,
        connection=Connection.PER_REQUEST,
    ),
    ProtocolName.KIT: _Conditions(warmup_passes=1, stream_passes=1, connection=Connection.KEPT),
}


def _status(evidence: Evidence) -> Iterator[Problem]:
    """A run ends at the first request that fails: only the last record of a partial one may."""
    document, records = evidence.document, evidence.records
    if (document.status is Status.PARTIAL) != (document.failure is not None):
        observed = "a failure" if document.failure is not None else "no failure"
        yield fail(BUNDLE, f"{document.status.value}, with {observed}", "partial, with a failure")
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
        observed = f"topology {clip(plan.cell.topology)} with runtime {runtime}"
        yield fail(BUNDLE, observed, "topology `endpoint` for runtime `endpoint`")
    on_gpus = plan.engine is not None and plan.engine.device is Device.GPU
    if on_gpus and evidence.document.runtime is Runtime.PROCESS:
        # A process has no image, and nothing records its devices from outside.
        yield fail(BUNDLE, "GPUs for runtime process", "a GPU topology in containers, as started")


def _definition(evidence: Evidence) -> Iterator[Problem]:
    plan = evidence.document.plan
    wanted = _PROTOCOLS[plan.protocol]
    pairs = (
        ("warm-up passes", plan.warmup_passes, wanted.warmup_passes),
        ("streaming passes", plan.stream_passes, wanted.stream_passes),
        ("connection", plan.connection.value, wanted.connection.value),
    )
    for name, observed, expected in pairs:
        if observed != expected:
            wording = f"{expected}, by protocol `{plan.protocol.value}`"
            yield fail(BUNDLE, f"{name}: {observed}", wording)


def _plan(evidence: Evidence) -> Iterator[Problem]:
    """Make the plan again from its own choices and compare the two, field by field."""
    plan = evidence.document.plan
    try:
        made = _made_again(evidence)
    except UsageError as error:
        yield fail(BUNDLE, clip(error.what), "choices that the kit makes a plan of")
        return
    if made is None:
        # Our own engine serves what a checkout ships; an endpoint may be sent another suite.
        problem = fail if evidence.is_own_engine else warn
        wanted = "a model, a topology and a suite of the kit, in a combination that it plans"
        yield problem(BUNDLE, clip(plan.cell), wanted)
        return
    for name in plan.__struct_fields__:
        observed, expected = getattr(plan, name), getattr(made, name)
        if observed != expected:
            yield fail(BUNDLE, clip(f"{name}: {observed}"), clip(expected))


def _made_again(evidence: Evidence) -> Plan | None:
    """Return the plan that the kit makes of these choices; None where it does not know them.

    Raises `UsageError` where it refuses them.
    """
    plan, catalog = evidence.document.plan, evidence.catalog
    cell, suite = plan.cell, catalog.suites.get(plan.cell.suite)
    choices = Choices(
        protocol=plan.protocol,
        passes=plan.measured_passes,
        cache=plan.cache,
        timeout_s=plan.timeout_s,
        rehearsal=plan.rehearsal,
    )
    if suite is None:
        return None
    if not evidence.is_own_engine:
        return plan_endpoint(cell.model, suite, choices, plan.dialect, plan.sampling.max_tokens)
    model = evidence.model
    engine = catalog.engines.get((cell.topology, cell.model))
    if model is None or engine is None:
        return None
    return plan_engine(model, engine, cell.topology, suite, choices)


def _prompts(evidence: Evidence) -> Iterator[Problem]:
    plan, suites = evidence.document.plan, evidence.catalog.suites
    for prompt_id, count in Counter(prompt.id for prompt in plan.prompts).items():
        if count > 1:
            yield fail(BUNDLE, f"{count} prompts with the id {clip(prompt_id)}", "distinct ids")
    suite = suites.get(plan.cell.suite)
    if suite is None:
        known = ", ".join(sorted(suites)) or "none"
        yield unchecked(
            BUNDLE, f"suite {clip(plan.cell.suite)}", f"a suite of the checkout: {known}"
        )
        return
    if plan.system != suite.system:
        yield fail(BUNDLE, clip(plan.system), "the suite's system message")
    if plan.prompts != suite.prompts:
        yield from _other_prompts(plan, suite)


def _other_prompts(plan: Plan, suite: Suite) -> Iterator[Problem]:
    known = {prompt.id: prompt.text for prompt in suite.prompts}
    for prompt in plan.prompts:
        if known.get(prompt.id) != prompt.text:
            yield fail(f"prompt {clip(prompt.id)}", clip(prompt.text), "the suite's own text")
    ids, wanted = [prompt.id for prompt in plan.prompts], list(known)
    if ids != wanted:
        yield fail(BUNDLE, f"prompts {clip(' '.join(ids))}", " ".join(wanted))


def _sampling(evidence: Evidence) -> Iterator[Problem]:
    sampling = evidence.document.plan.sampling
    for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
        observed, expected = getattr(sampling, name), getattr(PUBLISHED_SAMPLING, name)
        if observed != expected:
            yield fail(BUNDLE, f"{name} {observed}", f"{expected}")


def _budget(evidence: Evidence) -> Iterator[Problem]:
    plan, model = evidence.document.plan, evidence.model
    if plan.published_max_tokens != PUBLISHED_MAX_TOKENS:
        observed = f"published_max_tokens {plan.published_max_tokens}"
        yield fail(BUNDLE, observed, f"{PUBLISHED_MAX_TOKENS}, as the article says")
    if model is None:
        yield unchecked(BUNDLE, f"model {clip(plan.cell.model)}", "a model of the checkout")
        return
    if plan.twin_of != twin_of(model):
        yield fail(BUNDLE, _stands_for(plan.twin_of), _stands_for(twin_of(model)))
    if plan.sampling.max_tokens != max_tokens_of(model):
        observed = f"max_tokens {plan.sampling.max_tokens}"
        yield fail(BUNDLE, observed, f"{max_tokens_of(model)} for {model.id}")


def _stands_for(twin_of: str | None) -> str:
    return "no twin" if twin_of is None else f"twin of {clip(twin_of)}"


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
        id="protocol-definition",
        holds="passes and connection are those of the protocol that the plan names",
        hint="measure again with PROTOCOL=kit or PROTOCOL=article, unchanged",
        look=_definition,
    ),
    Check(
        id="protocol-plan",
        holds="the plan is the one that the kit makes of its choices: engine, flags, seed, "
        "deviations",
        hint="measure again with an unchanged checkout; check an older bundle with the kit that "
        "made it",
        look=_plan,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-prompts",
        holds="prompts and system message are those of the suite that the plan names",
        hint="figures from other prompts are not comparable: measure again with the suite "
        "unchanged",
        look=_prompts,
    ),
    Check(
        id="protocol-sampling",
        holds="sampling is as published",
        hint="measure again with the kit's own sampling",
        look=_sampling,
    ),
    Check(
        id="protocol-budget",
        holds="the token budget is the one that this model is measured with",
        hint="measure again with the model's own max_tokens",
        look=_budget,
    ),
)
