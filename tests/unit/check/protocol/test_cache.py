"""The prefix cache, and what an engine had counted before the run."""

import re

import pytest

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.check.finding import Finding, Outcome
from kit.errors import ExitCode
from kit.parse import vllm_metrics
from kit.plan.plan import CachePolicy
from tests.cases.prompts import cache_whole_prompts
from tests.factory import (
    ROOT,
    Draft,
    Settings,
    change_record,
    draft,
    judge,
    outcomes_of,
)

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNCHECKED = Outcome.COULD_NOT_CHECK
ENDPOINT = Settings(runtime=Runtime.ENDPOINT)
ON_GPU = Settings(topology="tp1", model="moe")


def _findings(code: str, made: Draft) -> list[Finding]:
    return [found for found in judge(made.seal()).findings if found.code == f"protocol-{code}"]


def _outcome(code: str, made: Draft) -> Outcome:
    return _findings(code, made)[0].outcome


def outcomes(made: Draft, code: str) -> set[Outcome]:
    return outcomes_of(made, f"protocol-{code}")


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


def test_cache_hits_of_others_on_an_endpoint_cannot_be_checked() -> None:
    shared = Settings(runtime=Runtime.ENDPOINT, is_shared=True, cache=CachePolicy.COLD)
    made = draft(shared)
    text = made.metrics["measured-2-after"]
    made.metrics["measured-2-after"] = text + b'vllm:prefix_cache_hits_total{engine="1"} 4.0\n'
    assert _outcome("cache", made) is UNCHECKED
