"""The protocol tier's look at what was observed: outputs, cache, and evidence due."""

from collections.abc import Iterator, Sequence

from kit.bundle.document import Document, Runtime, Status
from kit.bundle.record import FinishReason, Moment, Record
from kit.check.codes import Code
from kit.check.evidence import Evidence, MetricsKey, Pass, counted_before, subject_of
from kit.check.finding import Finding
from kit.check.problem import BUNDLE, Problem, clip, fail, findings, shown, unchecked, warn
from kit.parse import vllm_metrics
from kit.plan.plan import CachePolicy, Dialect, Plan
from kit.plan.schedule import Phase, passes
from kit.plan.spec import Device

LARGEST_BLOCK_TOKENS = 128
"""vLLM 0.17's block of the prefix cache on CPU; a GPU's blocks are smaller."""

_MAY_BE_ABSENT = ("telemetry", "nccl_log")
"""On CPU there is neither. Without them the topology tier says what it cannot check, and figures of
a GPU topology are not reportable: a driver may tell nothing, so that such a bundle is valid."""

_ONLY_THE_HOST = ("host_facts", "model_files")


def check(evidence: Evidence) -> Iterator[Finding]:
    """Yield these findings of the protocol tier."""
    yield from findings(Code.PROTOCOL_PROMPT_TOKEN_IDS, _prompt_token_ids(evidence))
    yield from findings(Code.PROTOCOL_COPIES, _copies(evidence))
    yield from findings(Code.PROTOCOL_OUTPUT_LENGTH, _output_lengths(evidence))
    yield from findings(Code.PROTOCOL_CACHE, _cache(evidence))
    if evidence.is_own_engine:
        yield from findings(Code.PROTOCOL_FRESH_ENGINE, _used_before(evidence))
    yield from findings(Code.PROTOCOL_METRICS_FILES, _metrics_files(evidence))
    yield from findings(Code.PROTOCOL_EVIDENCE, _evidence_due(evidence))


def _prompt_token_ids(evidence: Evidence) -> Iterator[Problem]:
    """Of a server of somebody else's the template may name the date, which changes at midnight."""
    problem = fail if evidence.is_own_engine else warn
    first: dict[str, Record] = {}
    for record in evidence.answered:
        if record.prompt_token_ids is None:
            continue
        earlier = first.setdefault(record.prompt_id, record)
        if record.prompt_token_ids != earlier.prompt_token_ids:
            yield problem(
                subject_of(record),
                f"{len(record.prompt_token_ids)} prompt token ids",
                f"the {len(earlier.prompt_token_ids or ())} ids of {subject_of(earlier)}",
            )
    if evidence.answered and not first:
        yield unchecked(BUNDLE, "no prompt token ids", "the same ids in every pass")


def _copies(evidence: Evidence) -> Iterator[Problem]:
    """Fail where half of a pass's responses, two or more, are those of earlier passes.

    One response may come out again, if it is short or beyond doubt: that is a warning. Several of
    one pass may not, at the temperature that the protocol tier insists on. A twin's weights are
    random, so that none of its tokens is beyond doubt; the article's models answer in about 1,000,
    and if they hesitate but at each twentieth, and take the other choice one time in five, two
    answers are equal once in 200 million. A server of somebody else's may ignore temperature and
    seed. Answers of equal hash are taken for equal.
    """
    seen: dict[tuple[str, int], Pass] = {}
    for one in evidence.passes:
        answered = [record for record in one.records if record.error is None]
        keys = [(record.prompt_id, hash(record.token_ids or record.text)) for record in answered]
        copied = [key for key in keys if seen.get(key, one) is not one]
        if copied:
            is_own_copy = evidence.is_own_engine and len(copied) >= max(2, len(answered) / 2)
            problem = fail if is_own_copy else warn
            source = seen[copied[0]].name
            observed = f"{len(copied)} of {len(answered)} responses as in {source}, or earlier"
            yield problem(one.name, observed, "responses of its own")
        for key in keys:
            seen.setdefault(key, one)


def _output_lengths(evidence: Evidence) -> Iterator[Problem]:
    budget = evidence.document.plan.sampling.max_tokens
    for record in evidence.answered:
        tokens = record.completion_tokens or 0
        if not 0 < tokens <= budget:
            # Some servers count the end token beside the budget, or may answer with nothing.
            lenient = not evidence.is_own_engine and tokens in (0, budget + 1)
            problem = warn if lenient else fail
            yield problem(subject_of(record), f"{tokens} completion tokens", f"1 to {budget}")
        elif record.finish_reason is FinishReason.LENGTH and tokens < budget:
            # A server of somebody else's may have a shorter context than the budget.
            problem = fail if evidence.is_own_engine else warn
            yield problem(
                subject_of(record), f"`length` after {tokens} tokens", f"{budget}, the budget"
            )
        elif record.finish_reason is FinishReason.OTHER:
            yield warn(subject_of(record), "stopped for another reason", "`stop` or `length`")


def _cache(evidence: Evidence) -> Iterator[Problem]:
    yield from _whole_prompts(evidence)
    if evidence.document.plan.cache is CachePolicy.COLD:
        yield from _cold(evidence)
    else:
        yield from _warm(evidence)


def _whole_prompts(evidence: Evidence) -> Iterator[Problem]:
    """Hold that a prompt's last token at least was computed: the first of the answer follows it.

    Of a prompt of n tokens vLLM takes n - 1 from the cache at most (`get_computed_blocks` in
    vllm/v1/core/kv_cache_manager.py). Another server may count otherwise.
    """
    problem = fail if evidence.is_own_engine else warn
    for record in evidence.answered:
        cached, prompt = record.cached_tokens or 0, record.prompt_tokens
        if prompt is not None and cached > 0 and cached >= prompt:
            observed = f"{shown(cached)} of {shown(prompt)} prompt tokens cached"
            yield problem(subject_of(record), observed, "one less than all, or fewer")


def _cold(evidence: Evidence) -> Iterator[Problem]:
    if evidence.document.run_salt is None:
        yield fail(BUNDLE, "no run_salt", "what kept this run from the cache of an earlier one")
    for record in evidence.answered:
        if record.cached_tokens:
            yield fail(subject_of(record), f"{record.cached_tokens} prompt tokens cached", "none")
    for one in evidence.passes:
        hits = one.moved(vllm_metrics.PREFIX_CACHE_HITS)
        if hits is None:
            yield from _unwitnessed(evidence, one)
        elif hits != 0:
            problem = fail if evidence.is_own_engine else unchecked
            yield problem(one.name, f"{hits:.0f} prompt tokens from the cache", "none")


def _warm(evidence: Evidence) -> Iterator[Problem]:
    """A server that tells cached tokens tells none where there are none: absent is then 0.

    The kit's own engine tells them always.
    """
    told = any(record.cached_tokens is not None for record in evidence.answered)
    tells = told or evidence.is_own_engine
    for one in evidence.passes:
        hits = one.moved(vllm_metrics.PREFIX_CACHE_HITS)
        cached = sum(record.cached_tokens or 0 for record in one.records)
        if hits is None:
            yield from _unwitnessed(evidence, one)
        elif hits != cached and not tells:
            yield unchecked(one.name, "no response tells its cached tokens", f"{hits:.0f} in all")
        elif hits != cached:
            problem = fail if evidence.is_own_engine else unchecked
            observed = f"{vllm_metrics.PREFIX_CACHE_HITS} moved by {hits:.0f}"
            yield problem(one.name, observed, f"{cached}, the sum of cached_tokens")
        elif hits == 0 and evidence.is_own_engine and _must_hit(one):
            yield fail(one.name, "nothing came from the cache", "hits: all were sent before")


def _must_hit(one: Pass) -> bool:
    """Tell whether a pass repeats prompts that fill at least one block of the cache."""
    longest = max((record.prompt_tokens or 0 for record in one.records), default=0)
    return one.phase is not Phase.WARMUP and longest > LARGEST_BLOCK_TOKENS


def _unwitnessed(evidence: Evidence, one: Pass) -> Iterator[Problem]:
    if evidence.document.status is Status.COMPLETE:
        yield unchecked(one.name, "no count of cache hits", vllm_metrics.PREFIX_CACHE_HITS)


def _used_before(evidence: Evidence) -> Iterator[Problem]:
    """An engine that starts counts from 0, and counts no token of its own start-up.

    A warning, since whoever started the containers may have asked something of them: what that was,
    no record tells, and so the figures are not reportable.
    """
    expected = "counters at 0"
    if not evidence.passes:
        return
    first, told = evidence.passes[0], counted_before(evidence)
    if not told:
        yield unchecked(first.name, "no counters before it", expected)
    for name, value in told.items():
        if value != 0:
            yield warn(first.name, f"{name} at {value:g} before it", expected)


def _metrics_files(evidence: Evidence) -> Iterator[Problem]:
    document = evidence.document
    planned = _planned_metrics(document.plan)
    for key in evidence.metrics:
        if key not in planned:
            yield fail(_file_name(key), "metrics of a pass that is not in the plan", "no such file")
    if document.status is Status.PARTIAL and not evidence.is_own_engine:
        return
    if not evidence.metrics and not evidence.is_own_engine:
        yield unchecked(BUNDLE, "the server told no counters", "metrics around each pass")
        return
    for key in planned if document.status is Status.COMPLETE else _begun(evidence):
        if key not in evidence.metrics:
            problem = fail if evidence.is_own_engine else unchecked
            yield problem(_file_name(key), "not there", "metrics around each pass of the plan")


def _planned_metrics(plan: Plan) -> dict[MetricsKey, None]:
    return {(phase, number, moment): None for phase, number in passes(plan) for moment in Moment}


def _begun(evidence: Evidence) -> Iterator[MetricsKey]:
    """Yield the metrics due of a run that broke off: an engine that dies tells none any more."""
    for one in evidence.passes[:-1]:
        yield one.phase, one.number, Moment.BEFORE
    for one in evidence.passes[:-2]:
        yield one.phase, one.number, Moment.AFTER


def _file_name(key: MetricsKey) -> str:
    phase, number, moment = key
    return f"data/metrics/{phase.value}-{number}-{moment.value}.prom.gz"


def _evidence_due(evidence: Evidence) -> Iterator[Problem]:
    document = evidence.document
    for name in _not_there(evidence):
        if name not in document.absent:
            yield fail(BUNDLE, f"no {name}, and not a word about it", f"{name} named in `absent`")
    if evidence.is_own_engine:
        yield from _due_of_own_engine(evidence)
    if document.plan.dialect is Dialect.VLLM:
        for record in evidence.answered:
            if record.token_ids is None or record.prompt_token_ids is None:
                yield fail(subject_of(record), "no token ids", "token ids, as asked for")


def _due_of_own_engine(evidence: Evidence) -> Iterator[Problem]:
    """Of its own engine the kit knows all; one that never got ready has not told its version."""
    document = evidence.document
    if not evidence.has_server_log:
        yield fail(BUNDLE, "no server log", "the log of the kit's own engine")
    if document.status is Status.PARTIAL:
        return
    for name in _known_of_engine(document):
        if not getattr(document.engine, name):
            yield fail(BUNDLE, f"no {name} of the engine", f"the engine's {name}")
    may_be_absent = _MAY_BE_ABSENT + (_ONLY_THE_HOST if _started_alone(document) else ())
    for name in document.absent:
        if name not in may_be_absent:
            yield fail(BUNDLE, f"{clip(name)} said to be absent", "all evidence of our own engine")


def _known_of_engine(document: Document) -> Sequence[str]:
    """Return what of its engine the kit knows: of one in a container, what the image says."""
    if document.runtime is Runtime.PROCESS:
        return document.engine.__struct_fields__
    return ("version",) if _started_alone(document) else ("version", "model_files")


def _started_alone(document: Document) -> bool:
    """Tell whether `docker compose` was started without the kit, so that nobody saw the host."""
    return document.runtime is Runtime.DOCKER and "host_facts" in document.absent


def _not_there(evidence: Evidence) -> Iterator[str]:
    """Name the evidence that is missing, in the words of `absent`."""
    if not evidence.metrics:
        yield "metrics"
    if not evidence.has_server_log:
        yield "server_log"
    if not evidence.document.engine.model_files:
        yield "model_files"
    if evidence.document.runtime is Runtime.DOCKER and evidence.observed.host_facts is None:
        yield "host_facts"
    if evidence.observed.telemetry is None and evidence.observed.telemetry_fault is None:
        yield "telemetry"
    if evidence.observed.nccl_log is None and _has_several_gpus(evidence.document.plan):
        yield "nccl_log"
    if evidence.answered and all(record.token_ids is None for record in evidence.answered):
        yield "token_ids"


def _has_several_gpus(plan: Plan) -> bool:
    engine = plan.engine
    return engine is not None and engine.device is Device.GPU and engine.tensor_parallel_size > 1
