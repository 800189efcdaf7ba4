"""The plan and what came of it: what is unknown here, and what an endpoint may do."""

import pytest
from msgspec.structs import replace

from kit.bundle.document import ModelFile, Runtime
from kit.bundle.record import FinishReason
from kit.check.evidence import Catalog
from kit.check.finding import Finding, Outcome
from kit.check.verify import Known, verify
from kit.errors import ExitCode
from kit.plan import plan
from kit.plan.models import HubFile, HubModel
from kit.plan.plan import CachePolicy, Choices, Connection, Dialect
from kit.plan.suite import Prompt
from tests.catalog import ENGINE, SUITE
from tests.edits.document import set_plan
from tests.factory import KNOWN, Draft, Settings, change_plan, change_record, draft, judge, utc

ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
OPENAI = Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False)
PASS, FAIL, WARN, UNCHECKED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.WARN,
    Outcome.COULD_NOT_CHECK,
)


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def _outcome(code: str, made: Draft) -> Outcome:
    return _findings(code, made)[0].outcome


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        ("model-files", ENDPOINT, UNCHECKED),
        ("metrics-files", OPENAI, UNCHECKED),
        ("cache", OPENAI, UNCHECKED),
        ("prompt-token-ids", OPENAI, UNCHECKED),
        ("evidence", OPENAI, PASS),
        ("cache", Settings(tells_cached_tokens=False), FAIL),
        ("cache", Settings(runtime=Runtime.ENDPOINT, tells_cached_tokens=False), UNCHECKED),
        ("cache", Settings(cache=CachePolicy.COLD), PASS),
        ("passes", Settings(passes=2), WARN),
        ("first-pass", Settings(passes=2), UNCHECKED),
        ("spread", Settings(passes=1), UNCHECKED),
    ],
)
def test_outcomes_by_kind_of_run(code: str, settings: Settings, expected: Outcome) -> None:
    assert _outcome(code, draft(settings)) is expected


NOTHING = Known(
    validators=KNOWN.validators, catalog=Catalog(suites={}, models={}, engines={}, gpus={})
)


def test_an_endpoint_may_serve_what_is_not_known_here() -> None:
    verdict = verify("case", draft(ENDPOINT).seal(), (), NOTHING).verdict
    outcomes = {found.code: found.outcome for found in verdict.findings}
    assert outcomes["protocol-plan"] is WARN
    assert outcomes["protocol-model-files"] is UNCHECKED
    assert verdict.exit_code is ExitCode.DONE


def test_the_kits_own_engine_serves_only_what_is_shipped() -> None:
    verdict = verify("case", draft().seal(), (), NOTHING).verdict
    failed = [found.code for found in verdict.findings if found.outcome is Outcome.FAIL]
    assert failed == ["protocol-plan"]


UNPINNED = HubModel(id="moe", repository="owner/model", licence="Apache-2.0")
HUB_FILES = (
    HubFile(name="config.json", size_bytes=2, sha256="01" * 32),
    HubFile(name="model-00001-of-00001.safetensors", size_bytes=9, sha256="02" * 32),
)
PINNED = HubModel(
    id="moe",
    repository="owner/model",
    licence="Apache-2.0",
    revision="ab" * 20,
    files=HUB_FILES,
)


def of_a_model_of_the_hub(
    listed: dict[str, str], model: HubModel, sizes: dict[str, int] | None = None
) -> dict[str, list[Finding]]:
    """Return what is found, by code, of a run of a model of the hub with these files.

    They have the sizes that are pinned, but for those that are given.
    """
    sizes_bytes = {file.name: file.size_bytes for file in HUB_FILES} | (sizes or {})
    made = draft()
    planned = plan.plan_engine(model, ENGINE, "cpu-tp1", SUITE, Choices(passes=3))
    identity = replace(
        made.document.engine,
        model_files=tuple(
            ModelFile(name=name, size_bytes=sizes_bytes.get(name, 1), sha256=digest)
            for name, digest in listed.items()
        ),
    )
    made.document = replace(
        made.document, plan=planned, plan_digest=planned.digest(), engine=identity
    )
    catalog = Catalog(
        suites={SUITE.id: SUITE},
        models={"moe": model},
        engines={("cpu-tp1", "moe"): ENGINE},
        gpus={},
    )
    known = Known(validators=KNOWN.validators, catalog=catalog)
    found: dict[str, list[Finding]] = {}
    for finding in verify("case", made.seal(), (), known).verdict.findings:
        found.setdefault(finding.code.removeprefix("protocol-"), []).append(finding)
    return found


def test_a_pinned_model_of_the_hub_is_held_against_every_file() -> None:
    right = {file.name: file.sha256 for file in HUB_FILES}
    found = of_a_model_of_the_hub(right, PINNED)
    assert [one.outcome for code in ("plan", "model-files") for one in found[code]] == [PASS, PASS]
    changed = {**right, "config.json": "03" * 32, "more.safetensors": "04" * 32}
    found = of_a_model_of_the_hub(changed, PINNED)
    assert [(one.outcome, one.subject) for one in found["model-files"]] == [
        (FAIL, "config.json"),
        (FAIL, "more.safetensors"),
    ]
    del right["config.json"]
    (missing,) = of_a_model_of_the_hub(right, PINNED)["model-files"]
    assert (missing.outcome, missing.observed) == (FAIL, "SHA-256 not listed")


def test_a_file_of_a_pinned_model_has_its_pinned_size_too() -> None:
    """How large a checkpoint is, is one of the article's figures."""
    right = {file.name: file.sha256 for file in HUB_FILES}
    name = "model-00001-of-00001.safetensors"
    found = of_a_model_of_the_hub(right, PINNED, {name: 3})["model-files"]
    assert [(one.outcome, one.subject, one.observed, one.expected) for one in found] == [
        (FAIL, name, "3 bytes", "9 bytes")
    ]


def test_a_model_that_is_not_pinned_yet_cannot_be_checked_and_never_passes() -> None:
    found = of_a_model_of_the_hub({"model.safetensors": "01" * 32}, UNPINNED)
    (one,) = found["model-files"]
    assert (one.outcome, one.observed) == (UNCHECKED, "the model is not pinned yet")


def test_each_field_that_differs_is_named_with_both_values() -> None:
    made = draft()
    set_plan(made, "twin_of", None)
    set_plan(made, "sampling.max_tokens", 9)
    set_plan(made, "connection", Connection.PER_REQUEST)
    first, second, third = made.document.plan.prompts
    set_plan(made, "prompts", (first, Prompt(id=second.id, text="Say yes."), third))
    found = [(one.observed, one.expected) for one in _findings("plan", made)]
    assert found == [
        ("twin_of: none", "moe"),
        ("connection: per-request", "kept"),
        ("sampling.max_tokens: 9", "8"),
        ("prompts[1].text: Say yes.", second.text),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("warmup_passes", 0),
        ("connection", Connection.PER_REQUEST),
        ("sampling.temperature", 0.0),
        ("published_max_tokens", 8),
    ],
)
def test_an_endpoint_that_was_sent_another_suite_is_held_to_its_protocol(
    path: str, value: object
) -> None:
    made = draft(ENDPOINT)
    set_plan(made, path, value)
    verdict = verify("case", made.seal(), (), NOTHING).verdict
    found = {one.outcome for one in verdict.findings if one.code == "protocol-plan"}
    assert found == {WARN, FAIL}


def test_counters_that_others_moved_cannot_be_checked_but_ours_alone_can() -> None:
    def longer(made: Draft) -> Draft:
        for position, record in enumerate(made.records):
            ids = (record.token_ids or ()) * 2
            chunks = (
                None if record.chunks is None else (*record.chunks, (record.wall_s, len(ids) // 2))
            )
            change_record(made, position, token_ids=ids, completion_tokens=len(ids), chunks=chunks)
        return made

    shared = Settings(runtime=Runtime.ENDPOINT, is_shared=True)
    for settings, expected in ((ENDPOINT, {FAIL}), (shared, {WARN, UNCHECKED})):
        files = longer(draft(settings)).seal()
        found = [one for one in judge(files).findings if one.code == "arithmetic-server-counter"]
        assert {one.outcome for one in found} == expected


def test_a_request_of_others_may_still_run_when_ours_are_counted() -> None:
    made = draft(ENDPOINT)
    counter = b'vllm:generation_tokens_total{engine="0",model_name="tiny"} '
    for name, text in made.metrics.items():
        value = float(text.partition(counter)[2].partition(b"\n")[0])
        more = 57 if name not in ("warmup-0-before", "warmup-0-after", "measured-1-before") else 0
        made.metrics[name] = text.replace(
            counter + str(value).encode(), counter + str(value + more).encode()
        )
    found = [one for one in judge(made.seal()).findings if one.code == "arithmetic-server-counter"]
    assert {one.outcome for one in found} == {UNCHECKED}


def test_a_clock_that_was_set_is_no_witness() -> None:
    made = draft()
    sums = b'vllm:e2e_request_latency_seconds_sum{engine="0",model_name="tiny"} '
    for name, text in made.metrics.items():
        value = text.partition(sums)[2].partition(b"\n")[0]
        came_before = name.startswith(("warmup", "measured-1")) or name == "measured-2-before"
        more = 0.0 if came_before else 5.0
        moved = repr(float(value) + more).encode()
        made.metrics[name] = text.replace(sums + value, sums + moved)
    clock = made.document.clock
    made.document = replace(made.document, clock=replace(clock, end_utc=utc(clock.end_s + 5.0)))
    found = {one.code: one.outcome for one in judge(made.seal()).findings}
    assert found["arithmetic-clock"] is WARN
    assert found["arithmetic-time-witness"] is PASS


def test_missing_and_added_requests_are_named() -> None:
    made = draft()
    change_record(made, 4, prompt_id="review")
    found = _findings("requests", made)
    assert [(one.subject, one.observed) for one in found] == [
        ("measured-1/debug", "no record"),
        ("measured-1/review", "a record too many"),
    ]


def test_swapped_requests_are_named_with_their_places() -> None:
    made = draft()
    change_record(made, 3, prompt_id="debug")
    change_record(made, 4, prompt_id="impl")
    found = _findings("requests", made)
    assert [one.observed for one in found] == ["at position 4", "at position 5"]
    assert found[0].expected == "measured-1/impl there"


def test_an_endpoint_with_a_short_context_is_a_warning() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5)
    assert _outcome("output-length", made) is WARN


def test_a_response_that_stops_by_itself_is_no_fault() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5, finish_reason=FinishReason.STOP)
    assert _outcome("output-length", made) is PASS


def test_an_unusual_end_is_a_warning() -> None:
    made = draft(OPENAI)
    change_record(made, 4, completion_tokens=5, finish_reason=FinishReason.OTHER)
    assert _outcome("output-length", made) is WARN


def test_cache_hits_of_others_on_an_endpoint_cannot_be_checked() -> None:
    shared = Settings(runtime=Runtime.ENDPOINT, is_shared=True, cache=CachePolicy.COLD)
    made = draft(shared)
    text = made.metrics["measured-2-after"]
    made.metrics["measured-2-after"] = text + b'vllm:prefix_cache_hits_total{engine="1"} 4.0\n'
    assert _outcome("cache", made) is UNCHECKED


def test_metrics_that_an_endpoint_lost_on_the_way_cannot_be_checked() -> None:
    made = draft(ENDPOINT)
    del made.metrics["measured-2-after"]
    assert _outcome("metrics-files", made) is UNCHECKED
    assert judge(made.seal()).exit_code is ExitCode.DONE


def test_an_error_in_the_middle_of_a_partial_run_fails() -> None:
    made = draft(Settings(stop_after=3))
    change_record(made, 0, error=made.records[-1].error)
    assert _outcome("status", made) is FAIL


def test_an_interrupted_run_without_an_error_is_sound() -> None:
    made = draft(Settings(stop_after=5))
    made.records.pop()
    assert judge(made.seal()).exit_code is ExitCode.NOTHING_TO_JUDGE


def test_a_plan_of_an_unknown_suite_is_still_held_against_its_own_records() -> None:
    made = draft()
    change_plan(made, cell=replace(made.document.plan.cell, suite="mine"))
    made.records.pop()
    assert _outcome("requests", made) is FAIL


@pytest.mark.parametrize(
    ("settings", "copied", "expected"),
    [
        (Settings(), (), {Outcome.PASS}),
        (Settings(), (3,), {Outcome.WARN}),
        (Settings(), (3, 5), {Outcome.FAIL}),
        (Settings(runtime=Runtime.ENDPOINT), (3, 4, 5), {Outcome.WARN}),
    ],
)
def test_a_response_may_come_out_again_and_a_pass_may_not(
    settings: Settings, copied: tuple[int, ...], expected: set[Outcome]
) -> None:
    """An endpoint may ignore temperature and seed; our own engine may not."""
    made = draft(settings)
    for position in copied:
        source = made.records[position]
        change_record(made, position + 3, token_ids=source.token_ids, text=source.text)
    found = [one for one in judge(made.seal()).findings if one.code == "protocol-copies"]
    assert {one.outcome for one in found} == expected
