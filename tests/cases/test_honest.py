"""No honest bundle fails a check, whatever served it and wherever the run stopped."""

import dataclasses
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from kit.bundle.document import Runtime
from kit.check.finding import Outcome, Verdict
from kit.errors import ExitCode
from kit.plan.plan import CachePolicy, Dialect, ProtocolName
from kit.plan.schedule import requests
from tests.catalog import TRANSPORTS
from tests.edits.logs import edit_server_log
from tests.factory import Draft, change_plan, draft, judge
from tests.settings import Settings

SERVERS: Mapping[str, Settings] = {
    "process": Settings(),
    "containers": Settings(runtime=Runtime.DOCKER),
    "endpoint": Settings(runtime=Runtime.ENDPOINT),
    "shared endpoint": Settings(runtime=Runtime.ENDPOINT, is_shared=True),
    "endpoint without metrics": Settings(
        runtime=Runtime.ENDPOINT, has_metrics=False, tells_cached_tokens=False
    ),
    "OpenAI endpoint": Settings(
        runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False
    ),
}

TOPOLOGIES = (
    ("cpu-tp2", "tiny"),
    *((topology, "moe") for topology in TRANSPORTS),
    ("tp2-pcie", "dense"),
    ("tp2-nvlink", "moe-fp8"),
    ("tp1", "tiny"),
)


def assert_honest(verdict: Verdict, stop_after: int | None) -> None:
    """Check that nothing failed, and that a run that stopped early alone is not judged."""
    failed = [finding for finding in verdict.findings if finding.outcome is Outcome.FAIL]
    assert failed == []
    is_complete = stop_after is None
    assert verdict.exit_code is (ExitCode.DONE if is_complete else ExitCode.NOTHING_TO_JUDGE)


@pytest.mark.parametrize("stop_after", [None, 0, 3])
@pytest.mark.parametrize(("topology", "model"), TOPOLOGIES)
def test_an_honest_bundle_of_a_topology_never_fails(
    topology: str, model: str, stop_after: int | None
) -> None:
    settings = Settings(topology=topology, model=model, stop_after=stop_after)
    assert_honest(judge(draft(settings).seal()), stop_after)


@pytest.mark.parametrize("stop_after", [None, 0, 1, 3, 5])
@pytest.mark.parametrize(
    ("server", "cache"),
    [
        (server, cache)
        for server, settings in SERVERS.items()
        for cache in CachePolicy
        if settings.dialect is Dialect.VLLM or cache is CachePolicy.WARM  # no salts elsewhere
    ],
)
@pytest.mark.parametrize("protocol", ProtocolName)
@pytest.mark.parametrize("passes", [1, 2, 3, 5])
def test_an_honest_bundle_of_a_server_never_fails(
    passes: int, protocol: ProtocolName, cache: CachePolicy, server: str, stop_after: int | None
) -> None:
    settings = dataclasses.replace(
        SERVERS[server],
        protocol=protocol,
        cache=cache,
        passes=passes,
        stop_after=stop_after,
        seed=passes,
    )
    assert_honest(judge(draft(settings).seal()), stop_after)


def test_a_rehearsal_is_valid_and_not_judged() -> None:
    made = draft(Settings(topology="tp2-pcie", model="moe", rehearsal=True))
    edit_server_log(made, b"device_config=cuda", b"device_config=cpu")
    verdict = judge(made.seal())
    assert not any(finding.outcome is Outcome.FAIL for finding in verdict.findings)
    assert (verdict.is_rehearsal, verdict.exit_code) == (True, ExitCode.NOTHING_TO_JUDGE)


def drop_warm_up(made: Draft) -> None:
    """Drop the warm-up and call each pass the one before it; no number is changed."""
    plan = made.document.plan
    change_plan(made, measured_passes=plan.measured_passes - 1)
    made.records = [
        replace(record, phase=request.phase, pass_number=request.pass_number, seed=request.seed)
        for record, request in zip(
            made.records[len(plan.prompts) :], requests(made.document.plan), strict=True
        )
    ]
    names, texts = list(made.metrics), list(made.metrics.values())
    made.metrics = dict(zip(names[:-4] + names[-2:], texts[2:], strict=True))


def test_a_run_without_its_first_pass_is_valid_and_not_reportable() -> None:
    """Somebody may have sent other requests to the engine after it was started."""
    made = draft()
    drop_warm_up(made)
    assert "protocol-fresh-engine" in judge(made.seal()).not_shown
