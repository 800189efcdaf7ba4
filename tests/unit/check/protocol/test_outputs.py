"""What the engine did: what it had done before, what it took from its cache, what it was sent.

The ways to tamper with it are in `tests/cases/`.
"""

import re

import pytest

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.check.finding import Outcome
from kit.errors import ExitCode
from kit.parse import vllm_metrics
from tests.cases.prompts import cache_whole_prompts
from tests.factory import ROOT, Draft, Settings, change_record, draft, judge, outcomes_of

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
ON_GPU = Settings(topology="tp1", model="moe")


def outcomes(made: Draft, code: str) -> set[Outcome]:
    return outcomes_of(made, f"protocol-{code}")


@pytest.mark.parametrize(
    ("settings", "expected"), [(Settings(), FAIL), (ON_GPU, FAIL), (ENDPOINT, WARN)]
)
def test_of_a_prompt_something_is_computed(settings: Settings, expected: Outcome) -> None:
    """A server of somebody else's may count otherwise."""
    made = draft(settings)
    assert outcomes(made, "cache") == {PASS}
    cache_whole_prompts(made)
    assert outcomes(made, "cache") == {expected}


def test_all_but_the_last_token_of_a_prompt_may_be_cached() -> None:
    """A block of the cache may end just before it."""
    made = draft(ENDPOINT)
    change_record(made, -1, cached_tokens=(made.records[-1].prompt_tokens or 0) - 1)
    assert WARN not in outcomes(made, "cache")


def served_before(made: Draft) -> Draft:
    """Have every counter begin at more than it did."""
    for name, text in made.metrics.items():
        made.metrics[name] = re.sub(
            rb"(?m)^(vllm:(?:generation_tokens|prompt_tokens)_total\S* )(\S+)$",
            lambda found: found[1] + str(float(found[2]) + 12345.0).encode(),
            text,
        )
    return made


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), {WARN}),
        (Settings(runtime=Runtime.DOCKER), {WARN}),
        (ON_GPU, {WARN}),
        (ENDPOINT, set()),
    ],
)
def test_an_own_engine_that_had_served_before_is_said(
    settings: Settings, expected: set[Outcome]
) -> None:
    made = served_before(draft(settings))
    assert outcomes(made, "fresh-engine") == expected
    assert judge(made.seal()).exit_code is ExitCode.DONE


def test_what_was_counted_before_is_not_known_without_counters() -> None:
    made = draft()
    del made.metrics["warmup-0-before"]
    assert outcomes(made, "fresh-engine") == {UNCHECKED}
    assert outcomes(draft(Settings(stop_after=0)), "fresh-engine") == {PASS}


def test_a_real_engine_counts_from_0() -> None:
    """As measured: its start-up goes through no counter of requests."""
    told = [
        vllm_metrics.totals(bag.inflate(path.read_bytes()), vllm_metrics.COUNTERS)
        for path in (ROOT / "results" / "community").glob("*/data/metrics/warmup-0-before.prom.gz")
    ]
    assert told
    at_once = {*vllm_metrics.COUNTERS} - {vllm_metrics.HTTP_BY_HANDLER_SUM}
    assert all(set(one) == at_once for one in told)
    counted = {name: value for one in told for name, value in one.items()}
    assert counted.pop(vllm_metrics.STARTED) > 1.7e9
    assert set(counted.values()) == {0.0}


@pytest.mark.parametrize(
    ("settings", "expected"), [(ENDPOINT, WARN), (Settings(), FAIL), (ON_GPU, FAIL)]
)
def test_a_template_may_name_the_date_and_a_run_go_over_midnight(
    settings: Settings, expected: Outcome
) -> None:
    """Of a server of somebody else's; the kit's models have templates without a date."""
    made = draft(settings)
    for position in range(len(made.records) // 2, len(made.records)):
        ids = made.records[position].prompt_token_ids or ()
        change_record(made, position, prompt_token_ids=(*ids[:-1], 999))
    assert outcomes(made, "prompt-token-ids") == {expected}
    assert (judge(made.seal()).exit_code is ExitCode.DONE) is (expected is WARN)


@pytest.mark.parametrize(("token_ids", "expected"), [((), {PASS}), (None, {FAIL})])
def test_no_tokens_are_not_the_same_as_no_token_ids(
    token_ids: tuple[int, ...] | None, expected: set[Outcome]
) -> None:
    """A server may answer with nothing throughout, and says so in an empty list."""
    made = draft(ENDPOINT)
    for place in range(len(made.records)):
        change_record(made, place, token_ids=token_ids, completion_tokens=0, text="")
    assert outcomes(made, "evidence") == expected
