"""Every tampering is caught by the code that names it, and no honest bundle ever fails."""

import pytest

from kit.bundle.document import Runtime
from kit.check.codes import Code
from kit.check.finding import Outcome
from kit.errors import ExitCode
from kit.plan.plan import CachePolicy, Dialect, ProtocolName
from tests.cases.server_times import a_slow_pass_called_the_warm_up
from tests.cases.tampering import CASES, Case, page
from tests.factory import ROOT, TRANSPORTS, Settings, draft, judge

SERVERS = {
    "own": Settings(),
    "containers": Settings(runtime=Runtime.DOCKER),
    "endpoint": Settings(runtime=Runtime.ENDPOINT),
    "shared": Settings(runtime=Runtime.ENDPOINT, is_shared=True),
    "silent": Settings(runtime=Runtime.ENDPOINT, has_metrics=False, tells_cached_tokens=False),
    "other": Settings(runtime=Runtime.ENDPOINT, dialect=Dialect.OPENAI, has_metrics=False),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.code.id}")
def test_tampering_fails_with_its_code(case: Case) -> None:
    verdict = judge(case.make())
    failed = {finding.code for finding in verdict.findings if finding.outcome is Outcome.FAIL}
    assert case.code.id in failed
    assert verdict.exit_code is ExitCode.BUNDLE_INVALID


def test_the_page_lists_every_kind_of_tampering() -> None:
    shown = (ROOT / "tests" / "cases" / "README.md").read_text(encoding="utf-8")
    assert shown == page(), "python3 -c 'from tests.cases.tampering import page; print(page())'"
    assert len({case.name for case in CASES}) >= 60


@pytest.mark.parametrize("stop_after", [None, 0, 3])
@pytest.mark.parametrize(
    ("topology", "model"),
    [("cpu-tp2", "tiny"), *((name, "moe") for name in TRANSPORTS), ("tp2-pcie", "dense"),
     ("tp2-nvlink", "moe-fp8"), ("tp1", "tiny")],
)  # fmt: skip
def test_an_honest_bundle_of_a_topology_never_fails(
    topology: str, model: str, stop_after: int | None
) -> None:
    settings = Settings(topology=topology, model=model, stop_after=stop_after)
    verdict = judge(draft(settings).seal())
    assert [found for found in verdict.findings if found.outcome is Outcome.FAIL] == []
    partial = ExitCode.NOTHING_TO_JUDGE
    assert verdict.exit_code is (ExitCode.DONE if stop_after is None else partial)


@pytest.mark.parametrize("stop_after", [None, 0, 1, 3, 5])
@pytest.mark.parametrize(
    ("server", "cache"),
    [
        (server, cache)
        for server, kind in SERVERS.items()
        for cache in CachePolicy
        if kind.dialect is Dialect.VLLM or cache is CachePolicy.WARM  # nobody else has salts
    ],
)
@pytest.mark.parametrize("protocol", ProtocolName)
def test_an_honest_bundle_never_fails(
    protocol: ProtocolName, cache: CachePolicy, server: str, stop_after: int | None
) -> None:
    kind = SERVERS[server]
    for passes in (1, 2, 3, 5):
        settings = Settings(
            protocol=protocol,
            cache=cache,
            runtime=kind.runtime,
            dialect=kind.dialect,
            has_metrics=kind.has_metrics,
            is_shared=kind.is_shared,
            tells_cached_tokens=kind.tells_cached_tokens,
            passes=passes,
            stop_after=stop_after,
            seed=passes,
        )
        verdict = judge(draft(settings).seal())
        failed = [finding for finding in verdict.findings if finding.outcome is Outcome.FAIL]
        assert failed == []
        partial = ExitCode.NOTHING_TO_JUDGE
        assert verdict.exit_code is (ExitCode.DONE if stop_after is None else partial)


def test_every_code_that_can_fail_has_a_case() -> None:
    """The rest are warnings, tiers of later versions, or not about the files of a bag.

    What a reader of folders and archives refuses has its cases in `tests/unit/edge/`.

    What was on the GPUs before the start is in no file yet.
    """
    without_a_case = {
        Code.INTEGRITY_BAG,
        Code.INTEGRITY_ENTRY,
        Code.INTEGRITY_COPY,
        Code.INTEGRITY_ARCHIVE,
        Code.INTEGRITY_SIZE,
        Code.INTEGRITY_COUNT,
        Code.INTEGRITY_DEPTH,
        Code.ARITHMETIC_TIER,
        Code.TOPOLOGY_TIER,
        Code.TOPOLOGY_LIMITS,
        Code.TOPOLOGY_PCIE,
        Code.TOPOLOGY_PROCESSES,
        Code.PHYSICS_TIER,
        Code.PROTOCOL_TIER,
        Code.CLAIMS_TIER,
        Code.PROTOCOL_FRESH_ENGINE,
        Code.PROTOCOL_PASSES,
        Code.PROTOCOL_FIRST_PASS,
        Code.PROTOCOL_SPREAD,
        Code.PROTOCOL_HOST_LOAD,
        Code.PROTOCOL_GOVERNOR,
    }
    assert {case.code for case in CASES} == set(Code) - without_a_case


def test_a_rehearsal_may_be_whole_and_holds_nothing_to_judge() -> None:
    made = draft(Settings(topology="tp2-pcie", model="moe", rehearsal=True))
    assert made.server_log is not None
    made.server_log = made.server_log.replace(b"device_config=cuda", b"device_config=cpu")
    verdict = judge(made.seal())
    assert not any(one.outcome is Outcome.FAIL for one in verdict.findings)
    assert (verdict.is_rehearsal, verdict.exit_code) == (True, ExitCode.NOTHING_TO_JUDGE)


def test_a_pass_left_out_in_front_is_not_reportable() -> None:
    """Valid, since whoever started the engine may have asked it: but of what, no record tells."""
    made = draft()
    a_slow_pass_called_the_warm_up(made)
    assert "protocol-fresh-engine" in judge(made.seal()).not_shown
