"""The bundle of a plan that fits stays within the limits, if every response uses its budget."""

from dataclasses import replace as replace_suite

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from kit.bundle import telemetry
from kit.bundle.capacity import READING_BYTES, SAMPLE_BYTES, capacities, has_room
from kit.bundle.limits import CHUNK_LIMIT, LINE_LIMIT_BYTES, RECORDS_LIMIT_BYTES
from kit.bundle.record import FinishReason, Record
from kit.bundle.telemetry import ClockReason, GpuSample, Reading
from kit.cli import commands
from kit.errors import ExitCode, KitError
from kit.format import canonical
from kit.plan import plan
from kit.plan.plan import Choices, Dialect, Plan, ProtocolName
from kit.plan.schedule import Phase, requests
from kit.plan.suite import Prompt, Suite, SuiteMode

SUITE = Suite(
    id="single",
    mode=SuiteMode.SERIAL,
    max_tokens=4096,
    system="Answer at once.",
    prompts=tuple(Prompt(id=name, text="word " * 300) for name in ("impl", "debug", "test")),
)
TEXT = "def f(x): return x\n"


def planned(max_tokens: int, dialect: Dialect = Dialect.VLLM, passes: int | None = None) -> Plan:
    return plan.plan_endpoint("m", SUITE, Choices(passes=passes), dialect, max_tokens)


def test_a_run_for_a_time_stops_before_its_bundle_is_full() -> None:
    one = planned(4096)
    record = Record(
        phase=Phase.MEASURED, pass_number=1, prompt_id="impl", seed=1, sent_s=0.0, wall_s=1.0,
        completion_tokens=CHUNK_LIMIT // 10,
    )  # fmt: skip
    passes = [replace(record, pass_number=number) for number in range(1, 11)]
    assert has_room(one, passes[:1])
    assert not has_room(one, passes)


def most_passes(one: Plan) -> int:
    return min(capacity.passes for capacity in capacities(one))


def longest(one: Plan, phase: Phase) -> bytes:
    """Return a record that spends its budget, with six digits a token and text as of code."""
    tokens = one.sampling.max_tokens
    has_ids = one.dialect is Dialect.VLLM
    chunks = tuple((round(10 + 1e-2 * number + 1e-6, 6), 1) for number in range(tokens))
    return canonical.encode(
        Record(
            phase=phase,
            pass_number=1000,
            prompt_id="refactor",
            seed=2**31 - 1,
            sent_s=98765.432109,
            wall_s=1234.567891,
            prompt_tokens=500,
            cached_tokens=496,
            completion_tokens=tokens,
            finish_reason=FinishReason.LENGTH,
            prompt_token_ids=(123_456,) * 500 if has_ids else None,
            token_ids=(123_456,) * tokens if has_ids else None,
            text=(TEXT * tokens)[: int(tokens * 4.5)],
            chunks=chunks if phase is Phase.STREAM else None,
        )
    )


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("max_tokens", [128, 4096, 65_536])
def test_what_fits_is_not_refused(max_tokens: int, dialect: Dialect) -> None:
    passes = most_passes(planned(max_tokens, dialect))
    one = planned(max_tokens, dialect, passes)
    lengths = {phase: len(longest(one, phase)) for phase in Phase}
    total = sum(lengths[request.phase] for request in requests(one))
    assert 0.7 * RECORDS_LIMIT_BYTES < total <= RECORDS_LIMIT_BYTES
    assert max(lengths.values()) <= LINE_LIMIT_BYTES


def test_the_default_fits_for_the_longest_context_that_was_published() -> None:
    assert most_passes(planned(131_072)) >= planned(131_072).measured_passes


def test_a_record_beyond_all_bounds_leaves_no_room() -> None:
    assert most_passes(planned(1_000_000)) == 0


def test_agents_have_room_for_as_many_passes_as_their_chunks_leave() -> None:
    suite = replace_suite(SUITE, mode=SuiteMode.CONCURRENT)
    one = plan.plan_endpoint("m", suite, Choices(agents=2), Dialect.OPENAI, 100_000)
    tokens = len(one.prompts) * 100_000
    assert most_passes(one) == CHUNK_LIMIT // tokens - one.warmup_passes


def test_a_line_of_telemetry_is_no_longer_than_reckoned() -> None:
    reading = Reading(
        index=7,
        sm_clock_mhz=1695,
        memory_clock_mhz=10_501,
        power_w=349.253,
        temperature_c=101,
        utilization_percent=100,
        memory_used_bytes=96 * 2**30,
        clock_reasons=(ClockReason.SW_POWER_CAP, ClockReason.SW_THERMAL_SLOWDOWN),
        pcie_generation=5,
        pcie_width=16,
        nvlink_received_bytes=10**15,
        nvlink_sent_bytes=10**15,
    )
    for count in (1, 2, 8):
        line = canonical.encode(GpuSample(t_s=98765.432109, gpus=(reading,) * count))
        assert len(line) <= SAMPLE_BYTES + READING_BYTES * count


def told(*arguments: str) -> tuple[int, str]:
    """Return the exit code of `kit plan`, and what is said of a refusal."""
    done = CliRunner().invoke(commands, ["plan", *arguments], standalone_mode=False)
    if isinstance(done.exception, KitError):
        return done.exception.exit_code, done.exception.what
    assert done.exception is None
    return int(done.return_value), ""


@pytest.mark.parametrize(("topology", "passes"), [("tp1", 166), ("tp2-nvlink", 86)])
def test_a_plan_without_room_is_refused_before_anything_starts(topology: str, passes: int) -> None:
    code, why = told("--topology", topology, "--passes", str(passes + 1))
    assert code == ExitCode.USAGE
    assert f"no room for {passes + 1} passes" in why
    assert told("--topology", topology, "--passes", str(passes))[0] == 0


def test_a_twin_has_room_for_all_that_may_be_asked_for() -> None:
    assert told("--topology", "cpu-tp1", "--passes", "1000")[0] == 0


def test_the_published_protocol_has_more_room_for_it_streams_nothing() -> None:
    article = plan.plan_endpoint(
        "m", SUITE, Choices(protocol=ProtocolName.ARTICLE), Dialect.VLLM, 4096
    )
    assert most_passes(article) > most_passes(planned(4096))


def test_telemetry_is_bounded_by_its_bytes_where_there_are_several_gpus() -> None:
    lines = telemetry.LIMIT_BYTES // (SAMPLE_BYTES + 2 * READING_BYTES)
    assert lines < telemetry.LINE_LIMIT
