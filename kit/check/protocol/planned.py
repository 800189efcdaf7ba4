"""The protocol tier's look at the plan: it may be measured, and what was measured is the plan.

Knows the published protocol and the kit's own; suites and models are handed in as data.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kit.bundle.bag import HOST_FACTS
from kit.bundle.document import Document, ModelFile, Runtime, Status
from kit.bundle.host_facts import BASE_LABEL
from kit.bundle.record import Record
from kit.check.codes import Code
from kit.check.evidence import Catalog, Evidence, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, shown, unchecked, warn
from kit.errors import UsageError
from kit.plan.models import WEIGHTS, HubModel, Model, Twin
from kit.plan.plan import (
    PUBLISHED_MAX_TOKENS,
    PUBLISHED_SAMPLING,
    Choices,
    Connection,
    Plan,
    ProtocolName,
    Sampling,
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


def check(evidence: Evidence, catalog: Catalog) -> Iterator[Finding]:
    """Yield these findings of the protocol tier."""
    document, plan = evidence.document, evidence.document.plan
    planned = tuple(requests(plan))
    model = catalog.models.get(plan.cell.model) if evidence.is_own_engine else None
    yield from findings(Code.PROTOCOL_STATUS, _status(document, evidence.records))
    yield from findings(Code.PROTOCOL_RUNTIME, _runtime(evidence))
    yield from findings(Code.PROTOCOL_DEFINITION, _definition(plan))
    yield from findings(Code.PROTOCOL_PLAN, _plan(evidence, catalog))
    yield from findings(Code.PROTOCOL_PROMPTS, _prompts(plan, catalog.suites))
    yield from findings(Code.PROTOCOL_SAMPLING, _sampling(plan.sampling))
    yield from findings(Code.PROTOCOL_BUDGET, _budget(plan, model))
    yield from findings(Code.PROTOCOL_MODEL_FILES, _model_files(document, model))
    if document.runtime is Runtime.DOCKER:
        yield from findings(Code.PROTOCOL_BASE_IMAGE, _base_image(evidence, catalog.base_image))
    yield from findings(Code.PROTOCOL_REQUESTS, _requests(evidence, planned))
    yield from findings(Code.PROTOCOL_SEED, _seeds(evidence.records, planned))


def _status(document: Document, records: tuple[Record, ...]) -> Iterator[Problem]:
    if (document.status is Status.PARTIAL) != (document.failure is not None):
        observed = "a failure" if document.failure is not None else "no failure"
        yield fail(BUNDLE, f"{document.status.value}, with {observed}", "partial, with a failure")
    # A run ends at the first request that fails: only the last record of a partial one may.
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
        # A process has no image, and nobody looks at it from outside.
        yield fail(BUNDLE, "GPUs for runtime process", "a GPU topology in containers, as started")


def _definition(plan: Plan) -> Iterator[Problem]:
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


def _plan(evidence: Evidence, catalog: Catalog) -> Iterator[Problem]:
    """Make the plan again from its own choices and hold the two together, field by field."""
    plan = evidence.document.plan
    try:
        made = _made_again(evidence, catalog)
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


def _made_again(evidence: Evidence, catalog: Catalog) -> Plan | None:
    """Return the plan that the kit makes of these choices; None where it does not know them.

    Raises `UsageError` where it refuses them.
    """
    plan = evidence.document.plan
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
    model = catalog.models.get(cell.model)
    engine = catalog.engines.get((cell.topology, cell.model))
    if model is None or engine is None:
        return None
    return plan_engine(model, engine, cell.topology, suite, choices)


def _prompts(plan: Plan, suites: Mapping[str, Suite]) -> Iterator[Problem]:
    for prompt_id, count in Counter(prompt.id for prompt in plan.prompts).items():
        if count > 1:
            yield fail(BUNDLE, f"{count} prompts with the id {clip(prompt_id)}", "distinct ids")
    suite = suites.get(plan.cell.suite)
    if suite is None:
        known = ", ".join(sorted(suites)) or "none"
        yield unchecked(BUNDLE, f"suite {clip(plan.cell.suite)}", f"a suite known here: {known}")
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


def _sampling(sampling: Sampling) -> Iterator[Problem]:
    for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
        observed, expected = getattr(sampling, name), getattr(PUBLISHED_SAMPLING, name)
        if observed != expected:
            yield fail(BUNDLE, f"{name} {observed}", f"{expected}")


def _budget(plan: Plan, model: Model | None) -> Iterator[Problem]:
    if plan.published_max_tokens != PUBLISHED_MAX_TOKENS:
        observed = f"published_max_tokens {plan.published_max_tokens}"
        yield fail(BUNDLE, observed, f"{PUBLISHED_MAX_TOKENS}, as the article says")
    if model is None:
        yield unchecked(BUNDLE, f"model {clip(plan.cell.model)}", "a model known here")
        return
    if plan.twin_of != twin_of(model):
        yield fail(BUNDLE, _stands_for(plan.twin_of), _stands_for(twin_of(model)))
    if plan.sampling.max_tokens != max_tokens_of(model):
        observed = f"max_tokens {plan.sampling.max_tokens}"
        yield fail(BUNDLE, observed, f"{max_tokens_of(model)} for {model.id}")


def _stands_for(twin_of: str | None) -> str:
    return "no twin" if twin_of is None else f"twin of {clip(twin_of)}"


def _model_files(document: Document, model: Model | None) -> Iterator[Problem]:
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
    """Hold sizes too, where they are pinned: how large a checkpoint is, is a figure of its own."""
    if not isinstance(model, HubModel):
        return
    pinned = {file.name: file.size_bytes for file in model.files}
    for file in listed:
        wanted = pinned.get(file.name, file.size_bytes)
        if file.size_bytes != wanted:
            yield fail(clip(file.name), f"{shown(file.size_bytes)} bytes", f"{wanted} bytes")


def _base_image(evidence: Evidence, pinned: str | None) -> Iterator[Problem]:
    facts, expected = evidence.observed.host_facts, clip(pinned or "a base that is pinned")
    if facts is None:
        yield unchecked(HOST_FACTS, "nobody looked from the host", expected)
        return
    if pinned is None:
        yield unchecked(HOST_FACTS, "docker/images.toml knows no digest of it yet", expected)
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
        return "the model is not known here"
    return "no model files are listed" if _pinned_digests(model) else "the model is not pinned yet"


def _requests(evidence: Evidence, planned: tuple[Request, ...]) -> Iterator[Problem]:
    """Hold the records against the plan: all of it, or its beginning if the run broke off."""
    done = [_record_key(record) for record in evidence.records]
    wanted = [_request_key(request) for request in planned]
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


def _seeds(records: tuple[Record, ...], planned: tuple[Request, ...]) -> Iterator[Problem]:
    seeds = {_request_key(request): request.seed for request in planned}
    for record in records:
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
