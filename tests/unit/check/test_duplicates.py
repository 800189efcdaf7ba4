"""A run counts once, whatever it is called."""

import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from msgspec.structs import replace

from kit.bundle import bag
from kit.bundle.document import Runtime
from kit.check.duplicates import Copies, distinct
from kit.check.finding import Finding, Fingerprint, Outcome, Verdict
from kit.parse import vllm_metrics
from kit.plan.plan import ProtocolName
from kit.plan.schedule import Phase
from tests.edits.speed import faster
from tests.factory import ROOT, Draft, Settings, change_record, draft, judge


def admitted(*drafts: Draft) -> list[Outcome]:
    """Return what is found of each bundle, one after the other."""
    copies = Copies()
    verdicts = [copies.admit(judge(one.seal())) for one in drafts]
    return [
        next(one.outcome for one in verdict.findings if one.code == "integrity-copy")
        for verdict in verdicts
    ]


def renamed(made: Draft) -> Draft:
    """Make another host of it, and so another id."""
    made.document = replace(made.document, host_id="f" * 32)
    return made


PASS, FAIL = Outcome.PASS, Outcome.FAIL


def test_starts_of_one_cell_are_runs_of_their_own() -> None:
    assert admitted(*(draft(Settings(seed=seed)) for seed in range(1, 9))) == [PASS] * 8


def test_the_same_bundle_may_be_named_twice() -> None:
    assert admitted(draft(), draft()) == [PASS, PASS]


def test_a_copy_that_was_sealed_again_is_found_out() -> None:
    assert admitted(draft(), renamed(draft())) == [PASS, FAIL]
    first, second = draft(), renamed(draft())
    assert Copies().admit(judge(first.seal())).exit_code == 0
    copies = Copies()
    copies.admit(judge(first.seal()))
    assert copies.admit(judge(second.seal())).exit_code == 6


def test_half_of_another_run_is_too_much_of_it() -> None:
    def with_foreign(count: int) -> Draft:
        made, other = draft(Settings(seed=2)), draft()
        measured = [
            place for place, one in enumerate(made.records) if one.phase.value == "measured"
        ]
        for place in measured[:count]:
            foreign = other.records[place]
            change_record(made, place, wall_s=foreign.wall_s,
                          completion_tokens=foreign.completion_tokens)  # fmt: skip
        return made

    measured = sum(one.phase.value == "measured" for one in draft().records)
    assert admitted(draft(), with_foreign((measured + 1) // 2)) == [PASS, FAIL]
    assert admitted(draft(), with_foreign(2)) == [PASS, PASS]


def shaken(made: Draft, by_us: int = 9) -> Draft:
    """Move each duration by some microseconds, and each moment of sending."""
    noise = random.Random(1)
    made.records = [
        replace(
            one,
            sent_s=round(one.sent_s + noise.randrange(1, by_us) * 1e-6, 6),
            wall_s=round(one.wall_s + noise.randrange(1, by_us) * 1e-6, 6),
        )
        for one in made.records
    ]
    return made


def streams_shaken(made: Draft) -> Draft:
    """Move the arrivals of chunks as well."""
    made.records = [
        one
        if one.chunks is None
        else replace(one, chunks=tuple((round(at_s + 1e-6, 6), n) for at_s, n in one.chunks))
        for one in made.records
    ]
    return made


def log_edited(made: Draft) -> Draft:
    made.server_log = (made.server_log or b"") + b"\n"
    return made


def metrics_edited(made: Draft) -> Draft:
    """Respell each exposition, without changing what it says."""
    made.metrics = {name: text + b"\n" for name, text in made.metrics.items()}
    return made


def telemetry_cut(made: Draft) -> Draft:
    if made.telemetry is not None:
        made.telemetry = replace(made.telemetry, samples=made.telemetry.samples[:-1])
    return made


def edited_but_for(*spared: Callable[[Draft], Draft], settings: Settings | None = None) -> Draft:
    """Edit a copy in all ways but some."""
    made = shaken(draft(settings))
    for edit in (streams_shaken, log_edited, metrics_edited, telemetry_cut):
        made = made if edit in spared else edit(made)
    return made


def test_a_copy_whose_times_were_shaken_is_found_out() -> None:
    assert admitted(draft(), shaken(draft())) == [PASS, FAIL]
    assert admitted(draft(), shaken(draft(), by_us=100)) == [PASS, FAIL]


@pytest.mark.parametrize("left", [streams_shaken, log_edited, metrics_edited])
def test_each_trace_alone_gives_a_copy_away(left: Callable[[Draft], Draft]) -> None:
    assert admitted(draft(), edited_but_for(left)) == [PASS, FAIL]


def test_telemetry_alone_gives_a_copy_away() -> None:
    on_gpu = Settings(topology="tp1", model="moe", protocol=ProtocolName.ARTICLE, passes=1)
    assert admitted(draft(on_gpu), edited_but_for(telemetry_cut, settings=on_gpu)) == [PASS, FAIL]


def test_the_seconds_that_the_server_counted_outlive_another_spelling() -> None:
    assert admitted(draft(), edited_but_for()) == [PASS, FAIL]


def test_moments_of_sending_alone_give_a_copy_away() -> None:
    endpoint = Settings(runtime=Runtime.ENDPOINT, protocol=ProtocolName.ARTICLE, passes=3)
    made, noise = draft(endpoint), random.Random(1)
    made.records = [
        replace(one, wall_s=round(one.wall_s + noise.randrange(1, 9) * 1e-6, 6))
        for one in made.records
    ]
    assert admitted(draft(endpoint), made) == [PASS, FAIL]


def test_two_clients_of_one_endpoint_may_see_the_same_counters() -> None:
    endpoint = Settings(runtime=Runtime.ENDPOINT)
    other = draft(Settings(runtime=Runtime.ENDPOINT, seed=2))
    other.metrics = draft(endpoint).metrics
    assert admitted(draft(endpoint), other) == [PASS, PASS]


def test_two_starts_of_a_cell_may_answer_alike() -> None:
    """The plan seeds its requests, so that an engine may say the same at every start."""
    one, other = draft(), draft(Settings(seed=2))
    for position, record in enumerate(one.records):
        change_record(other, position, token_ids=record.token_ids, text=record.text)
    assert admitted(one, other) == [PASS, PASS]


def test_servers_that_never_answered_may_leave_the_same_words() -> None:
    """Their logs and expositions are alike; nothing was measured."""
    one, other = draft(Settings(stop_after=0)), draft(Settings(stop_after=0, seed=2))
    other.server_log, other.metrics = one.server_log, one.metrics
    assert admitted(one, renamed(other)) == [PASS, PASS]


def test_chunks_that_came_at_once_are_no_trace() -> None:
    def at_once(settings: Settings) -> Draft:
        made = draft(settings)
        for position, one in enumerate(made.records):
            if one.phase is Phase.STREAM:
                change_record(made, position, chunks=((0.15, one.completion_tokens),))
        return made

    assert admitted(at_once(Settings()), at_once(Settings(seed=2))) == [PASS, PASS]


def test_the_bundles_that_were_handed_in_are_runs_of_their_own() -> None:
    folders = sorted((ROOT / "results" / "community").glob("2*"))
    verdicts = [judge(files_of(folder)) for folder in folders]
    assert len(verdicts) >= 2
    for one, other in combinations(verdicts, 2):
        assert len(one.fingerprint.traces) > 10
        assert not {*one.fingerprint.times} & {*other.fingerprint.times}
        assert not {*one.fingerprint.traces} & {*other.fingerprint.traces}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def invalid(made: Draft) -> dict[str, bytes]:
    files = made.seal()
    files["data/metrics/measured-1-after.prom.gz"] += b"x"
    return files


def test_an_invalid_copy_that_is_read_first_spoils_nothing() -> None:
    copies = Copies()
    assert copies.admit(judge(invalid(renamed(draft())))).exit_code == 6
    assert copies.admit(judge(draft().seal())).exit_code == 0


def test_an_invalid_copy_that_is_read_later_is_a_copy_too() -> None:
    copies = Copies()
    copies.admit(judge(draft().seal()))
    assert finding_of(copies.admit(judge(invalid(renamed(draft()))))).outcome is FAIL


def test_a_copy_of_a_copy_is_one_of_the_first() -> None:
    assert admitted(draft(), renamed(draft()), shaken(draft())) == [PASS, FAIL, FAIL]


def finding_of(verdict: Verdict) -> Finding:
    return next(one for one in verdict.findings if one.code == "integrity-copy")


def test_the_finding_names_both_and_blames_neither() -> None:
    copies = Copies()
    first, second = judge(draft().seal()), judge(renamed(draft()).seal())
    copies.admit(replace(first, path="first"))
    found = finding_of(copies.admit(replace(second, path="second")))
    assert f"bundle {first.id[:12] if first.id else None} at first" in found.observed
    assert f"bundle {second.id[:12] if second.id else None} at second" in found.expected
    assert "either may be the original" in found.hint


def test_distinct_runs_are_neither_named_twice_nor_copied() -> None:
    one, copy, other = (
        judge(made.seal()) for made in (draft(), shaken(draft()), draft(Settings(seed=2)))
    )
    assert [*distinct([one, one, copy, other])] == [one, other]


def test_what_cannot_be_read_has_no_prints() -> None:
    files = draft().seal()
    files[bag.DOCUMENT] = files[bag.RECORDS] = b"{"
    assert judge(files).fingerprint == Fingerprint()


def test_what_is_no_bundle_is_let_through() -> None:
    nothing: Verdict = judge({})
    assert Copies().admit(nothing) == nothing


def test_one_start_of_an_engine_is_one_run_however_it_is_stretched() -> None:
    def stretched(factor: float) -> Draft:
        made = renamed(draft())
        faster(made, factor)
        assert made.server_log is not None
        made.server_log = made.server_log.replace(b"pid=8", b"pid=5")
        return made

    assert admitted(draft(), stretched(0.996)) == [PASS, FAIL]


def test_two_clients_may_measure_one_start_after_each_other() -> None:
    def again(made: Draft, seed: int) -> Draft:
        other = draft(Settings(seed=seed))
        for name, text in other.metrics.items():
            more = text + vllm_metrics.E2E_LATENCY_COUNT.encode() + b'{engine="1"} 1.0\n'
            own = vllm_metrics.totals(text, [vllm_metrics.STARTED])[vllm_metrics.STARTED]
            first = vllm_metrics.totals(made.metrics[name], [vllm_metrics.STARTED])
            start = f"{first[vllm_metrics.STARTED]!r}".encode()
            other.metrics[name] = more.replace(f"{own!r}".encode(), start)
        return other

    assert admitted(draft(), again(draft(), 5)) == [PASS, PASS]
