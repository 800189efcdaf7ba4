"""The plan is one that the kit makes of its choices, and the records are the plan's requests."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kit.bundle.bag import HOST_FACTS
from kit.bundle.document import ModelFile, Runtime, Status
from kit.bundle.host_facts import BASE_LABEL
from kit.bundle.record import Record
from kit.check.check import BUNDLE, Check, ForFigures, Problem, clip, fail, spelled, unchecked, warn
from kit.check.evidence import Evidence, subject_of
from kit.check.needs import HOST_FACTS_THERE
from kit.errors import UsageError
from kit.plan.models import WEIGHTS, HubModel, Model, Twin
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
from kit.plan.schedule import Phase, Request, requests
from kit.plan.suite import Suite
from kit.plan.topology import Device

ENDPOINT_TOPOLOGY = "endpoint"

RequestKey = tuple[Phase, int, str]


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
    plan, model = evidence.document.plan, _own_model(evidence)
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


def _own_model(evidence: Evidence) -> Model | None:
    """Return the plan's model where the kit served it; an endpoint's has only its name."""
    return evidence.model if evidence.is_own_engine else None


def _model_files(evidence: Evidence) -> Iterator[Problem]:
    document, model = evidence.document, _own_model(evidence)
    if document.plan.rehearsal:
        yield unchecked(BUNDLE, "a rehearsal serves a twin", "the digests of the model's files")
        return
    listed = document.engine.model_files or ()
    pinned = _pinned_digests(model)
    if not listed or not pinned:
        yield unchecked(BUNDLE, _why_unheld(model), "the digests of the model's files")
        return
    files = {file.name: file.sha256 for file in listed}
    for name, count in Counter(file.name for file in listed).items():
        if count > 1:
            yield fail(clip(name), f"listed {count} times", "each file once")
    for name in dict.fromkeys([*pinned, *files]):
        if files.get(name) != pinned.get(name):
            observed = f"SHA-256 {files.get(name, 'not listed')}"
            yield fail(clip(name), observed, pinned.get(name, "no such file"))
    yield from _sizes(listed, model)


def _sizes(listed: Sequence[ModelFile], model: Model | None) -> Iterator[Problem]:
    """Compare sizes, too, where they are pinned: the article quotes the size of a checkpoint."""
    if not isinstance(model, HubModel):
        return
    pinned = {file.name: file.size_bytes for file in model.files}
    for file in listed:
        wanted = pinned.get(file.name, file.size_bytes)
        if file.size_bytes != wanted:
            yield fail(clip(file.name), f"{spelled(file.size_bytes)} bytes", f"{wanted} bytes")


def _base_image(evidence: Evidence) -> Iterator[Problem]:
    facts, pinned = evidence.host_facts, evidence.catalog.base_image
    expected = clip(pinned or "a base that is pinned")
    if pinned is None:
        yield unchecked(HOST_FACTS, "docker/images.toml has no digest of it yet", expected)
    for container in facts.containers:
        told = container.image_labels.get(BASE_LABEL)
        subject = f"image of {clip(container.service)}"
        if told is None:
            yield unchecked(subject, "its labels name no base", expected)
        elif pinned is not None and told != pinned:
            yield fail(subject, clip(told), expected)


def _pinned_digests(model: Model | None) -> Mapping[str, str]:
    """Return the SHA-256 of every file of the model that is pinned, by name."""
    match model:
        case Twin():
            return {**model.files, WEIGHTS: model.sha256}
        case HubModel(is_pinned=True):
            return {file.name: file.sha256 for file in model.files}
        case _:
            return {}


def _why_unheld(model: Model | None) -> str:
    if model is None:
        return "the checkout does not have the model"
    return "no model files are listed" if _pinned_digests(model) else "the model is not pinned yet"


def _requests(evidence: Evidence) -> Iterator[Problem]:
    """Compare the records with the plan: all of it, or its beginning if the run broke off."""
    done = [_record_key(record) for record in evidence.records]
    wanted = [_request_key(request) for request in requests(evidence.document.plan)]
    if evidence.document.status is Status.PARTIAL:
        wanted = wanted[: len(done)]
    if done == wanted:
        return
    missing, added = Counter(wanted) - Counter(done), Counter(done) - Counter(wanted)
    yield from _each(missing, "no record", "one record")
    yield from _each(added, "a record too many", "the plan's requests only")
    if not missing and not added:
        for position, (observed, expected) in enumerate(zip(done, wanted, strict=True), start=1):
            if observed != expected:
                yield fail(_name(observed), f"at position {position}", f"{_name(expected)} there")


def _each(keys: Iterable[RequestKey], observed: str, expected: str) -> Iterator[Problem]:
    for key in keys:
        yield fail(_name(key), observed, expected)


def _seeds(evidence: Evidence) -> Iterator[Problem]:
    planned = requests(evidence.document.plan)
    seeds = {_request_key(request): request.seed for request in planned}
    for record in evidence.records:
        expected = seeds.get(_record_key(record), record.seed)
        if record.seed != expected:
            yield fail(subject_of(record), f"seed {record.seed}", f"{expected}")


def _record_key(record: Record) -> RequestKey:
    return record.phase, record.pass_number, record.prompt_id


def _request_key(request: Request) -> RequestKey:
    return request.phase, request.pass_number, request.prompt_id


def _name(key: RequestKey) -> str:
    phase, number, prompt_id = key
    return clip(f"{phase.value}-{number}/{prompt_id}")


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
    Check(
        id="protocol-model-files",
        holds="the engine was given the model's files and no others, each with its pinned SHA-256",
        hint="let the kit make the model again, then measure again",
        look=_model_files,
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-base-image",
        holds="the images stand on the base that docker/images.toml pins by its digest",
        hint="build with make images, once the base is pinned where its registry can be reached",
        look=_base_image,
        applies=lambda evidence: evidence.document.runtime is Runtime.DOCKER,
        needs=(HOST_FACTS_THERE,),
        for_figures=ForFigures.CHECKED,
    ),
    Check(
        id="protocol-requests",
        holds="the records are the plan's requests: none missing, none added, in order",
        hint="measure again: requests were dropped, repeated or swapped",
        look=_requests,
    ),
    Check(
        id="protocol-seed",
        holds="every request has the seed that the plan gives it",
        hint="measure again: a record was moved from one pass to another, or another seed was sent",
        look=_seeds,
    ),
)
