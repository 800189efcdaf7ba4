"""Times and rates in the server's log, in runs as long as a real one."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from kit.bundle import bag
from kit.check.finding import Finding, Outcome
from kit.parse import vllm_log
from kit.plan.schedule import Phase
from tests import six_cells
from tests.edits.speed import faster
from tests.factory import ROOT, Draft, Settings, change_record, draft, judge, utc
from tests.settings import START

PASS, FAIL, UNCHECKED = Outcome.PASS, Outcome.FAIL, Outcome.COULD_NOT_CHECK
RATE = re.compile(rb"(?<=generation throughput: )[0-9.]+")


def found(made: Draft) -> list[Finding]:
    return [one for one in judge(made.seal()).findings if one.code == "topology-log"]


def outcomes(made: Draft) -> set[Outcome]:
    return {one.outcome for one in found(made)}


def long_run(cell: str = "dense@tp1") -> Draft:
    return six_cells.cell_draft(six_cells.Shape(cell=cell))


def log_of(made: Draft) -> bytes:
    assert made.server_log is not None
    return made.server_log


@pytest.mark.parametrize("cell", six_cells.CELLS)
def test_a_run_tells_the_rates_of_its_records(cell: str) -> None:
    made = long_run(cell)
    assert len(RATE.findall(log_of(made))) > 5
    assert outcomes(made) == {PASS}


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (lambda rate: rate, PASS),
        (lambda rate: rate * 0.98, PASS),
        (lambda rate: rate * 1.005, PASS),
        (lambda rate: rate * 1.1, FAIL),
        (lambda rate: rate / 2, FAIL),
        (lambda rate: rate * 2, FAIL),
        (lambda rate: 0.1, FAIL),
        (lambda rate: 9999.9, FAIL),
    ],
)
def test_other_rates_are_of_another_run(rate: Callable[[float], float], expected: Outcome) -> None:
    made = long_run()
    made.server_log = RATE.sub(lambda told: b"%.1f" % rate(float(told[0])), log_of(made))
    assert outcomes(made) == {expected}


def test_a_server_is_not_at_work_for_longer_than_the_records() -> None:
    made = long_run()
    faster(made, 1.5)
    assert outcomes(made) == {FAIL}
    assert any("s, by the log" in one.observed for one in found(made))


def test_measured_passes_alone_made_shorter() -> None:
    """All that follows is moved together, and the run ends sooner."""
    made, gained_s = long_run("moe@tp1"), 0.0
    for position, record in enumerate(made.records):
        change_record(made, position, sent_s=record.sent_s - gained_s)
        if record.phase is Phase.MEASURED:
            change_record(made, position, wall_s=record.wall_s / 2)
            gained_s += record.wall_s / 2
    end_s = made.document.clock.end_s - gained_s
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)
    assert any("s, by the log" in one.observed for one in found(made))


def test_a_local_clock_may_be_put_forward_in_mid_run() -> None:
    made = long_run()
    lines = log_of(made).splitlines(keepends=True)
    for place, line in enumerate(lines):
        if place % 2 and b"[loggers.py" in line:
            lines[place] = line.replace(b"INFO 03-06 12:", b"INFO 03-06 13:")
    made.server_log = b"".join(lines)
    assert outcomes(made) == {PASS}


@pytest.mark.parametrize("zone", [b"03-06 17:30:", b"03-06 03:45:"])
def test_a_log_may_be_of_any_time_zone(zone: bytes) -> None:
    made = draft(Settings(topology="tp2-pcie", model="moe"))
    made.server_log = log_of(made).replace(b"03-06 12:00:", zone)
    assert outcomes(made) == {PASS}


def test_nothing_is_said_of_times_where_the_clock_was_set() -> None:
    made = long_run()
    clock = made.document.clock
    made.document = replace(
        made.document, clock=replace(clock, end_utc=utc(clock.end_s + clock.end_s / 100 + 4))
    )
    assert UNCHECKED in outcomes(made)


def test_nothing_is_said_of_times_where_a_response_took_a_quarter_of_an_hour() -> None:
    """A line's hour is not known, and so not how many quarters of one went by."""
    made, late_s = long_run(), 885.0
    last, clock = len(made.records) - 1, made.document.clock
    change_record(made, last, wall_s=made.records[last].wall_s + late_s)
    made.document = replace(
        made.document,
        clock=replace(clock, end_s=clock.end_s + late_s, end_utc=utc(clock.end_s + late_s)),
    )
    assert UNCHECKED in outcomes(made)
    assert any("no request began or ended" in one.observed for one in found(made))


def test_a_long_run_without_throughput_in_its_log_is_not_quoted() -> None:
    made = long_run()
    made.server_log = log_of(made).replace(b"[loggers.py", b"[others.py")
    assert outcomes(made) == {UNCHECKED}
    assert "topology-log" in judge(made.seal()).not_shown


def test_rates_of_half_a_run_are_not_those_of_all_of_it() -> None:
    made = long_run()
    lines = log_of(made).splitlines(keepends=True)
    rates = [place for place, line in enumerate(lines) if b"[loggers.py" in line]
    kept = rates[: len(rates) // 2]
    made.server_log = b"".join(
        line for place, line in enumerate(lines) if place in kept or place not in rates
    )
    assert outcomes(made) == {UNCHECKED}


@pytest.mark.parametrize("pause_s", [0, 25, 40, 50])
def test_what_is_told_after_a_silence_is_of_its_last_seconds(pause_s: int) -> None:
    """A server that is asked nothing for a while, before the pass that is streamed, tells none."""
    made = long_run("moe@tp1")
    border_s = next(one.sent_s for one in made.records if one.phase is Phase.STREAM)
    for position, record in enumerate(made.records):
        if record.sent_s >= border_s:
            change_record(made, position, sent_s=record.sent_s + pause_s)
    end_s = made.document.clock.end_s + pause_s
    clock = replace(made.document.clock, end_s=end_s, end_utc=utc(end_s))
    made.document = replace(made.document, clock=clock)

    def later(told: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(f"{START.year}-{told[0].decode()}+00:00")
        is_after = (moment - START).total_seconds() > border_s
        return f"{moment + timedelta(seconds=pause_s * is_after):%m-%d %H:%M:%S}".encode()

    made.server_log = re.sub(rb"\d\d-\d\d \d\d:\d\d:\d\d", later, log_of(made))
    assert outcomes(made) == {PASS}


def test_a_response_may_be_logged_while_it_is_streamed() -> None:
    made = long_run()
    at = max(place for place, one in enumerate(made.records) if one.phase is Phase.STREAM)
    lines = log_of(made).splitlines(keepends=True)
    posts = [place for place, line in enumerate(lines) if b"POST /v1/chat" in line]
    sent = f"{utc(made.records[at].sent_s)[11:19]}".encode()
    lines[posts[at]] = re.sub(rb" \d\d:\d\d:\d\d ", b" %b " % sent, lines[posts[at]])
    made.server_log = b"".join(lines)
    assert outcomes(made) == {PASS}
    first = made.records[0]
    assert first.phase is not Phase.STREAM
    early = f"{utc(first.sent_s)[11:19]}".encode()
    lines[posts[0]] = re.sub(rb" \d\d:\d\d:\d\d ", b" %b " % early, lines[posts[0]])
    made.server_log = b"".join(lines)
    assert outcomes(made) == {FAIL}


def test_real_logs_are_of_their_runs() -> None:
    """That a real bundle passes is seen elsewhere; here, that it has something to pass with."""
    for log in (ROOT / "results" / "community").glob("*/data/server.log.gz"):
        assert len(vllm_log.read(bag.inflate(log.read_bytes())).throughput) > 2
